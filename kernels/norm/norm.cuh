// Shared by layernorm.cu and rmsnorm.cu: RMS normalisation is layer normalisation with a mean of 0 and no
// bias, so one pair of kernels serves both (template parameter `centred`).
//
// A row is loaded once and stays in registers until the result is stored: this allows the two-pass variance,
// without cancellation where the mean is large. A team of threads shares it, each with chunks of 8 elements:
// 4 to 32 lanes of a warp up to a width of 512 (several rows per warp where they are narrow, sums by
// shuffles, no barrier), a block above (one barrier per sum). Teams take rows with a fixed stride.
//
// The backward pass computes dx, dweight and dbias from one read of dy and x. Every team sums its rows' share
// of dweight and dbias in registers; a block adds its teams in order and writes the sum, its slice, to the
// workspace; a second kernel adds the slices in order. No atomics, so the same bits in every run, at the cost
// of writing and reading slices: at most as many as an H100 has resident blocks, each with at least 4 rows
// per team, 8 if the team is a block.
#pragma once

#include <algorithm>
#include <cstdint>
#include <stdexcept>
#include <string>

#include "kernels/common/chunk.cuh"

namespace cuda::norm_detail {

constexpr int warp_teams_threads = 256;  // of a block of several teams
constexpr int widest_team = 384;         // threads of a block that is one team
constexpr std::int64_t widest_row = widest_team * chunk_size;

constexpr int whole_block = 0;
template <int lanes>
constexpr int most_threads = lanes == whole_block ? widest_team : warp_teams_threads;

// Of an H100, and threads on each: a kernel with one chunk per thread needs 64 registers (80 with a block per
// row, whose sums go through shared memory), with two chunks 128.
// A smaller device runs the slices in two waves, a larger one leaves some of itself idle; the workspace, and
// with it the bits of the result, do not depend on the device.
constexpr int multiprocessors = 132;
template <int lanes, int chunks>
constexpr int resident_threads = lanes == whole_block ? 768 : 1024 / chunks;

// Threads that share a row: `lanes` of a warp (a power of two), or a whole block.
template <int lanes>
class Team {
  public:
    __device__ explicit Team(SharedMemory& shared) {
        if constexpr (lanes == whole_block) parts_ = shared.take<float>(2 * max_sums * warp_size);
    }
    // Shared memory that a team's sums need.
    static constexpr std::size_t shared_bytes() {
        return lanes == whole_block ? shared_array_bytes(2 * max_sums * warp_size * sizeof(float)) : 0;
    }

    __device__ static int size() { return lanes == whole_block ? static_cast<int>(blockDim.x) : lanes; }
    __device__ static int per_block() { return static_cast<int>(blockDim.x) / size(); }
    __device__ static int index() { return static_cast<int>(threadIdx.x) / size(); }
    __device__ static int lane() { return static_cast<int>(threadIdx.x) % size(); }

    // The first element of this thread's chunk number `chunk`.
    __device__ static int column(int chunk) { return (chunk * size() + lane()) * chunk_size; }

    // Replaces each value by its sum over the team. All threads of the block together.
    template <int count>
    __device__ void sum(float (&values)[count]) {
        static_assert(count <= max_sums);
        add_lanes(values);
        if constexpr (lanes == whole_block) {
            const int warp = static_cast<int>(threadIdx.x) / warp_size, warps = size() / warp_size,
                      lane_of_warp = static_cast<int>(threadIdx.x) % warp_size;
            // Two alternating sets of parts: a writer of one set has passed the barrier after which the other
            // was read, so one barrier per sum suffices.
            float* parts = parts_ + turn_ * max_sums * warp_size;
            turn_ ^= 1;
            if (lane_of_warp == 0)
                for (int i = 0; i < count; ++i) parts[i * warp_size + warp] = values[i];
            __syncthreads();
            for (int i = 0; i < count; ++i)
                values[i] = lane_of_warp < warps ? parts[i * warp_size + lane_of_warp] : 0.0f;
            add_lanes(values);
        }
    }

  private:
    static constexpr int max_sums = 2;

    template <int count>
    __device__ static void add_lanes(float (&values)[count]) {
        constexpr int together = lanes == whole_block ? warp_size : lanes;
#pragma unroll
        for (int distance = together / 2; distance > 0; distance /= 2)
#pragma unroll
            for (int i = 0; i < count; ++i) values[i] += __shfl_xor_sync(all_lanes, values[i], distance);
    }

    float* parts_ = nullptr;
    int turn_ = 0;
};

// This thread's chunks of a row of `width` elements; zeros beyond them.
template <int lanes, int chunks, class T>
__device__ void load_row(Chunk (&to)[chunks], const T* row, int width, bool packed) {
#pragma unroll
    for (int c = 0; c < chunks; ++c) {
        const int column = Team<lanes>::column(c);
        to[c] = load_chunk(row + column, width - column, packed);
    }
}
template <int lanes, int chunks, class T>
__device__ void store_row(T* row, const Chunk (&from)[chunks], int width, bool packed) {
#pragma unroll
    for (int c = 0; c < chunks; ++c) {
        const int column = Team<lanes>::column(c);
        store_chunk(row + column, from[c], width - column, packed);
    }
}

// bias and mean are of the centred norm alone. With a branch, the row that is normalised is out = x + branch.
template <class T>
struct Forward {
    T* y;
    float *mean, *rstd, *out;
    const float* x;
    const T* branch;
    const float *weight, *bias;
    std::int64_t rows;
    int width;
    float epsilon;
};

template <bool centred, int lanes, int chunks, class T>
__global__ void __launch_bounds__(most_threads<lanes>, resident_threads<lanes, chunks> / most_threads<lanes>)
    forward(Forward<T> a) {
    wait_for_previous_kernel();
    SharedMemory shared;
    Team<lanes> team(shared);
    const bool packed = packed_rows(a.x, a.width) && packed_rows(a.y, a.width) &&
                        packed_rows(a.out, a.width) && packed_rows(a.branch, a.width) && aligned(a.weight) &&
                        aligned(a.bias);
    const auto width = static_cast<float>(a.width);
    Chunk weight[chunks], bias[chunks];
    load_row<lanes>(weight, a.weight, a.width, packed);
    if constexpr (centred) load_row<lanes>(bias, a.bias, a.width, packed);

    const std::int64_t stride = static_cast<std::int64_t>(gridDim.x) * team.per_block();
    for (std::int64_t first = blockIdx.x * static_cast<std::int64_t>(team.per_block()); first < a.rows;
         first += stride) {
        // Teams behind the last row go along with a row of no elements.
        const bool exists = first + team.index() < a.rows;
        const std::int64_t row = exists ? first + team.index() : 0, offset = row * a.width;
        const int elements = exists ? a.width : 0;
        Chunk x[chunks];
        load_row<lanes>(x, a.x + offset, elements, packed);
        if (a.branch != nullptr) {
            Chunk branch[chunks];
            load_row<lanes>(branch, a.branch + offset, elements, packed);
#pragma unroll
            for (int c = 0; c < chunks; ++c)
#pragma unroll
                for (int i = 0; i < chunk_size; ++i) x[c][i] += branch[c][i];
            store_row<lanes>(a.out + offset, x, elements, packed);
        }

        float mean = 0;
        if constexpr (centred) {
            float total[1] = {};
#pragma unroll
            for (int c = 0; c < chunks; ++c)
#pragma unroll
                for (int i = 0; i < chunk_size; ++i) total[0] += x[c][i];
            team.sum(total);
            mean = total[0] / width;
        }
        float squares[1] = {};
#pragma unroll
        for (int c = 0; c < chunks; ++c)
#pragma unroll
            for (int i = 0; i < chunk_size; ++i) {
                x[c][i] -= mean;
                if (team.column(c) + i < elements) squares[0] += x[c][i] * x[c][i];
            }
        team.sum(squares);
        const float rstd = 1.0f / sqrtf(squares[0] / width + a.epsilon);
#pragma unroll
        for (int c = 0; c < chunks; ++c)
#pragma unroll
            for (int i = 0; i < chunk_size; ++i) {
                x[c][i] *= rstd * weight[c][i];
                if constexpr (centred) x[c][i] += bias[c][i];
            }
        store_row<lanes>(a.y + offset, x, elements, packed);
        if (exists && team.lane() == 0) {
            if constexpr (centred) a.mean[row] = mean;
            a.rstd[row] = rstd;
        }
    }
}

template <class T>
struct Backward {
    float *dx, *dweight, *dbias, *workspace;
    const T* dy;
    const float *x, *weight, *mean, *rstd;
    std::int64_t rows;
    int width;
    bool accumulate;  // dx += instead of dx =
};

// dweight and, behind it, dbias: how many results the second kernel has per column.
template <bool centred>
constexpr int results = centred ? 2 : 1;

// Sums over the teams of a block, in their order, to the block's slice [results, width] of the workspace.
template <bool centred, int lanes, int chunks>
__device__ void write_slice(float* slice, const Chunk (&sums)[results<centred>][chunks], int width,
                            SharedMemory& shared) {
    if constexpr (lanes == whole_block) {
        for (int r = 0; r < results<centred>; ++r)
            store_row<lanes>(slice + r * width, sums[r], width, packed_rows(slice, width));
    } else {
        constexpr int columns = lanes * chunks * chunk_size, teams = warp_teams_threads / lanes;
        float* parts = shared.take<float>(teams * results<centred> * columns);
        for (int r = 0; r < results<centred>; ++r)
            store_row<lanes>(parts + (Team<lanes>::index() * results<centred> + r) * columns, sums[r],
                             columns, true);
        __syncthreads();
        for (int i = static_cast<int>(threadIdx.x); i < results<centred> * columns; i += warp_teams_threads) {
            if (i % columns >= width) continue;
            float total = 0;
            for (int team = 0; team < teams; ++team) total += parts[team * results<centred> * columns + i];
            slice[i / columns * width + i % columns] = total;
        }
    }
}

template <bool centred, int lanes, int chunks, class T>
__global__ void __launch_bounds__(most_threads<lanes>, resident_threads<lanes, chunks> / most_threads<lanes>)
    backward(Backward<T> a) {
    wait_for_previous_kernel();
    SharedMemory shared;
    Team<lanes> team(shared);
    const bool packed = packed_rows(a.dx, a.width) && packed_rows(a.dy, a.width) &&
                        packed_rows(a.x, a.width) && aligned(a.weight);
    const auto width = static_cast<float>(a.width);
    Chunk sums[results<centred>][chunks] = {};

    const std::int64_t stride = static_cast<std::int64_t>(gridDim.x) * team.per_block();
    for (std::int64_t first = blockIdx.x * static_cast<std::int64_t>(team.per_block()); first < a.rows;
         first += stride) {
        const bool exists = first + team.index() < a.rows;
        const std::int64_t row = exists ? first + team.index() : 0, offset = row * a.width;
        const int elements = exists ? a.width : 0;
        Chunk x[chunks], dy[chunks], weight[chunks];
        load_row<lanes>(x, a.x + offset, elements, packed);
        load_row<lanes>(dy, a.dy + offset, elements, packed);
        load_row<lanes>(weight, a.weight, a.width, packed);  // from the cache: registers are short
        const float rstd = a.rstd[row];
        float mean = 0;
        if constexpr (centred) mean = a.mean[row];

        // x becomes n and dy becomes g, as in the headers' formulas; zeros of dy exclude elements outside the
        // row from the sums.
        float totals[2] = {};
#pragma unroll
        for (int c = 0; c < chunks; ++c)
#pragma unroll
            for (int i = 0; i < chunk_size; ++i) {
                x[c][i] = (x[c][i] - mean) * rstd;
                sums[0][c][i] += dy[c][i] * x[c][i];
                if constexpr (centred) sums[1][c][i] += dy[c][i];
                dy[c][i] *= weight[c][i];
                totals[0] += dy[c][i] * x[c][i];
                totals[1] += dy[c][i];
            }
        Chunk dx[chunks] = {};
        if (a.accumulate) load_row<lanes>(dx, a.dx + offset, elements, packed);
        float mean_g = 0, mean_gn;
        if constexpr (centred) {
            team.sum(totals);
            mean_g = totals[1] / width;
            mean_gn = totals[0] / width;
        } else {
            float total[1] = {totals[0]};
            team.sum(total);
            mean_gn = total[0] / width;
        }
#pragma unroll
        for (int c = 0; c < chunks; ++c)
#pragma unroll
            for (int i = 0; i < chunk_size; ++i) dx[c][i] += rstd * (dy[c][i] - mean_g - x[c][i] * mean_gn);
        store_row<lanes>(a.dx + offset, dx, elements, packed);
    }
    write_slice<centred, lanes>(a.workspace + blockIdx.x * results<centred> * a.width, sums, a.width, shared);
}

// dweight += the slices' first rows, dbias += their second ones. A warp of 32 columns adds every `warps`-th
// slice in order, then the first warp adds the warps' sums in order.
template <bool centred>
__global__ void add_slices(float* dweight, float* dbias, const float* workspace, int slices,
                           std::int64_t width) {
    wait_for_previous_kernel();
    SharedMemory shared;
    float* parts = shared.take<float>(blockDim.x);
    const int lane = static_cast<int>(threadIdx.x) % warp_size,
              warp = static_cast<int>(threadIdx.x) / warp_size,
              warps = static_cast<int>(blockDim.x) / warp_size;
    const std::int64_t columns = results<centred> * width,
                       column = static_cast<std::int64_t>(blockIdx.x) * warp_size + lane;
    float total = 0;
    if (column < columns) {
#pragma unroll 8
        for (int slice = warp; slice < slices; slice += warps) total += workspace[slice * columns + column];
    }
    parts[threadIdx.x] = total;
    __syncthreads();
    if (warp != 0 || column >= columns) return;
    for (int other = 1; other < warps; ++other) total += parts[other * warp_size + lane];
    if (column < width)
        dweight[column] += total;
    else
        dbias[column - width] += total;
}

// How rows of one width are shared out: `lanes` threads with `chunks` chunks each.
template <int lanes_, int chunks_>
struct Layout {
    static constexpr int lanes = lanes_, chunks = chunks_;
    static constexpr bool one_team = lanes == whole_block;

    static int block_threads(std::int64_t width) {
        return one_team ? static_cast<int>(warp_size * blocks_for(width, warp_size * chunk_size))
                        : warp_teams_threads;
    }
    static std::int64_t rows_per_block() { return one_team ? 1 : warp_teams_threads / lanes; }
    static int max_slices(std::int64_t width) {
        return multiprocessors * (resident_threads<lanes, chunks> / block_threads(width));
    }
    static int slices(std::int64_t rows, std::int64_t width) {
        const unsigned slices = blocks_for(rows, one_team ? 8 : 4 * rows_per_block());
        return std::min(static_cast<int>(slices), max_slices(width));
    }
};

// Calls body(layout) with the layout for that width.
template <class Body>
auto with_layout(std::int64_t width, Body body) {
    if (width <= 32) return body(Layout<4, 1>());
    if (width <= 64) return body(Layout<8, 1>());
    if (width <= 128) return body(Layout<16, 1>());
    if (width <= 256) return body(Layout<32, 1>());
    if (width <= 512) return body(Layout<32, 2>());
    if (width > widest_row)
        throw std::runtime_error("CUDA: normalisation of rows of " + std::to_string(width) +
                                 " elements; at most " + std::to_string(widest_row));
    return body(Layout<whole_block, 1>());
}

template <bool centred, class T>
void launch_forward(Stream stream, const Forward<T>& arguments) {
    with_layout(arguments.width, [&](auto layout) {
        using L = decltype(layout);
        const auto most = static_cast<unsigned>(L::max_slices(arguments.width));
        const unsigned blocks = L::one_team ? blocks_for(arguments.rows, 1)
                                            : std::min(blocks_for(arguments.rows, L::rows_per_block()), most);
        launch(forward<centred, L::lanes, L::chunks, T>, blocks, L::block_threads(arguments.width),
               Team<L::lanes>::shared_bytes(), stream, arguments);
    });
}

template <bool centred, class T>
void launch_backward(Stream stream, const Backward<T>& a) {
    if (a.rows == 0) return;
    const int slices = with_layout(a.width, [&](auto layout) {
        using L = decltype(layout);
        const int blocks = L::slices(a.rows, a.width);
        const std::size_t combine =
            L::one_team
                ? 0
                : static_cast<std::size_t>(warp_teams_threads * L::chunks * chunk_size * results<centred>) *
                      sizeof(float);
        launch(backward<centred, L::lanes, L::chunks, T>, blocks, L::block_threads(a.width),
               Team<L::lanes>::shared_bytes() + combine, stream, a);
        return blocks;
    });
    const int threads = warp_size * std::min(slices, 32);
    launch(add_slices<centred>, blocks_for(results<centred> * a.width, warp_size), threads,
           shared_array_bytes(static_cast<std::size_t>(threads) * sizeof(float)), stream, a.dweight, a.dbias,
           a.workspace, slices, a.width);
}

template <bool centred>
std::int64_t backward_workspace(std::int64_t width) {
    return with_layout(width, [&](auto layout) {
        return std::int64_t{decltype(layout)::max_slices(width)} * results<centred> * width;
    });
}

}  // namespace cuda::norm_detail
