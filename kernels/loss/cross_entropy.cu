// Up to 256 logits (a pixel's intensities) are a row of a warp, 8 in the registers of each lane: they are
// read once, the maximum and the sum take ten shuffles, and training writes the gradient over them; 4 bytes
// per bf16 logit altogether, without shared memory or barriers. Longer rows are a block's, which reads its
// row three times, the second and third time from the cache: simpler than a running maximum, and no row of
// this project is longer than the cache.
//
// The exponential is expf and not a faster one: its 7 instructions fit beside the loads.
// ptxas budget: 64 registers, no spills
#include "kernels/loss/cross_entropy.h"

#include <type_traits>

#include "kernels/common/chunk.cuh"

namespace cuda {
namespace {

constexpr int warps_per_block = 8, warp_row = warp_size * chunk_size, longest_block = 512;

__device__ float maximum_of(const Chunk& chunk) {
    float maximum = chunk[0];
#pragma unroll
    for (int i = 1; i < chunk_size; ++i) maximum = fmaxf(maximum, chunk[i]);
    return maximum;
}

// chunk becomes e^(chunk - maximum); returns its sum.
__device__ float exponentiate(Chunk& chunk, float maximum) {
    float sum = 0;
#pragma unroll
    for (int i = 0; i < chunk_size; ++i) sum += chunk[i] = expf(chunk[i] - maximum);
    return sum;
}

// The sum of the first `count` logits' distances from the maximum.
__device__ float distances(const Chunk& chunk, float maximum, int count) {
    float sum = 0;
#pragma unroll
    for (int i = 0; i < chunk_size; ++i) sum += i < count ? maximum - chunk[i] : 0.0f;
    return sum;
}

// The target distribution: `hit` at the target, `everywhere` on all logits, both multiplied by the scale;
// `rate` is the smoothing. Without smoothing the latter are compile-time zeros.
template <bool smooths>
struct Target {
    float hit, everywhere_, rate_;
    __device__ float everywhere() const { return smooths ? everywhere_ : 0.0f; }
    // The loss but for log(sum), from the distances of the right logit and of all of them.
    __device__ float distance(float right, float sum, int vocabulary) const {
        if constexpr (!smooths) return right;
        return right + rate_ * (sum / static_cast<float>(vocabulary) - right);
    }
};

// The gradient from the exponentials; `right` counts from the chunk's first element.
template <bool smooths>
__device__ void make_gradient(Chunk& chunk, float factor, const Target<smooths>& target, int right) {
#pragma unroll
    for (int i = 0; i < chunk_size; ++i)
        chunk[i] = chunk[i] * factor - (i == right ? target.hit : 0.0f) - target.everywhere();
}

// A warp per row of at most 256 logits. Logit is T with the gradient written over it, const T without.
template <class Logit, bool smooths>
__global__ void warp_per_row(float* losses, Logit* logits, const std::int32_t* targets,
                             std::int64_t target_stride, std::int64_t rows, int vocabulary, float scale,
                             Target<smooths> smoothed) {
    wait_for_previous_kernel();
    const std::int64_t row = thread_index() / warp_size;
    if (row >= rows) return;
    const int column = static_cast<int>(threadIdx.x) % warp_size * chunk_size, count = vocabulary - column;
    const bool packed = packed_rows(logits, vocabulary);
    Logit* at = logits + row * vocabulary + column;
    Chunk chunk = load_chunk(at, count, packed, -INFINITY);
    const int target = targets[row * target_stride] - column;
    float logit_of_target = 0;
#pragma unroll
    for (int i = 0; i < chunk_size; ++i)
        if (i == target) logit_of_target = chunk[i];

    const float maximum = warp_max(maximum_of(chunk));
    float all_distances = 0;
    if constexpr (smooths) all_distances = warp_sum(distances(chunk, maximum, count));
    const float sum = warp_sum(exponentiate(chunk, maximum));
    if (target >= 0 && target < chunk_size)
        losses[row] = logf(sum) + smoothed.distance(maximum - logit_of_target, all_distances, vocabulary);
    if constexpr (!std::is_const_v<Logit>) {
        make_gradient(chunk, scale / sum, smoothed, target);
        store_chunk(at, chunk, count, packed);
    }
}

// A block per row of any length.
template <class Logit, bool smooths>
__global__ void block_per_row(float* losses, Logit* logits, const std::int32_t* targets,
                              std::int64_t target_stride, int vocabulary, float scale,
                              Target<smooths> smoothed) {
    wait_for_previous_kernel();
    SharedMemory shared;
    float *maxima = shared.take<float>(warp_size), *sums = shared.take<float>(warp_size),
          *distance_sums = shared.take<float>(warp_size);
    const std::int64_t row = blockIdx.x;
    const int target = targets[row * target_stride];
    const bool packed = packed_rows(logits, vocabulary);
    Logit* z = logits + row * vocabulary;
    const auto for_each_chunk = [=](auto body) {
        for (int column = static_cast<int>(threadIdx.x) * chunk_size; column < vocabulary;
             column += static_cast<int>(blockDim.x) * chunk_size)
            body(load_chunk(z + column, vocabulary - column, packed, -INFINITY), column);
    };
    float maximum = -INFINITY, sum = 0, all_distances = 0;
    for_each_chunk([&](const Chunk& chunk, std::int64_t) { maximum = fmaxf(maximum, maximum_of(chunk)); });
    maximum = block_max(maximum, maxima);
    for_each_chunk([&](Chunk chunk, int column) {
        if constexpr (smooths) all_distances += distances(chunk, maximum, vocabulary - column);
        sum += exponentiate(chunk, maximum);
    });
    // Read before the barrier of the sum, behind which the gradient is written over it.
    const float logit_of_target = threadIdx.x == 0 ? to_float(z[target]) : 0.0f;
    sum = block_sum(sum, sums);
    if constexpr (smooths) all_distances = block_sum(all_distances, distance_sums);
    if (threadIdx.x == 0)
        losses[row] = logf(sum) + smoothed.distance(maximum - logit_of_target, all_distances, vocabulary);
    if constexpr (!std::is_const_v<Logit>) {
        for_each_chunk([&](Chunk chunk, int column) {
            exponentiate(chunk, maximum);
            make_gradient(chunk, scale / sum, smoothed, target - column);
            store_chunk(z + column, chunk, vocabulary - column, packed);
        });
    }
}

template <bool smooths, class Logit>
void run(Stream stream, float* losses, Logit* logits, const std::int32_t* targets, std::int64_t target_stride,
         std::int64_t rows, std::int64_t vocabulary, float scale, float smoothing) {
    const Target<smooths> target{scale * (1.0f - smoothing),
                                 scale * smoothing / static_cast<float>(vocabulary), smoothing};
    if (vocabulary <= warp_row) {
        launch(warp_per_row<Logit, smooths>, blocks_for(rows, warps_per_block), warps_per_block * warp_size,
               0, stream, losses, logits, targets, target_stride, rows, static_cast<int>(vocabulary), scale,
               target);
        return;
    }
    const unsigned threads = warp_size * blocks_for(vocabulary, warp_row);
    launch(block_per_row<Logit, smooths>, blocks_for(rows, 1),
           threads < longest_block ? threads : longest_block,
           3 * shared_array_bytes(warp_size * sizeof(float)), stream, losses, logits, targets, target_stride,
           static_cast<int>(vocabulary), scale, target);
}

template <class Logit>
void run_smoothed(Stream stream, float* losses, Logit* logits, const std::int32_t* targets,
                  std::int64_t target_stride, std::int64_t rows, std::int64_t vocabulary, float scale,
                  float smoothing) {
    const auto chosen = smoothing > 0 ? run<true, Logit> : run<false, Logit>;
    chosen(stream, losses, logits, targets, target_stride, rows, vocabulary, scale, smoothing);
}

}  // namespace

template <class T>
void cross_entropy_forward(Stream stream, float* losses, const T* logits, const std::int32_t* targets,
                           std::int64_t target_stride, std::int64_t rows, std::int64_t vocabulary,
                           float smoothing) {
    run_smoothed(stream, losses, logits, targets, target_stride, rows, vocabulary, 0.0f, smoothing);
}

template <class T>
void cross_entropy_forward_backward(Stream stream, float* losses, T* logits, const std::int32_t* targets,
                                    std::int64_t target_stride, std::int64_t rows, std::int64_t vocabulary,
                                    float scale, float smoothing) {
    run_smoothed(stream, losses, logits, targets, target_stride, rows, vocabulary, scale, smoothing);
}

template void cross_entropy_forward(Stream, float*, const float*, const std::int32_t*, std::int64_t,
                                    std::int64_t, std::int64_t, float);
template void cross_entropy_forward(Stream, float*, const bf16*, const std::int32_t*, std::int64_t,
                                    std::int64_t, std::int64_t, float);
template void cross_entropy_forward_backward(Stream, float*, float*, const std::int32_t*, std::int64_t,
                                             std::int64_t, std::int64_t, float, float);
template void cross_entropy_forward_backward(Stream, float*, bf16*, const std::int32_t*, std::int64_t,
                                             std::int64_t, std::int64_t, float, float);

}  // namespace cuda
