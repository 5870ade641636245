// A thread takes 16 bytes of a position of the smaller map, or one element where channels and addresses do
// not allow that, and the same channels of the four positions of the larger one: neighbouring threads touch
// neighbouring memory, everything is read or written once, and nothing is divided but the position by the
// map's width.
// ptxas budget: 40 registers, no spills
#include "kernels/conv/resample.h"

#include "kernels/common/bf16.h"
#include "kernels/common/rows.cuh"

namespace cuda {
namespace {

// Rows of for_rows are positions of the smaller map.
template <class T, bool enlarges>
struct Resample {
    static constexpr int chunk = Packed<T>::count;
    T* to;
    const T* from;
    float factor;
    std::int64_t W, C;
    Divisor by_width;

    Resample(T* to_, const T* from_, float factor_, const ResampleShape& shape)
        : to(to_), from(from_), factor(factor_), W(shape.W), C(shape.C), by_width(shape.W) {}

    template <int n>
    __device__ void run(std::int64_t position, std::int64_t channel) const {
        const std::int64_t row = by_width.quotient(static_cast<std::uint32_t>(position)),
                           column = position - row * W, small = position * C + channel,
                           above = (row * 4 * W + 2 * column) * C + channel, below = above + 2 * W * C;
        if constexpr (enlarges) {
            float values[n];
            load_elements(values, from + small);
#pragma unroll
            for (int i = 0; i < n; ++i) values[i] *= factor;
            store_elements(to + above, values);
            store_elements(to + above + C, values);
            store_elements(to + below, values);
            store_elements(to + below + C, values);
        } else {
            float a[n], b[n], c[n], d[n];
            load_elements(a, from + above);
            load_elements(b, from + above + C);
            load_elements(c, from + below);
            load_elements(d, from + below + C);
#pragma unroll
            for (int i = 0; i < n; ++i) a[i] = ((a[i] + b[i]) + (c[i] + d[i])) * factor;
            store_elements(to + small, a);
        }
    }
};

template <bool enlarges, class T>
void resample(Stream stream, T* to, const T* from, float factor, const ResampleShape& shape) {
    if (shape.B * shape.H * shape.W == 0) return;
    const bool packed = shape.C % Packed<T>::count == 0 && aligned(to, from);
    for_rows(stream, shape.B * shape.H * shape.W, shape.C, packed,
             Resample<T, enlarges>(to, from, factor, shape));
}

}  // namespace

template <class T>
void average_pool_forward(Stream stream, T* y, const T* x, const ResampleShape& shape) {
    resample<false>(stream, y, x, 0.25f, shape);
}
template <class T>
void average_pool_backward(Stream stream, T* dx, const T* dy, const ResampleShape& shape) {
    resample<true>(stream, dx, dy, 0.25f, shape);
}
template <class T>
void upsample_forward(Stream stream, T* y, const T* x, const ResampleShape& shape) {
    resample<true>(stream, y, x, 1.0f, shape);
}
template <class T>
void upsample_backward(Stream stream, T* dx, const T* dy, const ResampleShape& shape) {
    resample<false>(stream, dx, dy, 1.0f, shape);
}

template void average_pool_forward(Stream, float*, const float*, const ResampleShape&);
template void average_pool_forward(Stream, bf16*, const bf16*, const ResampleShape&);
template void average_pool_backward(Stream, float*, const float*, const ResampleShape&);
template void average_pool_backward(Stream, bf16*, const bf16*, const ResampleShape&);
template void upsample_forward(Stream, float*, const float*, const ResampleShape&);
template void upsample_forward(Stream, bf16*, const bf16*, const ResampleShape&);
template void upsample_backward(Stream, float*, const float*, const ResampleShape&);
template void upsample_backward(Stream, bf16*, const bf16*, const ResampleShape&);

}  // namespace cuda
