// Bound by memory. Forward, a thread adds 16 bytes of an image's channels over all of its positions, or one
// element where channels and addresses do not allow that; backward, it writes 16 bytes of a position. Maps
// that are averaged are small: at the end of a network, 8 x 8 of 2,048 channels.
// ptxas budget: 40 registers, no spills
#include "kernels/conv/position_mean.h"

#include "kernels/common/bf16.h"
#include "kernels/common/rows.cuh"

namespace cuda {
namespace {

// Rows of for_rows are images.
template <class T>
struct MeanForward {
    static constexpr int chunk = Packed<T>::count;
    T* y;
    const T* x;
    std::int64_t P, C;

    template <int n>
    __device__ void run(std::int64_t image, std::int64_t channel) const {
        const T* const from = x + image * P * C + channel;
        float sums[n] = {};
        for (std::int64_t p = 0; p < P; ++p) {
            float values[n];
            load_elements(values, from + p * C);
#pragma unroll
            for (int i = 0; i < n; ++i) sums[i] += values[i];
        }
        const float factor = 1.0f / static_cast<float>(P);
#pragma unroll
        for (int i = 0; i < n; ++i) sums[i] *= factor;
        store_elements(y + image * C + channel, sums);
    }
};

// Rows of for_rows are positions.
template <class T>
struct MeanBackward {
    static constexpr int chunk = Packed<T>::count;
    T* dx;
    const T* dy;
    float factor;
    std::int64_t C;
    Divisor by_positions;

    template <int n>
    __device__ void run(std::int64_t position, std::int64_t channel) const {
        float values[n];
        load_elements(values, dy + by_positions.quotient(static_cast<std::uint32_t>(position)) * C + channel);
#pragma unroll
        for (int i = 0; i < n; ++i) values[i] *= factor;
        store_elements(dx + position * C + channel, values);
    }
};

}  // namespace

template <class T>
void position_mean_forward(Stream stream, T* y, const T* x, std::int64_t B, std::int64_t P, std::int64_t C) {
    if (B == 0) return;
    for_rows(stream, B, C, C % Packed<T>::count == 0 && aligned(y, x), MeanForward<T>{y, x, P, C});
}

template <class T>
void position_mean_backward(Stream stream, T* dx, const T* dy, std::int64_t B, std::int64_t P,
                            std::int64_t C) {
    if (B == 0) return;
    for_rows(stream, B * P, C, C % Packed<T>::count == 0 && aligned(dx, dy),
             MeanBackward<T>{dx, dy, 1.0f / static_cast<float>(P), C, Divisor(P)});
}

template void position_mean_forward(Stream, float*, const float*, std::int64_t, std::int64_t, std::int64_t);
template void position_mean_forward(Stream, bf16*, const bf16*, std::int64_t, std::int64_t, std::int64_t);
template void position_mean_backward(Stream, float*, const float*, std::int64_t, std::int64_t, std::int64_t);
template void position_mean_backward(Stream, bf16*, const bf16*, std::int64_t, std::int64_t, std::int64_t);

}  // namespace cuda
