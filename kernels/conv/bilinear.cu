// A thread makes one position of y, all of its channels: its neighbours' places and weights are computed once.
// Small beside the network that reads the result: 0.3 M positions of 3 channels against 11 GFLOP.
// ptxas budget: 64 registers, no spills
#include "kernels/conv/bilinear.h"

#include "kernels/common/bf16.h"
#include "kernels/common/rows.cuh"

namespace cuda {
namespace {

struct Side {
    int size;
    float ratio;
    bool half_pixel;

    Side(std::int64_t size_, std::int64_t out_size, PixelCentres centres)
        : size(static_cast<int>(size_)),
          ratio(static_cast<float>(size_) / static_cast<float>(out_size)),
          half_pixel(centres == PixelCentres::half_pixel) {}
};

struct Neighbours {
    int low, high;
    float weight;  // of high
};
__device__ inline Neighbours neighbours_of(const Side& side, std::uint32_t i) {
    const auto at = static_cast<float>(i);
    const float u = side.half_pixel ? fmaxf((at + 0.5f) * side.ratio - 0.5f, 0.0f) : at * side.ratio;
    const int low = min(static_cast<int>(u), side.size - 1);
    return {low, min(low + 1, side.size - 1), u - static_cast<float>(low)};
}

// Rows of for_rows are positions of y.
template <class T, class X>
struct Bilinear {
    static constexpr int chunk = 1;
    T* y;
    const X* x;
    Side rows, columns;
    int C;
    float factor, offset;
    Divisor by_height, by_width;

    template <int n>
    __device__ void run(std::int64_t position, std::int64_t) const {
        const auto at = static_cast<std::uint32_t>(position);
        const std::uint32_t row = by_width.quotient(at);
        const Neighbours u = neighbours_of(rows, by_height.remainder(row)),
                         v = neighbours_of(columns, by_width.remainder(at));
        const std::int64_t plane = std::int64_t{rows.size} * columns.size;
        const X* from = x + std::int64_t{by_height.quotient(row)} * C * plane;
        for (int c = 0; c < C; ++c, from += plane) {
            const X *upper = from + std::int64_t{u.low} * columns.size,
                    *lower = from + std::int64_t{u.high} * columns.size;
            const float above = (1 - v.weight) * static_cast<float>(upper[v.low]) +
                                v.weight * static_cast<float>(upper[v.high]),
                        below = (1 - v.weight) * static_cast<float>(lower[v.low]) +
                                v.weight * static_cast<float>(lower[v.high]);
            y[position * C + c] = as<T>(((1 - u.weight) * above + u.weight * below) * factor + offset);
        }
    }
};

}  // namespace

template <class T, class X>
void bilinear_resize(Stream stream, T* y, const X* x, const BilinearShape& s) {
    if (s.B == 0) return;
    for_rows(stream, s.B * s.out_height * s.out_width, 1, false,
             Bilinear<T, X>{y, x, Side(s.H, s.out_height, s.centres), Side(s.W, s.out_width, s.centres),
                            static_cast<int>(s.C), s.factor, s.offset, Divisor(s.out_height),
                            Divisor(s.out_width)});
}

template void bilinear_resize(Stream, float*, const std::uint8_t*, const BilinearShape&);
template void bilinear_resize(Stream, float*, const float*, const BilinearShape&);
template void bilinear_resize(Stream, bf16*, const std::uint8_t*, const BilinearShape&);
template void bilinear_resize(Stream, bf16*, const float*, const BilinearShape&);

}  // namespace cuda
