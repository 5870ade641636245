// out [M, N] = f(A [M, K] . B [N, K]^T + bias), f the identity or ReLU, for a gathered A (conv2d_gather.cuh): forward, and each phase
// towards the input.
//
// A block of four warps makes 64 m_tiles rows by 16 n_pairs columns of the result. Tiles of A and B with 64
// bytes of K come through three buffers of shared memory, two on their way while one is multiplied: in bf16
// by tensor cores, a warp 16 m_tiles rows and all columns; in float by plain multiply-adds. 80 bytes lie
// between the rows of a tile, an odd number of 16-byte units, so that the 8 rows of an ldmatrix lie in
// different banks. Results leave through shared memory, 16 bytes of a row at a time.
//
// ptxas budget of product: 160 registers, no spills, 37 KiB of code, 16-byte loads
// ptxas budget of product_by_elements: 160 registers, no spills, 76 KiB of code
#pragma once

#include "kernels/common/launch.cuh"
#include "kernels/conv/conv2d_gather.cuh"
#include "kernels/linear/mma_fragments.cuh"

namespace cuda::conv2d {

constexpr int depth_chunks = 4, stages = 3;
template <class T>
constexpr int depth_of = depth_chunks* chunk_of<T>;
template <class T>
constexpr int tile_stride = (depth_chunks + 1) * chunk_of<T>;

template <int m_tiles>
constexpr int block_rows = 64 * m_tiles;
template <int n_pairs>
constexpr int block_columns = 16 * n_pairs;
template <class T, int n_pairs>
constexpr int result_stride = block_columns<n_pairs> + chunk_of<T>;

template <class T, int m_tiles, int n_pairs>
constexpr int stage_elements = (block_rows<m_tiles> + block_columns<n_pairs>)*tile_stride<T>;
template <class T, int m_tiles, int n_pairs>
constexpr int shared_elements = std::max(stages* stage_elements<T, m_tiles, n_pairs>,
                                         block_rows<m_tiles>* result_stride<T, n_pairs>);

// Where the rows of the result lie: pixel (image, i, j) at (i * step + first_row, j * step + first_column) of
// maps of this size.
struct Placement {
    int height, width, step, first_row, first_column;
};

struct Product {
    Gather gather;
    Placement out;
    int N, weight_stride, steps;
    bool packed_out, relu;
};

__device__ inline float rectified(float value, bool relu) {
    return relu ? fmaxf(value, 0.0f) : value;
}

// Accumulators of a block, [block_rows, block_columns].
template <class T, int m_tiles, int n_pairs>
struct Sums;

template <int m_tiles, int n_pairs>
struct Sums<bf16, m_tiles, n_pairs> {
    mma::Accumulator sums[m_tiles][2 * n_pairs] = {};

    __device__ void add(const bf16* a_tile, const bf16* b_tile) {
        const int warp = static_cast<int>(threadIdx.x) / warp_size;
#pragma unroll
        for (int k = 0; k < depth_of<bf16>; k += 16) {
            mma::FragmentA a[m_tiles];
#pragma unroll
            for (int m = 0; m < m_tiles; ++m)
                mma::load_a(a[m], a_tile, tile_stride<bf16>, 16 * (warp * m_tiles + m), k);
#pragma unroll
            for (int n = 0; n < n_pairs; ++n) {
                mma::FragmentB b[2];
                mma::load_b(b, b_tile, tile_stride<bf16>, 16 * n, k);
#pragma unroll
                for (int m = 0; m < m_tiles; ++m) {
                    mma_m16n8k16(sums[m][2 * n], a[m], b[0]);
                    mma_m16n8k16(sums[m][2 * n + 1], a[m], b[1]);
                }
            }
        }
    }

    // bias(column) is added to every row, before ReLU.
    template <class Bias>
    __device__ void store(bf16* results, Bias bias, bool relu) const {
        const int warp = static_cast<int>(threadIdx.x) / warp_size, lane = mma::lane_index();
#pragma unroll
        for (int n = 0; n < 2 * n_pairs; ++n) {
            const int column = 8 * n + lane % 4 * 2;
            const float left = bias(column), right = bias(column + 1);
#pragma unroll
            for (int m = 0; m < m_tiles; ++m) {
                bf16* at =
                    results + (16 * (warp * m_tiles + m) + lane / 4) * result_stride<bf16, n_pairs> + column;
                const float* s = sums[m][n];
                *reinterpret_cast<std::uint32_t*>(at) =
                    pack_bf16(rectified(s[0] + left, relu), rectified(s[1] + right, relu));
                *reinterpret_cast<std::uint32_t*>(at + 8 * result_stride<bf16, n_pairs>) =
                    pack_bf16(rectified(s[2] + left, relu), rectified(s[3] + right, relu));
            }
        }
    }
};

// A thread has rows y + 16 r and columns x + 8 c, with (y, x) its place among 16 x 8.
template <int m_tiles, int n_pairs>
struct Sums<float, m_tiles, n_pairs> {
    static constexpr int row_count = 4 * m_tiles, column_count = 2 * n_pairs;
    float sums[row_count][column_count] = {};

    __device__ void add(const float* a_tile, const float* b_tile) {
        const int y = static_cast<int>(threadIdx.x) / 8, x = static_cast<int>(threadIdx.x) % 8;
#pragma unroll 4
        for (int k = 0; k < depth_of<float>; ++k) {
            float b[column_count];
#pragma unroll
            for (int c = 0; c < column_count; ++c) b[c] = b_tile[(x + 8 * c) * tile_stride<float> + k];
#pragma unroll
            for (int r = 0; r < row_count; ++r) {
                const float a = a_tile[(y + 16 * r) * tile_stride<float> + k];
#pragma unroll
                for (int c = 0; c < column_count; ++c) sums[r][c] += a * b[c];
            }
        }
    }

    template <class Bias>
    __device__ void store(float* results, Bias bias, bool relu) const {
        const int y = static_cast<int>(threadIdx.x) / 8, x = static_cast<int>(threadIdx.x) % 8;
#pragma unroll
        for (int c = 0; c < column_count; ++c) {
            const float b = bias(x + 8 * c);
#pragma unroll
            for (int r = 0; r < row_count; ++r)
                results[(y + 16 * r) * result_stride<float, n_pairs> + x + 8 * c] =
                    rectified(sums[r][c] + b, relu);
        }
    }
};

// A thread's part in loading the tiles: one chunk of every 32nd row.
template <class T, bool packed, int m_tiles, int n_pairs>
class Loader {
  public:
    __device__ Loader(const Product& p, const T* map, const T* weight, int first_row, int first_column)
        : map_(map), weight_(weight) {
        const int line = static_cast<int>(threadIdx.x) / depth_chunks;
#pragma unroll
        for (int r = 0; r < a_lines; ++r) {
            const int row = first_row + line + lines * r;
            origin_[r] = origin_of(p.gather, row, row < p.gather.grid.rows);
        }
        first_column_ = first_column + line;
        at_ = {0, 0, 0};
        if (p.steps > 0) p.gather.advance(at_, chunk() * chunk_of<T>);
    }

    __device__ void load(T* a_tile, T* b_tile, const Product& p) {
        const int line = static_cast<int>(threadIdx.x) / depth_chunks,
                  place = line * tile_stride<T> + chunk() * chunk_of<T>;
#pragma unroll
        for (int r = 0; r < a_lines; ++r)
            load_chunk<packed>(a_tile + place + r * lines * tile_stride<T>, map_, p.gather, origin_[r], at_);
#pragma unroll
        for (int r = 0; r < b_lines; ++r) {
            const int n = first_column_ + lines * r;
            if (line + lines * r < block_columns<n_pairs>)
                load_weight_chunk<packed>(b_tile + place + r * lines * tile_stride<T>,
                                          weight_ + std::int64_t{n < p.N ? n : 0} * p.weight_stride, n < p.N,
                                          p.gather, at_);
        }
        p.gather.advance(at_, depth_of<T>);
    }

  private:
    static constexpr int lines = threads / depth_chunks, a_lines = block_rows<m_tiles> / lines,
                         b_lines = (block_columns<n_pairs> + lines - 1) / lines;
    __device__ static int chunk() {
        return static_cast<int>(threadIdx.x) % depth_chunks;
    }

    const T *map_, *weight_;
    Origin origin_[a_lines];
    Cursor at_;
    int first_column_;
};

template <class T, int n_pairs>
__device__ void store_results(T* out, const T* results, const Product& p, int first_row, int first_column,
                              int rows) {
    constexpr int chunks = block_columns<n_pairs> / chunk_of<T>;
    for (int i = static_cast<int>(threadIdx.x); i < rows * chunks; i += threads) {
        const int row = first_row + i / chunks, column = first_column + i % chunks * chunk_of<T>;
        if (row >= p.gather.grid.rows || column >= p.N) continue;
        const Pixel pixel = pixel_of(p.gather.grid, row);
        const std::int64_t target =
            (std::int64_t{pixel.image} * p.out.height + pixel.i * p.out.step + p.out.first_row) *
                p.out.width +
            pixel.j * p.out.step + p.out.first_column;
        const T* from = results + i / chunks * result_stride<T, n_pairs> + i % chunks * chunk_of<T>;
        T* to = out + target * p.N + column;
        if (p.packed_out) {
            store_packed(to, load_packed(from));
        } else {
            for (int e = 0; e < chunk_of<T> && column + e < p.N; ++e) to[e] = from[e];
        }
    }
}

template <class T, bool packed, int m_tiles, int n_pairs>
__device__ void multiply_block(T* out, const T* map, const T* weight, const T* bias, const Product& p) {
    constexpr int stage = stage_elements<T, m_tiles, n_pairs>, b_place = block_rows<m_tiles> * tile_stride<T>;
    SharedMemory shared;
    T* tiles = shared.take<T>(shared_elements<T, m_tiles, n_pairs>);
    const int first_row = static_cast<int>(blockIdx.x) * block_rows<m_tiles>,
              first_column = static_cast<int>(blockIdx.y) * block_columns<n_pairs>;
    Loader<T, packed, m_tiles, n_pairs> loader(p, map, weight, first_row, first_column);
    Sums<T, m_tiles, n_pairs> sums;
#pragma unroll
    for (int step = 0; step < stages - 1; ++step) {
        if (step < p.steps) loader.load(tiles + step * stage, tiles + step * stage + b_place, p);
        copy_async_commit();
    }
    for (int step = 0; step < p.steps; ++step) {
        copy_async_wait<stages - 2>();
        __syncthreads();  // all copies are visible, and no thread reads the buffer filled next
        const int next = step + stages - 1;
        T* const to = tiles + next % stages * stage;
        if (next < p.steps) loader.load(to, to + b_place, p);
        copy_async_commit();
        const T* const from = tiles + step % stages * stage;
        sums.add(from, from + b_place);
    }
    __syncthreads();
    sums.store(
        tiles,
        [&](int column) {
            const int n = first_column + column;
            return bias != nullptr && n < p.N ? to_float(bias[n]) : 0.0f;
        },
        p.relu);
    __syncthreads();
    store_results<T, n_pairs>(out, tiles, p, first_row, first_column, block_rows<m_tiles>);
}

template <class T, int m_tiles, int n_pairs>
__global__ void __launch_bounds__(threads)
    product(T* out, const T* map, const T* weight, const T* bias, Product p) {
    wait_for_previous_kernel();
    multiply_block<T, true, m_tiles, n_pairs>(out, map, weight, bias, p);
}

// Of maps whose channels do not come in chunks (conv2d_gather.cuh).
template <class T, int m_tiles, int n_pairs>
__global__ void __launch_bounds__(threads)
    product_by_elements(T* out, const T* map, const T* weight, const T* bias, Product p) {
    wait_for_previous_kernel();
    multiply_block<T, false, m_tiles, n_pairs>(out, map, weight, bias, p);
}

template <int m_tiles, int n_pairs, class T>
void launch_product(void (*kernel)(T*, const T*, const T*, const T*, Product), Stream stream, T* out,
                    const T* map, const T* weight, const T* bias, const Product& p) {
    launch(kernel,
           dim3(blocks_for(p.gather.grid.rows, block_rows<m_tiles>), blocks_for(p.N, block_columns<n_pairs>)),
           threads, shared_array_bytes(shared_elements<T, m_tiles, n_pairs> * sizeof(T)), stream, out, map,
           weight, bias, p);
}

// With the largest blocks that still keep a large device busy; maps of few channels have short sums.
template <class T>
void launch_product(Stream stream, T* out, const T* map, const T* weight, const T* bias, const Product& p) {
    constexpr unsigned busy = 264;  // two blocks for each multiprocessor of an H100
    const bool packed = p.gather.packed;
    if (p.N <= block_columns<1>)
        launch_product<1, 1>(packed ? product<T, 1, 1> : product_by_elements<T, 1, 1>, stream, out, map,
                             weight, bias, p);
    else if (packed &&
             blocks_for(p.gather.grid.rows, block_rows<2>) * blocks_for(p.N, block_columns<4>) >= busy)
        launch_product<2, 4>(product<T, 2, 4>, stream, out, map, weight, bias, p);
    else
        launch_product<1, 4>(packed ? product<T, 1, 4> : product_by_elements<T, 1, 4>, stream, out, map,
                             weight, bias, p);
}

}  // namespace cuda::conv2d
