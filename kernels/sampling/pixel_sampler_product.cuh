// The pixel sampler's linear layers on a tile of rows that lies in shared memory.
//
// bf16: the tiles of 8 outputs are divided among 8 warps; a block of 16 warps has two such groups, each with
// its own rows. The fragments of B are loaded as packed; each weight is read once per channel and tile, so
// staging in shared memory would save nothing for a block whose weights are not resident, and resident
// weights are read in the same way. A warp takes 2 tiles of outputs at once (one with two tiles of rows),
// which share its fragments of A, and keeps four 16-byte loads in flight while it multiplies with the four
// before: 8 warps then have 16 KiB in flight, as an SM's share of the L2 bandwidth and its latency of 300
// cycles require. With one tile of outputs, the four loads go along the depth. Two sums, added at the
// end, shorten the chain of dependent products; of all tiles, or a row's bits would depend on how many there are.
//
// In a cluster the tiles of outputs are divided among its blocks, tile i being of rank i % ranks, and a block stores
// its results into the shared memory of all of them.
//
// float: a thread takes two outputs and up to 8 rows; plain multiply-adds in the order of k.
//
// The layer's epilogue is selected at run time after the product, so that one product's code serves all
// layers: six copies of it in one kernel, each with addresses kept across channels and blocks, exceed the
// register file.
#pragma once

#include "kernels/common/device_math.cuh"
#include "kernels/common/ptx_cluster.cuh"
#include "kernels/sampling/pixel_sampler_layout.cuh"

namespace cuda::pixel_sampler_detail {

constexpr int group_warps = 8, group_threads = group_warps * warp_size;
constexpr int plain_rows = 8;  // most rows of a tile in float
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ < 900
constexpr bool has_clusters = false;
#else
constexpr bool has_clusters = true;
#endif

template <class T>
struct alignas(2 * sizeof(T)) Pair {
    T low, high;
};

// This block in its cluster. Alone: the only one.
struct Alone {
    static constexpr bool shared = false;
    __device__ static int rank() { return 0; }
    __device__ static int ranks() { return 1; }
    __device__ static void barrier() { __syncthreads(); }
};
struct Clustered {
    static constexpr bool shared = true;
    __device__ static int rank() {
        if constexpr (has_clusters) return cluster_rank();
        return 0;
    }
    __device__ static int ranks() {
        if constexpr (has_clusters) return cluster_ranks();
        return 1;
    }
    __device__ static void barrier() {
        if constexpr (has_clusters) cluster_barrier();
    }
};

// The activations of a tile in shared memory.
template <class T>
struct Activations {
    int rows;
    Strides strides;
    float* x;       // [rows, W], the residual stream
    T* normed;      // [rows, W], zeros up to the next multiple of 32
    T* wide;        // [rows, ...]: a piece of the conditions; q, k and v; the MLP's hidden layer
    float* logits;  // [rows, 256], in the place of `wide`
    T* caches;      // per block, earlier channel and k, v: [rows, W]
};

// Where a product's results go: set `wide`, set it behind gelu, are added to x, set `logits`.
enum class Into { wide, gelu, x, logits };

// A packed linear layer, or a piece of its depth, on the rows of `normed` or `wide`. bf16: these hold zeros
// up to the padded depth.
template <class T>
struct Product {
    const float* bias;         // null: none
    const T* weight;           // of the layer, or of this rank's tiles alone
    int outputs, layer_depth;  // padded
    int first, depth;          // the piece
    bool from_wide;
    Into into;
    bool of_rank = false;  // see weight
};

// Into the arrays of all blocks of the cluster.
template <class Where, class T>
__device__ void put(Pair<T>* to, const Pair<T>& values) {
    if constexpr (Where::shared && has_clusters) {
#pragma unroll 1
        for (int rank = 0; rank < Where::ranks(); ++rank) store_value_to_rank(to, rank, values);
    } else {
        *to = values;
    }
}

// Puts two neighbouring results of a row, the column even, where they belong.
template <class Where, class T>
__device__ void emit(const Activations<T>& tile, Into into, int row, int column, float low, float high) {
    if (into == Into::x || into == Into::logits) {
        auto* to = reinterpret_cast<Pair<float>*>((into == Into::x ? tile.x + row * tile.strides.x
                                                                   : tile.logits + row * tile.strides.logits) +
                                                  column);
        put<Where>(to, into == Into::x ? Pair<float>{to->low + low, to->high + high} : Pair<float>{low, high});
    } else {
        if (into == Into::gelu) {
            low = gelu(low);
            high = gelu(high);
        }
        put<Where>(reinterpret_cast<Pair<T>*>(tile.wide + row * tile.strides.wide + column),
                   {as<T>(low), as<T>(high)});
    }
}

// Outputs of this rank's tiles first_tile, first_tile + 8, ... for 16 row_tiles rows from first_row on.
template <class Where, int row_tiles, int column_tiles>
__device__ void multiply(const Activations<bf16>& tile, const Product<bf16>& product, int first_row,
                         int first_tile) {
    constexpr int stages = 4 / column_tiles;
    constexpr int pair_words = warp_size * 4;
    const int lane = static_cast<int>(threadIdx.x) % warp_size;
    const bf16* input = product.from_wide ? tile.wide : tile.normed;
    const int stride = product.from_wide ? tile.strides.wide : tile.strides.normed;
    const bf16* rows[row_tiles];
#pragma unroll
    for (int m = 0; m < row_tiles; ++m)  // rows that are not there repeat the last one
        rows[m] = input + min(first_row + 16 * m + lane % 16, tile.rows - 1) * stride + lane / 16 * 8;
    const int rank = Where::rank(), ranks = Where::ranks();
    const int column_words = product.layer_depth / depth_of_pair * pair_words,
              step = group_warps * column_words * (product.of_rank ? 1 : ranks),
              pairs = product.depth / depth_of_pair;
    const auto* fragments =
        reinterpret_cast<const std::uint32_t*>(product.weight) +
        static_cast<std::int64_t>(product.of_rank ? first_tile : first_tile * ranks + rank) * column_words +
        product.first / depth_of_pair * pair_words + lane * 4;
    float sums[2][column_tiles][row_tiles][4] = {};
    Packed<std::uint32_t> b[stages][column_tiles], next[stages][column_tiles];
    const auto fetch = [&](int pair) {
#pragma unroll
        for (int s = 0; s < stages; ++s)
#pragma unroll
            for (int n = 0; n < column_tiles; ++n)
                if (pair + s < pairs)
                    next[s][n] = load_packed(fragments + n * step + (pair + s) * pair_words);
    };
    fetch(0);
#pragma unroll 1
    for (int pair = 0; pair < pairs; pair += stages) {
#pragma unroll
        for (int s = 0; s < stages; ++s)
#pragma unroll
            for (int n = 0; n < column_tiles; ++n) b[s][n] = next[s][n];
        fetch(pair + stages);
#pragma unroll
        for (int s = 0; s < stages; ++s) {
            if (pair + s >= pairs) break;
#pragma unroll
            for (int half = 0; half < 2; ++half) {
#pragma unroll
                for (int m = 0; m < row_tiles; ++m) {
                    std::uint32_t a[4];
                    ldmatrix_x4(a, rows[m] + (pair + s) * depth_of_pair + half * 16);
#pragma unroll
                    for (int n = 0; n < column_tiles; ++n) {
                        const std::uint32_t fragment[2] = {b[s][n][2 * half], b[s][n][2 * half + 1]};
                        mma_m16n8k16(sums[half][n][m], a, fragment);
                    }
                }
            }
        }
    }
#pragma unroll
    for (int n = 0; n < column_tiles; ++n) {
        const int column = ((first_tile + group_warps * n) * ranks + rank) * columns_of_tile + lane % 4 * 2;
        const float bias_low = product.bias ? product.bias[column] : 0.0f,
                    bias_high = product.bias ? product.bias[column + 1] : 0.0f;
#pragma unroll
        for (int m = 0; m < row_tiles; ++m)
#pragma unroll
            for (int upper = 0; upper < 2; ++upper) {
                const int row = first_row + 16 * m + 8 * upper + lane / 4;
                const float low = sums[0][n][m][2 * upper] + sums[1][n][m][2 * upper],
                            high = sums[0][n][m][2 * upper + 1] + sums[1][n][m][2 * upper + 1];
                if (row < tile.rows)
                    emit<Where>(tile, product.into, row, column, low + bias_low, high + bias_high);
            }
    }
}

// Nobody waits: the barriers before and behind are the caller's.
template <class Where, int row_tiles>
__device__ void multiply(const Activations<bf16>& tile, const Product<bf16>& product) {
    const int warp = static_cast<int>(threadIdx.x) / warp_size,
              groups = static_cast<int>(blockDim.x) / group_threads, ranks = Where::ranks(),
              column_tiles = (product.outputs / columns_of_tile + ranks - 1 - Where::rank()) / ranks;
    const int first_row = warp % groups * row_tiles * 16;
    int column_tile = warp / groups;
    constexpr int most = row_tiles == 1 && !Where::shared ? 2 : 1;  // limited by registers; a rank has few
    for (; column_tile + (most - 1) * group_warps < column_tiles; column_tile += most * group_warps)
        multiply<Where, row_tiles, most>(tile, product, first_row, column_tile);
    for (; column_tile < column_tiles; column_tile += group_warps)
        multiply<Where, row_tiles, 1>(tile, product, first_row, column_tile);
}

template <class Where, int>
__device__ void multiply(const Activations<float>& tile, const Product<float>& product) {
    const float* input = product.from_wide ? tile.wide : tile.normed;
    const int stride = product.from_wide ? tile.strides.wide : tile.strides.normed;
    const float* rows[plain_rows];
#pragma unroll
    for (int r = 0; r < plain_rows; ++r) rows[r] = input + min(r, tile.rows - 1) * stride;
    for (int column = 2 * static_cast<int>(threadIdx.x); column < product.outputs;
         column += 2 * group_threads) {
        const float* weight =
            product.weight + static_cast<std::int64_t>(product.first) * product.outputs + column;
        Pair<float> sums[plain_rows] = {};
        for (int k = 0; k < product.depth; ++k, weight += product.outputs) {
            const auto w = *reinterpret_cast<const Pair<float>*>(weight);
#pragma unroll
            for (int r = 0; r < plain_rows; ++r) {
                sums[r].low += rows[r][k] * w.low;
                sums[r].high += rows[r][k] * w.high;
            }
        }
        const float bias_low = product.bias ? product.bias[column] : 0.0f,
                    bias_high = product.bias ? product.bias[column + 1] : 0.0f;
#pragma unroll
        for (int r = 0; r < plain_rows; ++r)
            if (r < tile.rows)
                emit<Where>(tile, product.into, r, column, sums[r].low + bias_low, sums[r].high + bias_high);
    }
}

}  // namespace cuda::pixel_sampler_detail
