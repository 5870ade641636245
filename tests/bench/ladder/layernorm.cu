// Layer normalisation of x [rows, width] (kernels/norm/layernorm.h), float to bf16. All rungs: width a
// multiple of 8, at most 1,024. It is bound by memory: 6 bytes an element if x is read once.
#include "kernels/norm/layernorm.h"

#include "kernels/common/chunk.cuh"
#include "tests/bench/ladder/ladder.h"

namespace cuda::ladder {
namespace {

struct Rows {
    bf16* y;
    float *mean, *rstd;
    const float *x, *weight, *bias;
    std::int64_t rows;
    int width;
    float eps;
};

// 1. A thread for each row, the formula's three loops. The lanes of a warp read rows apart from each other:
// each of their loads fetches 32 pieces of memory for 4 bytes of each.
__global__ void a_thread_for_each_row(Rows r) {
    wait_for_previous_kernel();
    const std::int64_t row = thread_index();
    if (row >= r.rows) return;
    const float* const x = r.x + row * r.width;
    float sum = 0, squares = 0;
    for (int i = 0; i < r.width; ++i) sum += x[i];
    const float mean = sum / static_cast<float>(r.width);
    for (int i = 0; i < r.width; ++i) squares += (x[i] - mean) * (x[i] - mean);
    const float rstd = 1.0f / sqrtf(squares / static_cast<float>(r.width) + r.eps);
    for (int i = 0; i < r.width; ++i)
        r.y[row * r.width + i] = round_to_bf16((x[i] - mean) * rstd * r.weight[i] + r.bias[i]);
    r.mean[row] = mean;
    r.rstd[row] = rstd;
}

// 2. A block for each row: its lanes read neighbours, so that every byte that is fetched is used. The sums
// meet in shared memory, behind two barriers a row.
__global__ void a_block_for_each_row(Rows r) {
    wait_for_previous_kernel();
    SharedMemory shared;
    auto* const sums = shared.take<float>(warp_size);
    auto* const squared = shared.take<float>(warp_size);
    const std::int64_t row = blockIdx.x;
    const float* const x = r.x + row * r.width;
    const int first = static_cast<int>(threadIdx.x), step = static_cast<int>(blockDim.x);
    float sum = 0, squares = 0;
    for (int i = first; i < r.width; i += step) sum += x[i];
    const float mean = block_sum(sum, sums) / static_cast<float>(r.width);
    for (int i = first; i < r.width; i += step) squares += (x[i] - mean) * (x[i] - mean);
    const float rstd = 1.0f / sqrtf(block_sum(squares, squared) / static_cast<float>(r.width) + r.eps);
    for (int i = first; i < r.width; i += step)
        r.y[row * r.width + i] = round_to_bf16((x[i] - mean) * rstd * r.weight[i] + r.bias[i]);
    if (first != 0) return;
    r.mean[row] = mean;
    r.rstd[row] = rstd;
}

// 3. A warp for each row: sums by shuffles, no barrier, and the rows of a block do not wait for each other.
__global__ void a_warp_for_each_row(Rows r) {
    wait_for_previous_kernel();
    const std::int64_t row = thread_index() / warp_size;
    if (row >= r.rows) return;
    const float* const x = r.x + row * r.width;
    const int lane = static_cast<int>(threadIdx.x) % warp_size;
    float sum = 0, squares = 0;
    for (int i = lane; i < r.width; i += warp_size) sum += x[i];
    const float mean = warp_sum(sum) / static_cast<float>(r.width);
    for (int i = lane; i < r.width; i += warp_size) squares += (x[i] - mean) * (x[i] - mean);
    const float rstd = 1.0f / sqrtf(warp_sum(squares) / static_cast<float>(r.width) + r.eps);
    for (int i = lane; i < r.width; i += warp_size)
        r.y[row * r.width + i] = round_to_bf16((x[i] - mean) * rstd * r.weight[i] + r.bias[i]);
    if (lane != 0) return;
    r.mean[row] = mean;
    r.rstd[row] = rstd;
}

// 4. The row stays in registers between the three loops, read once, 16 bytes at a time: a quarter of the
// load instructions, all of them in flight before the first sum.
__global__ void a_row_in_registers(Rows r) {
    wait_for_previous_kernel();
    constexpr int most = 4;  // chunks of 8 elements of each lane
    const std::int64_t row = thread_index() / warp_size;
    if (row >= r.rows) return;
    const int lane = static_cast<int>(threadIdx.x) % warp_size;
    Chunk x[most];
    float sum = 0, squares = 0;
#pragma unroll
    for (int c = 0; c < most; ++c) {
        const int first = (c * warp_size + lane) * chunk_size;
        x[c] = load_chunk(r.x + row * r.width + first, r.width - first, true);
    }
#pragma unroll
    for (int c = 0; c < most; ++c)
        for (int i = 0; i < chunk_size; ++i) sum += x[c][i];
    const float mean = warp_sum(sum) / static_cast<float>(r.width);
#pragma unroll
    for (int c = 0; c < most; ++c)
        if ((c * warp_size + lane) * chunk_size < r.width)
            for (int i = 0; i < chunk_size; ++i) squares += (x[c][i] - mean) * (x[c][i] - mean);
    const float rstd = 1.0f / sqrtf(warp_sum(squares) / static_cast<float>(r.width) + r.eps);
#pragma unroll
    for (int c = 0; c < most; ++c) {
        const int first = (c * warp_size + lane) * chunk_size;
        if (first >= r.width) continue;
        const Chunk weight = load_chunk(r.weight + first), bias = load_chunk(r.bias + first);
        for (int i = 0; i < chunk_size; ++i) x[c][i] = (x[c][i] - mean) * rstd * weight[i] + bias[i];
        store_chunk(r.y + row * r.width + first, x[c]);
    }
    if (lane != 0) return;
    r.mean[row] = mean;
    r.rstd[row] = rstd;
}

template <void (*kernel)(Rows), int rows_of_block, int threads, int shared_bytes>
void run(Stream stream, bf16* y, float* mean, float* rstd, const float* x, const float* weight,
         const float* bias, std::int64_t rows, std::int64_t width, float eps) {
    launch(kernel, blocks_for(rows, rows_of_block), threads, shared_bytes, stream,
           Rows{y, mean, rstd, x, weight, bias, rows, static_cast<int>(width), eps});
}

// 5. Today's: teams of lanes as small as the width allows, rows at a fixed stride so that weight and bias are
// loaded once, the next row's loads in flight (kernels/norm/norm.cuh).
constexpr Rung<LayerNorm> rungs[] = {
    {"1 a thread per row", run<a_thread_for_each_row, 128, 128, 0>},
    {"2 a block per row", run<a_block_for_each_row, 1, 128, 2 * shared_array_bytes(32 * 4)>},
    {"3 a warp per row", run<a_warp_for_each_row, 4, 128, 0>},
    {"4 a row in registers", run<a_row_in_registers, 4, 128, 0>},
    {"5 today's", layernorm_forward<bf16>},
};

}  // namespace

std::span<const Rung<LayerNorm>> layernorm_rungs() {
    return rungs;
}

}  // namespace cuda::ladder
