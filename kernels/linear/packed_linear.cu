// Why not cuBLASLt: a row's bits must not depend on the number of rows, or an image would change with the
// batch size. The library selects the algorithm, and with it the order of additions, by the number of rows;
// here the order follows from K alone. And a sampling step has so few rows that it is bound by reading the
// weights, which the packed layout makes whole cache lines.
//
// bf16. The weights are the left operand of the tensor cores' product (16 outputs x 16 k), rows of x the
// right one (16 k x 8 rows), so that a single row wastes no more than it must. Packed weights have the
// register layout of that product: a tile of 16 outputs and 32 k is 2 x 32 lanes x 16 bytes, which a warp
// reads as two lines of 512 bytes, straight into registers. The order of k within a tile is free as long as
// both operands agree; it is chosen so that a lane's part of a row of x is 16 contiguous bytes:
//
//   lane 4 g + t, step s, register i, half e:   output g + 8 (i % 2),  k = 8 t + 4 s + 2 (i / 2) + e
//
// The 8 warps of a block divide the tiles along K (warp w takes tiles w, w + 8, ...) and add their sums in
// shared memory, in order: with 8 times as many warps in flight a layer of a few hundred outputs still
// saturates memory bandwidth. More rows take more accumulators per warp (8, 16 or 32 rows, and 32 outputs in
// the last case), so that at a few hundred rows weights are read from the second-level cache a few times
// only. Traded away: wgmma, which would double the rate from some 500 rows on.
//
// float is the plain path: weights [K, N], a thread per output for 8 rows, one k after the other.
//
// ptxas budget: 128 registers, no spills
// ptxas budget of forward_bf16: 128 registers, no spills, 14 KiB of code, 16-byte loads
#include "kernels/linear/packed_linear.h"

#include <type_traits>

#include "kernels/common/bf16.h"
#include "kernels/common/device_math.cuh"
#include "kernels/common/launch.cuh"

namespace cuda {
namespace {

constexpr int tile_outputs = 16, tile_k = 32, tile_elements = tile_outputs * tile_k;
constexpr int mma_rows = 8;  // rows of x per product
constexpr int warps = 8;

constexpr std::int64_t padded(std::int64_t size, std::int64_t multiple) {
    return (size + multiple - 1) / multiple * multiple;
}

// Source index of element `index` of the packed weights, which follow the bias.
struct Place {
    std::int64_t n, k;
};
template <class T>
__device__ Place place(std::int64_t index, std::int64_t padded_N, std::int64_t padded_K) {
    if constexpr (std::is_same_v<T, bf16>) {
        const std::int64_t tile = index / tile_elements, tiles_k = padded_K / tile_k;
        const int within = static_cast<int>(index % tile_elements), step = within / 256,
                  lane = within % 256 / 8, i = within % 8 / 2, e = within % 2;
        return {tile / tiles_k * tile_outputs + lane / 4 + 8 * (i % 2),
                tile % tiles_k * tile_k + lane % 4 * 8 + step * 4 + i / 2 * 2 + e};
    } else {
        return {index % padded_N, index / padded_N};
    }
}

template <class T>
__global__ void pack(T* packed, const float* weight, const float* bias, std::int64_t N, std::int64_t K) {
    wait_for_previous_kernel();
    const std::int64_t padded_N = padded(N, tile_outputs), padded_K = padded(K, tile_k), i = thread_index();
    if (i < padded_N) {
        packed[i] = as<T>(bias != nullptr && i < N ? bias[i] : 0.0f);
    } else if (i < padded_N * (padded_K + 1)) {
        const auto [n, k] = place<T>(i - padded_N, padded_N, padded_K);
        packed[i] = as<T>(n < N && k < K ? weight[n * K + k] : 0.0f);
    }
}

// 8 consecutive elements of a row of x from k on, zeros behind K, two in each word: a product's registers.
__device__ Packed<std::uint32_t> load_x(const bf16* row, std::int64_t k, std::int64_t K, bool aligned) {
    if (aligned && k + 8 <= K) return load_packed(reinterpret_cast<const std::uint32_t*>(row + k));
    const auto bits = [&](int i) { return k + i < K ? std::uint32_t{row[k + i].bits} : 0u; };
    Packed<std::uint32_t> x;
#pragma unroll
    for (int i = 0; i < 4; ++i) x[i] = bits(2 * i) | bits(2 * i + 1) << 16;
    return x;
}

// Adds tile number `tile` of the outputs' K to the sums of 16 output_tiles outputs for 8 row_tiles rows.
template <int row_tiles, int output_tiles>
__device__ void multiply_tile(float (&sums)[output_tiles][row_tiles][4], const bf16* weights,
                              std::int64_t tiles_k, const bf16* x, std::int64_t first_row, std::int64_t rows,
                              std::int64_t K, std::int64_t tile, bool aligned) {
    const int lane = static_cast<int>(threadIdx.x) % warp_size;
    Packed<std::uint32_t> w[output_tiles][2];
#pragma unroll
    for (int o = 0; o < output_tiles; ++o)
#pragma unroll
        for (int step = 0; step < 2; ++step)
            w[o][step] = load_packed(reinterpret_cast<const std::uint32_t*>(
                weights + (o * tiles_k + tile) * tile_elements + step * 256 + lane * 8));
#pragma unroll
    for (int r = 0; r < row_tiles; ++r) {
        const std::int64_t row = first_row + r * mma_rows + lane / 4;
        Packed<std::uint32_t> values{};
        if (row < rows) values = load_x(x + row * K, tile * tile_k + lane % 4 * 8, K, aligned);
#pragma unroll
        for (int step = 0; step < 2; ++step) {
            const std::uint32_t b[2] = {values[2 * step], values[2 * step + 1]};
#pragma unroll
            for (int o = 0; o < output_tiles; ++o) mma_m16n8k16(sums[o][r], w[o][step].values, b);
        }
    }
}

// Block (i, j): outputs from 16 output_tiles i, rows from 8 row_tiles j.
template <int row_tiles, int output_tiles>
__global__ void __launch_bounds__(warps* warp_size)
    forward_bf16(bf16* y, const bf16* x, const bf16* packed, std::int64_t rows, std::int64_t N,
                 std::int64_t K) {
    wait_for_previous_kernel();
    constexpr int block_rows = row_tiles * mma_rows, block_outputs = output_tiles * tile_outputs,
                  row_floats = block_outputs + 1;
    SharedMemory shared;
    auto* const parts = shared.take<float>(warps * block_rows * row_floats);  // [warp, row, output]
    const int lane = static_cast<int>(threadIdx.x) % warp_size,
              warp = static_cast<int>(threadIdx.x) / warp_size;
    const std::int64_t tiles_k = padded(K, tile_k) / tile_k, padded_N = padded(N, tile_outputs),
                       first_row = static_cast<std::int64_t>(blockIdx.y) * block_rows,
                       first_output = static_cast<std::int64_t>(blockIdx.x) * block_outputs;
    const bf16* weights = packed + padded_N + first_output * tiles_k * tile_k;
    const bool rows_aligned = K % 8 == 0 && aligned(x);

    // with few accumulators there is room to load several tiles before the first is multiplied
    [[maybe_unused]] constexpr int tiles_ahead = row_tiles == 1 ? 4 : 1;
    float sums[output_tiles][row_tiles][4] = {};
#pragma unroll tiles_ahead
    for (std::int64_t tile = warp; tile < tiles_k; tile += warps)
        multiply_tile(sums, weights, tiles_k, x, first_row, rows, K, tile, rows_aligned);

    // a lane's sums: outputs lane / 4 (+ 8) of rows 2 (lane % 4), + 1
    float* const part = parts + warp * block_rows * row_floats;
#pragma unroll
    for (int o = 0; o < output_tiles; ++o)
#pragma unroll
        for (int r = 0; r < row_tiles; ++r)
#pragma unroll
            for (int i = 0; i < 4; ++i)
                part[(r * mma_rows + lane % 4 * 2 + i % 2) * row_floats + o * tile_outputs + lane / 4 +
                     i / 2 * 8] = sums[o][r][i];
    __syncthreads();
    for (int i = static_cast<int>(threadIdx.x); i < block_rows * block_outputs; i += warps * warp_size) {
        const int r = i / block_outputs, o = i % block_outputs;
        const std::int64_t row = first_row + r, n = first_output + o;
        if (row >= rows || n >= N) continue;
        float sum = to_float(packed[n]);
#pragma unroll
        for (int w = 0; w < warps; ++w) sum += parts[(w * block_rows + r) * row_floats + o];
        y[row * N + n] = as<bf16>(sum);
    }
}

template <int row_tiles, int output_tiles>
void launch_bf16(Stream stream, bf16* y, const bf16* x, const bf16* packed, std::int64_t rows, std::int64_t N,
                 std::int64_t K) {
    constexpr int block_rows = row_tiles * mma_rows, block_outputs = output_tiles * tile_outputs;
    launch(forward_bf16<row_tiles, output_tiles>,
           dim3(blocks_for(N, block_outputs), blocks_for(rows, block_rows)), warps * warp_size,
           shared_array_bytes(warps * block_rows * (block_outputs + 1) * sizeof(float)), stream, y, x, packed,
           rows, N, K);
}

constexpr int float_threads = 64, float_rows = 8;

__global__ void forward_float(float* y, const float* x, const float* packed, std::int64_t rows,
                              std::int64_t N, std::int64_t K) {
    wait_for_previous_kernel();
    const std::int64_t n = thread_index(), first = static_cast<std::int64_t>(blockIdx.y) * float_rows,
                       padded_N = padded(N, tile_outputs);
    if (n >= N) return;
    const float* weight = packed + padded_N + n;
    float sums[float_rows] = {};
    for (std::int64_t k = 0; k < K; ++k) {
        const float w = weight[k * padded_N];
#pragma unroll
        for (int r = 0; r < float_rows; ++r)
            if (first + r < rows) sums[r] += x[(first + r) * K + k] * w;
    }
#pragma unroll
    for (int r = 0; r < float_rows; ++r)
        if (first + r < rows) y[(first + r) * N + n] = packed[n] + sums[r];
}

}  // namespace

std::int64_t packed_linear_elements(std::int64_t N, std::int64_t K) {
    return padded(N, tile_outputs) * (padded(K, tile_k) + 1);
}

template <class T>
void pack_linear(Stream stream, T* packed, const float* weight, const float* bias, std::int64_t N,
                 std::int64_t K) {
    constexpr int threads = 256;
    launch(pack<T>, blocks_for(packed_linear_elements(N, K), threads), threads, 0, stream, packed, weight,
           bias, N, K);
}

template <>
void packed_linear_forward(Stream stream, float* y, const float* x, const float* packed, std::int64_t rows,
                           std::int64_t N, std::int64_t K) {
    launch(forward_float, dim3(blocks_for(N, float_threads), blocks_for(rows, float_rows)), float_threads, 0,
           stream, y, x, packed, rows, N, K);
}

template <>
void packed_linear_forward(Stream stream, bf16* y, const bf16* x, const bf16* packed, std::int64_t rows,
                           std::int64_t N, std::int64_t K) {
    if (rows <= mma_rows)
        launch_bf16<1, 1>(stream, y, x, packed, rows, N, K);
    else if (rows <= 2 * mma_rows)
        launch_bf16<2, 1>(stream, y, x, packed, rows, N, K);
    else if (padded(N, tile_outputs) / tile_outputs % 2 == 0)
        launch_bf16<4, 2>(stream, y, x, packed, rows, N, K);
    else
        launch_bf16<4, 1>(stream, y, x, packed, rows, N, K);
}

template void pack_linear(Stream, float*, const float*, const float*, std::int64_t, std::int64_t);
template void pack_linear(Stream, bf16*, const float*, const float*, std::int64_t, std::int64_t);

}  // namespace cuda
