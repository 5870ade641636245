// Sums of term(x_i, ...) over arrays of one length, in double and in an order that follows from the length
// alone: blocks sum fixed parts and write them down, one more block adds the parts. The arrays are read in
// chunks of 8 elements (chunk.cuh); the partial sums are negligible.
#pragma once

#include <algorithm>
#include <cstdint>

#include "kernels/common/elementwise.cuh"

namespace cuda {

constexpr std::int64_t max_parts = 1024;  // blocks, about 8 per multiprocessor of the largest devices

namespace total_detail {

constexpr int threads = 256;
constexpr std::size_t shared_bytes = shared_array_bytes(warp_size * sizeof(double));

template <class Term, class... X>
__global__ void sum_parts(double* parts, std::int64_t count, Term term, const X*... x) {
    wait_for_previous_kernel();
    SharedMemory shared;
    auto* const sums = shared.take<double>(warp_size);
    double sum = 0;
    for (std::int64_t first = thread_index() * chunk_size; first < count;
         first += thread_count() * chunk_size) {
        const int left = chunk_count(count - first);
        const Chunk inputs[] = {load_chunk(x + first, left, aligned(x))...};
#pragma unroll
        for (int i = 0; i < chunk_size; ++i)
            if (i < left) sum += elementwise_detail::call(term, inputs, i, std::index_sequence_for<X...>());
    }
    sum = block_sum(sum, sums);
    if (threadIdx.x == 0) parts[blockIdx.x] = sum;
}

static __global__ void add_in_order(double* total, const double* parts, int count) {
    wait_for_previous_kernel();
    SharedMemory shared;
    auto* const sums = shared.take<double>(warp_size);
    double sum = 0;
    for (int i = static_cast<int>(threadIdx.x); i < count; i += threads) sum += parts[i];
    sum = block_sum(sum, sums);
    if (threadIdx.x == 0) *total += sum;
}

}  // namespace total_detail

// Queues *total += parts[0] + ... + parts[count - 1], in an order that follows from count alone.
static inline void add_parts(Stream stream, double* total, const double* parts, std::int64_t count) {
    launch(total_detail::add_in_order, 1, total_detail::threads, total_detail::shared_bytes, stream, total,
           parts, static_cast<int>(count));
}

// Queues *total += sum_i term(x_i...); `term` takes and returns float, `workspace` is max_parts doubles.
template <class Term, class... X>
void total_accumulate(Stream stream, double* total, double* workspace, std::int64_t count, Term term,
                      const X*... x) {
    using namespace total_detail;
    const auto blocks = std::min<std::int64_t>(blocks_for(count, chunk_size * threads), max_parts);
    launch(sum_parts<Term, X...>, static_cast<unsigned>(blocks), threads, shared_bytes, stream, workspace,
           count, term, x...);
    add_parts(stream, total, workspace, blocks);
}

}  // namespace cuda
