// A task is a row of y. The neighbours of its columns are computed anew for each, about as much work as the
// interpolation of one channel.
#include "kernels/conv/bilinear.h"

#include <algorithm>
#include <cmath>

#include "kernels/common/partition.h"

namespace cpu {
namespace {

struct Neighbours {
    std::int64_t low, high;
    float weight;  // of high
};

Neighbours neighbours_of(std::int64_t i, std::int64_t size, std::int64_t out_size, PixelCentres centres) {
    const float ratio = static_cast<float>(size) / static_cast<float>(out_size), at = static_cast<float>(i);
    const float u =
        centres == PixelCentres::half_pixel ? std::max((at + 0.5f) * ratio - 0.5f, 0.0f) : at * ratio;
    const std::int64_t low = std::min(static_cast<std::int64_t>(u), size - 1);
    return {low, std::min(low + 1, size - 1), u - static_cast<float>(low)};
}

}  // namespace

template <class X>
void bilinear_resize(float* y, const X* x, const BilinearShape& s) {
    const std::int64_t rows = s.B * s.out_height, row_elements = s.out_width * s.C;
    for_each_task(rows, rows * row_elements, [=](std::int64_t row) {
        const Neighbours u = neighbours_of(row % s.out_height, s.H, s.out_height, s.centres);
        for (std::int64_t j = 0; j < s.out_width; ++j) {
            const Neighbours v = neighbours_of(j, s.W, s.out_width, s.centres);
            for (std::int64_t c = 0; c < s.C; ++c) {
                const X* const plane = x + (row / s.out_height * s.C + c) * s.H * s.W;
                const X *upper = plane + u.low * s.W, *lower = plane + u.high * s.W;
                const auto between = [&](const X* line) {
                    return (1 - v.weight) * static_cast<float>(line[v.low]) +
                           v.weight * static_cast<float>(line[v.high]);
                };
                y[row * row_elements + j * s.C + c] =
                    ((1 - u.weight) * between(upper) + u.weight * between(lower)) * s.factor + s.offset;
            }
        }
    });
}

template void bilinear_resize(float*, const std::uint8_t*, const BilinearShape&);
template void bilinear_resize(float*, const float*, const BilinearShape&);

}  // namespace cpu
