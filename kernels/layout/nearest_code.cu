// A block takes 64 vectors and loops over the codebook in tiles of 64 codes; both are staged in shared memory
// in steps of 32 channels, transposed, and each of the 16 x 16 threads keeps the distances of 4 vectors to 4
// codes in registers: 8 shared loads of 4 bytes (two of 16) for 16 differences and 16 multiply-adds. A
// thread's codes grow from tile to tile, so that it keeps the first of equally near ones by `<`; the 16
// threads of a vector are compared at the end, by distance and then by code.
//
// ptxas budget: 96 registers, no spills
#include "kernels/layout/nearest_code.h"

#include "kernels/common/device_math.cuh"
#include "kernels/common/launch.cuh"

namespace cuda {
namespace {

constexpr int side = 16, each = 4, tile = side * each, step = 32;
constexpr int stride = tile + 4;  // of a channel in shared memory: 16-byte aligned, fewer bank conflicts

// to [step, stride] = columns [first, first + step) of rows [begin, begin + tile) of from [rows, C];
// `otherwise` for rows that do not exist, 0 for channels.
__device__ void load_tile(float* to, const float* from, std::int64_t begin, std::int64_t rows,
                          std::int64_t first, std::int64_t C, float otherwise) {
    for (int i = static_cast<int>(threadIdx.x); i < step * tile; i += side * side) {
        const std::int64_t row = begin + i / step, c = first + i % step;
        float value = 0;
        if (c < C) value = row < rows ? from[row * C + c] : otherwise;
        to[i % step * stride + i / step] = value;
    }
}

__device__ void add_differences(float (&sums)[each][each], const float* z, const float* codes) {
#pragma unroll 4
    for (int c = 0; c < step; ++c) {
        const Packed<float> a = load_packed(z + c * stride), b = load_packed(codes + c * stride);
#pragma unroll
        for (int i = 0; i < each; ++i)
#pragma unroll
            for (int j = 0; j < each; ++j) {
                const float d = b[j] - a[i];
                sums[i][j] += d * d;
            }
    }
}

// The nearest of the 16 lanes that share a vector.
__device__ int first_nearest(float distance, int code) {
    for (int away = side / 2; away > 0; away /= 2) {
        const float other = __shfl_xor_sync(all_lanes, distance, away);
        const int other_code = __shfl_xor_sync(all_lanes, code, away);
        if (other < distance || (other == distance && other_code < code)) {
            distance = other;
            code = other_code;
        }
    }
    return code;
}

__global__ void __launch_bounds__(side* side)
    find_nearest(std::int32_t* codes, const float* z, const float* codebook, std::int64_t M, std::int64_t K,
                 std::int64_t C) {
    wait_for_previous_kernel();
    SharedMemory shared;
    float *z_tile = shared.take<float>(step * stride), *code_tile = shared.take<float>(step * stride);
    const int column = static_cast<int>(threadIdx.x) % side, row = static_cast<int>(threadIdx.x) / side;
    const std::int64_t first = static_cast<std::int64_t>(blockIdx.x) * tile;
    const float nowhere = __int_as_float(0x7F800000);
    float nearest[each];
    int code[each] = {};
#pragma unroll
    for (int i = 0; i < each; ++i) nearest[i] = nowhere;
    for (std::int64_t first_code = 0; first_code < K; first_code += tile) {
        float sums[each][each] = {};
        for (std::int64_t c = 0; c < C; c += step) {
            __syncthreads();
            load_tile(z_tile, z, first, M, c, C, 0);
            load_tile(code_tile, codebook, first_code, K, c, C, nowhere);
            __syncthreads();
            add_differences(sums, z_tile + row * each, code_tile + column * each);
        }
#pragma unroll
        for (int i = 0; i < each; ++i)
#pragma unroll
            for (int j = 0; j < each; ++j)
                if (sums[i][j] < nearest[i]) {
                    nearest[i] = sums[i][j];
                    code[i] = static_cast<int>(first_code) + column * each + j;
                }
    }
#pragma unroll
    for (int i = 0; i < each; ++i) {
        const int found = first_nearest(nearest[i], code[i]);
        const std::int64_t m = first + row * each + i;
        if (column == 0 && m < M) codes[m] = found;
    }
}

}  // namespace

void nearest_code(Stream stream, std::int32_t* codes, float*, const float* z, const float* codebook,
                  std::int64_t M, std::int64_t K, std::int64_t C) {
    constexpr std::size_t bytes = 2 * shared_array_bytes(step * stride * sizeof(float));
    launch(find_nearest, blocks_for(M, tile), side * side, bytes, stream, codes, z, codebook, M, K, C);
}

std::int64_t nearest_code_workspace(std::int64_t, std::int64_t) {
    return 0;
}

}  // namespace cuda
