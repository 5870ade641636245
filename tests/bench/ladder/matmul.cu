// C [M, N] = A [M, K] B [K, N], bf16 summed in float. All rungs: M and N multiples of 64, K of 32.
// Inspired by Simon Boehm's "How to Optimize a CUDA Matmul Kernel for cuBLAS-like Performance" (2022).
#include "kernels/linear/matmul.h"

#include "kernels/common/device_math.cuh"
#include "kernels/common/launch.cuh"
#include "tests/bench/ladder/ladder.h"

namespace cuda::ladder {
namespace {

__device__ float row_times_column(const bf16* A, const bf16* B, int row, int column, int N, int K) {
    float sum = 0;
    for (int k = 0; k < K; ++k) sum += to_float(A[row * K + k]) * to_float(B[k * N + column]);
    return sum;
}

// 1. A thread for each number of C. The lanes of a warp take neighbouring rows, whose numbers of A lie K
// apart: each load of a warp fetches 32 pieces of memory and uses 2 bytes of each.
__global__ void a_thread_for_each(bf16* C, const bf16* A, const bf16* B, int N, int K) {
    wait_for_previous_kernel();
    const int row = static_cast<int>(blockIdx.y * blockDim.x + threadIdx.x),
              column = static_cast<int>(blockIdx.x * blockDim.y + threadIdx.y);
    C[row * N + column] = round_to_bf16(row_times_column(A, B, row, column, N, K));
}

// 2. The lanes take neighbouring columns instead: what they load of B lies side by side, what they load of A
// is one number for all of them.
__global__ void neighbours_side_by_side(bf16* C, const bf16* A, const bf16* B, int N, int K) {
    wait_for_previous_kernel();
    const int row = static_cast<int>(blockIdx.y * blockDim.y + threadIdx.y),
              column = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
    C[row * N + column] = round_to_bf16(row_times_column(A, B, row, column, N, K));
}

// 3. A block of 32 x 32 threads copies tiles of A and B to shared memory first: each number that is loaded
// from memory serves 32 products instead of one.
__global__ void tiles_in_shared_memory(bf16* C, const bf16* A, const bf16* B, int N, int K) {
    wait_for_previous_kernel();
    constexpr int side = 32;
    SharedMemory shared;
    auto* const a = shared.take<float>(side * side);
    auto* const b = shared.take<float>(side * side);
    const int x = static_cast<int>(threadIdx.x), y = static_cast<int>(threadIdx.y),
              row = static_cast<int>(blockIdx.y) * side + y, column = static_cast<int>(blockIdx.x) * side + x;
    float sum = 0;
    for (int first = 0; first < K; first += side) {
        a[y * side + x] = to_float(A[row * K + first + x]);
        b[y * side + x] = to_float(B[(first + y) * N + column]);
        __syncthreads();
        for (int k = 0; k < side; ++k) sum += a[y * side + k] * b[k * side + x];
        __syncthreads();
    }
    C[row * N + column] = round_to_bf16(sum);
}

// 4. A thread computes 4 x 4 numbers of C: of 8 numbers that it reads from shared memory it makes 16
// products, where two made one. 16 x 16 threads share a tile of 64 x 64.
__global__ void results_in_registers(bf16* C, const bf16* A, const bf16* B, int N, int K) {
    wait_for_previous_kernel();
    constexpr int side = 64, depth = 32, each = 4;
    SharedMemory shared;
    auto* const a = shared.take<float>(depth * (side + 1));  // [k, row], one more against bank conflicts
    auto* const b = shared.take<float>(depth * side);        // [k, column]
    const int thread = static_cast<int>(threadIdx.x), x = thread % 16, y = thread / 16,
              first_row = static_cast<int>(blockIdx.y) * side,
              first_column = static_cast<int>(blockIdx.x) * side;
    float sums[each][each] = {};
    for (int first = 0; first < K; first += depth) {
        for (int i = thread; i < side * depth; i += 256) {
            a[i % depth * (side + 1) + i / depth] =
                to_float(A[(first_row + i / depth) * K + first + i % depth]);
            b[i] = to_float(B[(first + i / side) * N + first_column + i % side]);
        }
        __syncthreads();
        for (int k = 0; k < depth; ++k)
#pragma unroll
            for (int i = 0; i < each; ++i)
#pragma unroll
                for (int j = 0; j < each; ++j)
                    sums[i][j] += a[k * (side + 1) + y + 16 * i] * b[k * side + x + 16 * j];
        __syncthreads();
    }
    for (int i = 0; i < each; ++i)
        for (int j = 0; j < each; ++j)
            C[(first_row + y + 16 * i) * N + first_column + x + 16 * j] = round_to_bf16(sums[i][j]);
}

// Of the next two rungs: a block of four warps computes a tile of 64 x 64 numbers, a warp 32 x 32 of them.
struct Tiles {
    static constexpr int side = 64, depth = 32, threads = 128;
    // Rows of shared memory are 16 bytes longer, so that eight of them lie in different banks.
    static constexpr int a_stride = depth + 8, b_stride = side + 8;

    // copy(to, from) for all 16 bytes of A's [64, 32] and B's [32, 64].
    template <class Copy>
    __device__ static void load(bf16* a, bf16* b, const bf16* A, const bf16* B, int N, int K, Copy copy) {
        for (int i = static_cast<int>(threadIdx.x); i < side * depth / 8; i += threads) {
            const int a_row = i / (depth / 8), a_column = i % (depth / 8) * 8, b_row = i / (side / 8),
                      b_column = i % (side / 8) * 8;
            copy(a + a_row * a_stride + a_column, A + a_row * K + a_column);
            copy(b + b_row * b_stride + b_column, B + b_row * N + b_column);
        }
    }

    // The warp's part: fragments by ldmatrix, products of 16 x 8 x 16 (kernels/common/ptx.cuh).
    __device__ static void multiply(float (&sums)[2][4][4], const bf16* a, const bf16* b) {
        const int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32,
                  row = warp / 2 * 32 + lane % 16, column = warp % 2 * 32 + lane / 16 * 8;
        for (int k = 0; k < depth; k += 16) {
            std::uint32_t left[2][4], right[2][4];
#pragma unroll
            for (int i = 0; i < 2; ++i) {
                ldmatrix_x4(left[i], a + (row + 16 * i) * a_stride + k + lane / 16 * 8);
                ldmatrix_x4_transposed(right[i], b + (k + lane % 16) * b_stride + column + 16 * i);
            }
#pragma unroll
            for (int i = 0; i < 2; ++i)
#pragma unroll
                for (int j = 0; j < 4; ++j)
                    mma_m16n8k16(sums[i][j], left[i], {right[j / 2][j % 2 * 2], right[j / 2][j % 2 * 2 + 1]});
        }
    }

    __device__ static void store(bf16* C, const float (&sums)[2][4][4], int N) {
        const int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32,
                  row = warp / 2 * 32 + lane / 4, column = warp % 2 * 32 + lane % 4 * 2;
        for (int i = 0; i < 2; ++i)
            for (int j = 0; j < 4; ++j)
                for (int part = 0; part < 4; ++part)
                    C[(row + 16 * i + part / 2 * 8) * N + column + 8 * j + part % 2] =
                        round_to_bf16(sums[i][j][part]);
    }
};

// 5. Tensor cores: one instruction of a warp makes 2,048 products, and two of ldmatrix bring the operands of
// four such instructions. Copies are of 16 bytes.
__global__ void tensor_cores(bf16* C, const bf16* A, const bf16* B, int N, int K) {
    wait_for_previous_kernel();
    SharedMemory shared;
    auto* const a = shared.take<bf16>(Tiles::side * Tiles::a_stride);
    auto* const b = shared.take<bf16>(Tiles::depth * Tiles::b_stride);
    const int row = static_cast<int>(blockIdx.y) * Tiles::side,
              column = static_cast<int>(blockIdx.x) * Tiles::side;
    float sums[2][4][4] = {};
    for (int k = 0; k < K; k += Tiles::depth) {
        Tiles::load(a, b, A + row * K + k, B + k * N + column, N, K,
                    [](bf16* to, const bf16* from) { store_packed(to, load_packed(from)); });
        __syncthreads();
        Tiles::multiply(sums, a, b);
        __syncthreads();
    }
    Tiles::store(C + row * N + column, sums, N);
}

// 6. Asynchronous copies into a second pair of tiles: the next operands arrive while these are multiplied,
// and pass no registers.
__global__ void copies_ahead(bf16* C, const bf16* A, const bf16* B, int N, int K) {
    wait_for_previous_kernel();
    constexpr int a_tile = Tiles::side * Tiles::a_stride, b_tile = Tiles::depth * Tiles::b_stride;
    SharedMemory shared;
    auto* const a = shared.take<bf16>(2 * a_tile);
    auto* const b = shared.take<bf16>(2 * b_tile);
    const int row = static_cast<int>(blockIdx.y) * Tiles::side,
              column = static_cast<int>(blockIdx.x) * Tiles::side, steps = K / Tiles::depth;
    const auto start_copies = [&](int step) {
        if (step < steps)
            Tiles::load(a + step % 2 * a_tile, b + step % 2 * b_tile, A + row * K + step * Tiles::depth,
                        B + step * Tiles::depth * N + column, N, K,
                        [](bf16* to, const bf16* from) { copy_async_16(to, from); });
        copy_async_commit();
    };
    float sums[2][4][4] = {};
    start_copies(0);
    for (int step = 0; step < steps; ++step) {
        start_copies(step + 1);
        copy_async_wait<1>();
        __syncthreads();
        Tiles::multiply(sums, a + step % 2 * a_tile, b + step % 2 * b_tile);
        __syncthreads();
    }
    Tiles::store(C + row * N + column, sums, N);
}

using Kernel = void(bf16*, const bf16*, const bf16*, int, int);

// `tile_rows` x `tile_columns` numbers of C for each block.
template <Kernel* kernel, int tile_rows, int tile_columns, int threads_x, int threads_y, int shared_bytes>
void run(Stream stream, bf16* C, const bf16* A, const bf16* B, std::int64_t M, std::int64_t N,
         std::int64_t K) {
    launch(kernel, dim3(blocks_for(N, tile_columns), blocks_for(M, tile_rows)), dim3(threads_x, threads_y),
           shared_bytes, stream, C, A, B, static_cast<int>(N), static_cast<int>(K));
}

constexpr int tile_bytes = shared_array_bytes(Tiles::side * Tiles::a_stride * 2) +
                           shared_array_bytes(Tiles::depth * Tiles::b_stride * 2);

// 7. Today's: cuBLASLt, whose kernels for Hopper multiply by wgmma straight from shared memory, copy by TMA
// and divide the work among specialised warps.
constexpr Rung<Matmul> rungs[] = {
    {"1 a thread per number", run<a_thread_for_each, 32, 8, 32, 8, 0>},
    {"2 neighbours side by side", run<neighbours_side_by_side, 8, 32, 32, 8, 0>},
    {"3 tiles in shared memory", run<tiles_in_shared_memory, 32, 32, 32, 32, 2 * 32 * 32 * 4>},
    {"4 results in registers",
     run<results_in_registers, 64, 64, 256, 1, shared_array_bytes(32 * 65 * 4) + 32 * 64 * 4>},
    {"5 tensor cores", run<tensor_cores, 64, 64, Tiles::threads, 1, tile_bytes>},
    {"6 copies ahead", run<copies_ahead, 64, 64, Tiles::threads, 1, 2 * tile_bytes>},
    {"7 today's", matmul<bf16>},
};

}  // namespace

std::span<const Rung<Matmul>> matmul_rungs() {
    return rungs;
}

}  // namespace cuda::ladder
