// Up to 256 logits (a pixel's intensities) are a row of a warp, 8 in the registers of each lane: they are
// read once, the maximum and the sum take ten shuffles, and training writes the gradient over them; 4 bytes
// per bf16 logit altogether, without shared memory or barriers. Longer rows are a block's, which reads its
// row three times, the second and third time from the cache: simpler than a running maximum, and no row of
// this project is longer than the cache.
//
// The exponential is expf and not a faster one: its 7 instructions fit beside the loads.
// ptxas budget: 64 registers, no spills
#include "kernels/cross_entropy.h"

#include <type_traits>

#include "kernels/chunk.cuh"

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

// The gradient from the exponentials; target counts from the chunk's first element.
__device__ void make_gradient(Chunk& chunk, float factor, float scale, int target) {
#pragma unroll
    for (int i = 0; i < chunk_size; ++i) chunk[i] = chunk[i] * factor - (i == target ? scale : 0.0f);
}

// A warp per row of at most 256 logits. Logit is T with the gradient written over it, const T without.
template <class Logit>
__global__ void warp_per_row(float* losses, Logit* logits, const std::int32_t* targets,
                             std::int64_t target_stride, std::int64_t rows, int vocabulary, float scale) {
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

    const float maximum = warp_max(maximum_of(chunk)), sum = warp_sum(exponentiate(chunk, maximum));
    if (target >= 0 && target < chunk_size) losses[row] = logf(sum) + (maximum - logit_of_target);
    if constexpr (!std::is_const_v<Logit>) {
        make_gradient(chunk, scale / sum, scale, target);
        store_chunk(at, chunk, count, packed);
    }
}

// A block per row of any length.
template <class Logit>
__global__ void block_per_row(float* losses, Logit* logits, const std::int32_t* targets,
                              std::int64_t target_stride, int vocabulary, float scale) {
    SharedMemory shared;
    float *maxima = shared.take<float>(warp_size), *sums = shared.take<float>(warp_size);
    const std::int64_t row = blockIdx.x;
    const int target = targets[row * target_stride];
    const bool packed = packed_rows(logits, vocabulary);
    Logit* z = logits + row * vocabulary;
    const auto for_each_chunk = [=](auto body) {
        for (int column = static_cast<int>(threadIdx.x) * chunk_size; column < vocabulary;
             column += static_cast<int>(blockDim.x) * chunk_size)
            body(load_chunk(z + column, vocabulary - column, packed, -INFINITY), column);
    };
    float maximum = -INFINITY, sum = 0;
    for_each_chunk([&](const Chunk& chunk, std::int64_t) { maximum = fmaxf(maximum, maximum_of(chunk)); });
    maximum = block_max(maximum, maxima);
    for_each_chunk([&](Chunk chunk, int) { sum += exponentiate(chunk, maximum); });
    // Read before the barrier of the sum, behind which the gradient is written over it.
    const float logit_of_target = threadIdx.x == 0 ? to_float(z[target]) : 0.0f;
    sum = block_sum(sum, sums);
    if (threadIdx.x == 0) losses[row] = logf(sum) + (maximum - logit_of_target);
    if constexpr (!std::is_const_v<Logit>) {
        for_each_chunk([&](Chunk chunk, int column) {
            exponentiate(chunk, maximum);
            make_gradient(chunk, scale / sum, scale, target - column);
            store_chunk(z + column, chunk, vocabulary - column, packed);
        });
    }
}

template <class Logit>
void run(Stream stream, float* losses, Logit* logits, const std::int32_t* targets, std::int64_t target_stride,
         std::int64_t rows, std::int64_t vocabulary, float scale) {
    if (vocabulary <= warp_row) {
        launch(warp_per_row<Logit>, blocks_for(rows, warps_per_block), warps_per_block * warp_size, 0, stream,
               losses, logits, targets, target_stride, rows, static_cast<int>(vocabulary), scale);
        return;
    }
    const unsigned threads = warp_size * blocks_for(vocabulary, warp_row);
    launch(block_per_row<Logit>, blocks_for(rows, 1), threads < longest_block ? threads : longest_block,
           2 * shared_array_bytes(warp_size * sizeof(float)), stream, losses, logits, targets, target_stride,
           static_cast<int>(vocabulary), scale);
}

}  // namespace

template <class T>
void cross_entropy_forward(Stream stream, float* losses, const T* logits, const std::int32_t* targets,
                           std::int64_t target_stride, std::int64_t rows, std::int64_t vocabulary) {
    run(stream, losses, logits, targets, target_stride, rows, vocabulary, 0.0f);
}

template <class T>
void cross_entropy_forward_backward(Stream stream, float* losses, T* logits, const std::int32_t* targets,
                                    std::int64_t target_stride, std::int64_t rows, std::int64_t vocabulary,
                                    float scale) {
    run(stream, losses, logits, targets, target_stride, rows, vocabulary, scale);
}

template void cross_entropy_forward(Stream, float*, const float*, const std::int32_t*, std::int64_t,
                                    std::int64_t, std::int64_t);
template void cross_entropy_forward(Stream, float*, const bf16*, const std::int32_t*, std::int64_t,
                                    std::int64_t, std::int64_t);
template void cross_entropy_forward_backward(Stream, float*, float*, const std::int32_t*, std::int64_t,
                                             std::int64_t, std::int64_t, float);
template void cross_entropy_forward_backward(Stream, float*, bf16*, const std::int32_t*, std::int64_t,
                                             std::int64_t, std::int64_t, float);

}  // namespace cuda
