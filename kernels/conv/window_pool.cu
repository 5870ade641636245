// Bound by memory. A thread takes 16 bytes of a position of y, or one element where channels and addresses do
// not allow that, and reads the same channels of every position of the window: neighbouring threads touch
// neighbouring memory, and what windows share comes from the second-level cache.
// ptxas budget: 64 registers, no spills
#include "kernels/conv/window_pool.h"

#include "kernels/common/bf16.h"
#include "kernels/common/rows.cuh"

namespace cuda {
namespace {

// Rows of for_rows are positions of y.
template <class T, bool mean>
struct WindowPool {
    static constexpr int chunk = Packed<T>::count;
    T* y;
    const T* x;
    int H, W, window, stride, padding;
    std::int64_t C;
    Divisor by_height, by_width;

    WindowPool(T* y_, const T* x_, const WindowPoolShape& s)
        : y(y_),
          x(x_),
          H(static_cast<int>(s.H)),
          W(static_cast<int>(s.W)),
          window(static_cast<int>(s.window)),
          stride(static_cast<int>(s.stride)),
          padding(static_cast<int>(s.padding)),
          C(s.C),
          by_height(s.out_height()),
          by_width(s.out_width()) {}

    template <int n>
    __device__ void run(std::int64_t position, std::int64_t channel) const {
        const auto at = static_cast<std::uint32_t>(position);
        const std::uint32_t row = by_width.quotient(at);
        const int top = static_cast<int>(by_height.remainder(row)) * stride - padding,
                  left = static_cast<int>(by_width.remainder(at)) * stride - padding,
                  bottom = min(top + window, H), right = min(left + window, W);
        const T* const map = x + std::int64_t{by_height.quotient(row)} * H * W * C + channel;
        float result[n];
#pragma unroll
        for (int i = 0; i < n; ++i) result[i] = mean ? 0.0f : -INFINITY;
        for (int u = max(top, 0); u < bottom; ++u)
            for (int v = max(left, 0); v < right; ++v) {
                float values[n];
                load_elements(values, map + std::int64_t{u * W + v} * C);
#pragma unroll
                for (int i = 0; i < n; ++i)
                    result[i] = mean ? result[i] + values[i] : fmaxf(result[i], values[i]);
            }
        if constexpr (mean) {
            const float factor = 1.0f / static_cast<float>((bottom - max(top, 0)) * (right - max(left, 0)));
#pragma unroll
            for (int i = 0; i < n; ++i) result[i] *= factor;
        }
        store_elements(y + position * C + channel, result);
    }
};

template <bool mean, class T>
void pool(Stream stream, T* y, const T* x, const WindowPoolShape& shape) {
    if (shape.out_rows() == 0) return;
    const bool packed = shape.C % Packed<T>::count == 0 && aligned(y, x);
    for_rows(stream, shape.out_rows(), shape.C, packed, WindowPool<T, mean>(y, x, shape));
}

}  // namespace

template <class T>
void window_max(Stream stream, T* y, const T* x, const WindowPoolShape& shape) {
    pool<false>(stream, y, x, shape);
}
template <class T>
void window_mean(Stream stream, T* y, const T* x, const WindowPoolShape& shape) {
    pool<true>(stream, y, x, shape);
}

template void window_max(Stream, float*, const float*, const WindowPoolShape&);
template void window_max(Stream, bf16*, const bf16*, const WindowPoolShape&);
template void window_mean(Stream, float*, const float*, const WindowPoolShape&);
template void window_mean(Stream, bf16*, const bf16*, const WindowPoolShape&);

}  // namespace cuda
