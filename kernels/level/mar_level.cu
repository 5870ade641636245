// A cluster of D / 32 blocks computes one sequence, since with few sequences nothing but latency counts: a chain of
// kernels costs 2 us for each, whose work is a fraction of that.
//
// Who does what. Every block keeps the whole residual stream in registers, a row per warp and 8 columns per
// lane, so that a layer normalisation is local; all blocks compute the same. Of a product a block computes its
// columns: 32 of q, k and v (half a head), 32 behind the projection, 128 of the hidden layer. Attention is shared by
// the two blocks of a head by tiles of 16 queries, with all keys in registers as in attention_short.cuh. fc2 is summed
// by parts: a block multiplies its 128 values of the hidden layer with all columns, and the owner of 32 columns adds
// the parts in the order of ranks, so that bits stay.
//
// Exchange. What others need is stored into their shared memory, rounded as it would be in front of the next
// product; the parts of fc2 are read by their owner. Between writing and reading lies a barrier of the cluster,
// five for a block of the transformer:
//
//   q, k, v | attention | projection | fc1, parts of fc2 | their sum |
//
// Weights. A block's share of a transformer's block (197 KB at width 256) comes by three bulk copies, qkv with proj,
// fc1, fc2. Two of them fit into shared memory at once: as soon as one has been used, the one behind the next comes
// into its place, of which fc2 has the least time, that of the projection's exchange and of fc1.
//
// Why not 16 blocks: they would read half as many weights each, which are not what takes the time. What a block gets
// from its partners is the same, and half as many sequences run at once: of one picture's guided pairs, those of a
// step would share a cluster and exchange twice as many rows.
//
// Traded: products have 32 rows whether they are used or not, and some warps idle in most of them.
//
// ptxas budget: 128 registers, no spills
#include "kernels/level/mar_level.h"

#include <stdexcept>

#include "kernels/common/chunk.cuh"
#include "kernels/common/cluster.cuh"
#include "kernels/layout/neighbour_place.cuh"
#include "kernels/level/mar_level_layout.h"
#include "kernels/linear/mma_fragments.cuh"

namespace cuda {
namespace mar_level_detail {  // not without a name: what only GPUs with clusters use is unused elsewhere

using namespace mma;

constexpr float epsilon = 1e-6f;
constexpr float log2_e = 1.44269504f;
constexpr int level_threads = 512, level_warps = level_threads / warp_size;
constexpr int m_tiles = most_length / 16, rows_per_warp = most_length / level_warps;

struct Job {
    bf16* y;
    const float* patches;
    const bf16 *conditions, *guide;
    const std::uint8_t* mask;
    const std::int32_t* selected;
    const float* level;          // LevelLayout
    const unsigned char* slabs;  // [blocks, ranks, slabs]
    LevelLayout layout;
    int tokens, conditions_per_sequence, prefix, width, blocks, inputs, side, next_conditions, drawn;
};

// 8 columns of each row of this warp.
using Rows = Chunk[rows_per_warp];

struct Level {
    const Job& job;
    bf16 *normed, *update;   // [rows, D]
    float* partial;          // [rows, D]
    bf16* query;             // [16, 64], and behind it keys and values [32, 64] each
    bf16* stage;             // results on their way to other blocks, or the hidden layer
    unsigned char* weights;  // two bulk copies
    std::uint64_t* arrived;  // their mbarriers
    int rank, length;
    std::uint64_t* rows_used;  // a bit for each row: all, but in the last block those that are drawn from

    __device__ int ranks() const { return job.width / piece; }
    __device__ bool in_use(int row) const { return row < length && (*rows_used >> row & 1) != 0; }
    __device__ int stride() const { return stride_of(job.width); }
    __device__ static int warp() { return static_cast<int>(threadIdx.x) / warp_size; }
    __device__ static int row_of(int i) { return warp() + i * level_warps; }
    __device__ static int column() { return lane_index() * chunk_size; }
    __device__ bool has_column() const { return column() < job.width; }

    // ---- weights ----

    // Bulk copies are numbered through all blocks of the transformer; every other one has the same place.
    __device__ const unsigned char* slab(Slab which, int block) const {
        const int load = load_of(which);
        return weights + (block * loads + load) % 2 * load_bytes(job.width) +
               (slab_start(which, job.width) - load_start(load, job.width));
    }
    __device__ const float* norm(Slab which, int block) const {
        return reinterpret_cast<const float*>(slab(which, block));
    }
    __device__ const float* bias(Slab which, int block) const {
        return reinterpret_cast<const float*>(slab(which, block) + slab_layout(which, job.width).bias);
    }
    // By one thread, when all threads have read what was there.
    __device__ void fetch(int number) const {
        const int load = number % loads, start = load_start(load, job.width),
                  half = number % 2;
        const auto bytes = static_cast<unsigned>(load_start(load + 1, job.width) - start);
        const std::int64_t all = slab_start(slab_count, job.width);
        mbarrier_arrive(arrived + half, bytes);
        copy_bulk(weights + half * load_bytes(job.width),
                  job.slabs + (static_cast<std::int64_t>(number / loads) * ranks() + rank) * all + start, bytes,
                  arrived + half);
    }
    __device__ void wait_for(Slab which, int block) const {
        const int number = block * loads + load_of(which);
        mbarrier_wait(arrived + number % 2, number / 2 % 2u);
    }
    // The bulk copy that ends with this slab has been used by all threads.
    __device__ void fetch_behind(Slab which, int block) const {
        const int next = block * loads + load_of(which) + 2;
        if (threadIdx.x == 0 && next < job.blocks * loads) fetch(next);
    }

    // ---- rows ----

    // to = normalised row, rounded; `norm`: weight [D], then bias [D].
    __device__ Chunk normalized(const Chunk& row, const float* norm) const {
        const auto width = static_cast<float>(job.width);
        Chunk weight{}, bias{};
        if (has_column()) {
            weight = load_chunk(norm + column());
            bias = load_chunk(norm + job.width + column());
        }
        float total = 0, squares = 0;
#pragma unroll
        for (int i = 0; i < chunk_size; ++i) total += row[i];
        const float mean = warp_sum(total) / width;
        Chunk result;
#pragma unroll
        for (int i = 0; i < chunk_size; ++i) {
            result[i] = row[i] - mean;
            if (has_column()) squares += result[i] * result[i];
        }
        const float rstd = 1.0f / sqrtf(warp_sum(squares) / width + epsilon);
#pragma unroll
        for (int i = 0; i < chunk_size; ++i) result[i] = result[i] * (rstd * weight[i]) + bias[i];
        return result;
    }
    __device__ void normalize(const Rows& x, const float* norm) const {
#pragma unroll
        for (int i = 0; i < rows_per_warp; ++i) {
            const int row = row_of(i);
            if (!in_use(row)) continue;
            const Chunk result = normalized(x[i], norm);
            if (has_column()) store_chunk(normed + row * stride() + column(), result);
        }
    }
    __device__ void add_update(Rows& x) const {
#pragma unroll
        for (int i = 0; i < rows_per_warp; ++i) {
            const int row = row_of(i);
            if (!in_use(row) || !has_column()) continue;
            const Chunk change = load_chunk(update + row * stride() + column());
#pragma unroll
            for (int c = 0; c < chunk_size; ++c) x[i][c] += change[c];
        }
    }

    // The token of a patch, 8 columns of it.
    __device__ Chunk patch_token(const float* patch) const {
        Chunk sum{};
        for (int k = 0; k < job.inputs; ++k) {
            const float value = to_float(round_to_bf16(patch[k]));
            const Chunk weight = load_chunk(job.level + job.layout.patch_weight + k * job.width + column());
#pragma unroll
            for (int i = 0; i < chunk_size; ++i) sum[i] += value * weight[i];
        }
        const Chunk bias = load_chunk(job.level + job.layout.patch_bias + column());
#pragma unroll
        for (int i = 0; i < chunk_size; ++i) sum[i] = to_float(round_to_bf16(sum[i] + bias[i]));
        return sum;
    }
    __device__ Chunk token(int row, std::int64_t sequence) const {
        if (row >= length || !has_column()) return {};
        Chunk sum;
        if (row < job.prefix) {
            const int condition = job.prefix - 1 - row;
            sum = load_chunk(
                (condition < job.conditions_per_sequence
                     ? job.conditions + (sequence * job.conditions_per_sequence + condition) * job.width
                     : job.guide + sequence * job.width) +
                column());
        } else {
            const std::int64_t patch = sequence * job.tokens + row - job.prefix;
            sum = job.mask[patch] != 0 ? load_chunk(job.level + job.layout.mask_token + column())
                                       : patch_token(job.patches + patch * job.inputs);
        }
        const Chunk position = load_chunk(job.level + job.layout.positions + row * job.width + column());
#pragma unroll
        for (int i = 0; i < chunk_size; ++i) sum[i] += position[i];
        return sum;
    }
    __device__ void start(Rows& x, std::int64_t sequence) const {
#pragma unroll
        for (int i = 0; i < rows_per_warp; ++i) {
            x[i] = token(row_of(i), sequence);
            if (row_of(i) < length) x[i] = normalized(x[i], job.level + job.layout.patch_norm);
        }
    }
    // Row of condition j of drawn patch k; -1 beyond the border, -2 if the patch is another cluster's.
    __device__ int row_of_condition(int k, int j, std::int64_t sequence) const {
        const int index = job.selected[k], m = index / job.tokens;
        if (m != sequence) return -2;
        const NeighbourPlace place(index - m * job.tokens, job.side, j, 1);
        if (!place.inside(job.side)) return -1;
        return job.prefix + place.row * job.side + place.column;
    }
    __device__ std::uint64_t rows_drawn_from(std::int64_t sequence) const {
        std::uint64_t bits = 0;
        for (int i = lane_index(); i < job.drawn * job.next_conditions; i += warp_size) {
            const int row = row_of_condition(i / job.next_conditions, i % job.next_conditions, sequence);
            if (row >= 0) bits |= std::uint64_t{1} << row;
        }
        for (int distance = warp_size / 2; distance > 0; distance /= 2)
            bits |= __shfl_xor_sync(all_lanes, bits, distance);
        return bits;
    }
    // Rows are shared among the blocks, which all have all of them.
    __device__ void write_conditions(const Rows& x, std::int64_t sequence) const {
        normalize(x, job.level + job.layout.norm);
        __syncthreads();
        for (int i = rank * level_warps + warp(); i < job.drawn * job.next_conditions;
             i += ranks() * level_warps) {
            const int row = row_of_condition(i / job.next_conditions, i % job.next_conditions, sequence);
            if (row == -2 || !has_column()) continue;
            const Chunk values = row < 0 ? Chunk{} : load_chunk(normed + row * stride() + column());
            store_chunk(job.y + static_cast<std::int64_t>(i) * job.width + column(), values);
        }
    }

    // ---- products ----

    // Every warp takes tiles of 8 outputs, with all rows: emit(row, column, low, high) for two neighbours.
    template <class Emit>
    __device__ void multiply(Slab which, int block, const bf16* input, int input_stride,
                             const Emit& emit) const {
        const SlabLayout layout = slab_layout(which, job.width);
        const int pairs = depth_of(which, job.width) / tile_depth,
                  tiles = outputs_of(which, job.width) / tile_outputs, lane = lane_index();
        for (int tile = warp(); tile < tiles; tile += level_warps) {
            const auto* fragments = reinterpret_cast<const std::uint32_t*>(
                slab(which, block) + layout.tiles + tile * pairs * tile_bytes + lane * 16);
            Accumulator sums[m_tiles] = {};
#pragma unroll 1
            for (int pair = 0; pair < pairs; ++pair) {
                const Packed<std::uint32_t> b = load_packed(fragments + pair * (tile_bytes / 4));
#pragma unroll
                for (int half = 0; half < 2; ++half) {
                    const FragmentB right = {b[2 * half], b[2 * half + 1]};
#pragma unroll
                    for (int m = 0; m < m_tiles; ++m) {
                        FragmentA left;
                        load_a(left, input, input_stride, 16 * m, pair * tile_depth + 16 * half);
                        mma_m16n8k16(sums[m], left, right);
                    }
                }
            }
            const int column = tile * tile_outputs + lane % 4 * 2;
#pragma unroll
            for (int m = 0; m < m_tiles; ++m)
#pragma unroll
                for (int lower = 0; lower < 2; ++lower)
                    emit(16 * m + 8 * lower + lane / 4, column, sums[m][2 * lower], sums[m][2 * lower + 1]);
        }
    }
    __device__ void store_pair(int row, int column, float low, float high) const {
        *reinterpret_cast<std::uint32_t*>(stage + row * stride_of(hidden_piece) + column) =
            pack_bf16(low, high);
    }

    // ---- what other blocks get ----

    // This block's columns of all rows, from the stage into everyone's update.
    __device__ void send_update() const {
        constexpr int chunks = piece / chunk_size;
#pragma unroll 1
        for (int i = static_cast<int>(threadIdx.x); i < length * chunks * ranks(); i += level_threads) {
            const int chunk = i % chunks, row = i / chunks % length, to = i / (chunks * length);
            if (!in_use(row)) continue;
            store_to_rank(update + row * stride() + rank * piece + chunk * chunk_size, to,
                          load_packed(stage + row * stride_of(hidden_piece) + chunk * chunk_size));
        }
    }

    // Of the stage's q, k and v, 32 columns each: to block `part` of this head the queries from row 16 part on, and
    // all keys and values; zeros where the sequence has ended.
    __device__ void send_qkv() const {
        constexpr int chunks = piece / chunk_size, stride = stride_of(head_dim);
        const int first = rank / ranks_per_head * ranks_per_head;
#pragma unroll 1
        for (int i = static_cast<int>(threadIdx.x); i < attention_rows * chunks * ranks_per_head;
             i += level_threads) {
            const int chunk = i % chunks, place = i / chunks % attention_rows,
                      part = i / (chunks * attention_rows);
            const int token = place < 16 ? part * 16 + place : (place - 16) % most_length,
                      kind = place < 16 ? 0 : 1 + (place - 16) / most_length;
            Packed<bf16> values{};
            if (token < length)
                values = load_packed(stage + token * stride_of(hidden_piece) + kind * piece +
                                     chunk * chunk_size);
            store_to_rank(query + place * stride + (rank - first) * piece + chunk * chunk_size, first + part,
                          values);
        }
    }

    // ---- attention ----

    // Four warps: each has all scores of the 16 queries, and 16 columns of the result.
    __device__ void attend() const {
        constexpr int stride = stride_of(head_dim), n_tiles = most_length / 8;
        const int first_token = rank % ranks_per_head * 16;
        if (first_token >= length) return;
        if (warp() < head_dim / 16) {
            Accumulator s[n_tiles] = {};
#pragma unroll
            for (int k = 0; k < head_dim; k += 16) {
                FragmentA left;
                load_a(left, query, stride, 0, k);
#pragma unroll
                for (int n = 0; n < n_tiles; n += 2) {
                    FragmentB right[2];
                    load_b(right, query, stride, 16 + 8 * n, k);
                    mma_m16n8k16(s[n], left, right[0]);
                    mma_m16n8k16(s[n + 1], left, right[1]);
                }
            }
            float factor[2];
            const float scale_log2 = log2_e / sqrtf(static_cast<float>(head_dim));
#pragma unroll
            for (int lower = 0; lower < 2; ++lower) {
                float maximum = -INFINITY, sum = 0;
#pragma unroll
                for (int n = 0; n < n_tiles; ++n)
#pragma unroll
                    for (int e = 0; e < 2; ++e) {
                        float& score = s[n][2 * lower + e];
                        if (8 * n + lane_index() % 4 * 2 + e >= length) score = -INFINITY;
                        maximum = fmaxf(maximum, score);
                    }
                maximum = quad_max(maximum);
#pragma unroll
                for (int n = 0; n < n_tiles; ++n)
#pragma unroll
                    for (int e = 0; e < 2; ++e) {
                        float& weight = s[n][2 * lower + e];
                        weight = exp2_approximate((weight - maximum) * scale_log2);
                        sum += weight;
                    }
                factor[lower] = 1.0f / quad_sum(sum);
            }
            Accumulator sums[2] = {};
#pragma unroll
            for (int k = 0; k < most_length; k += 16) {
                FragmentA exponentials;
                FragmentB right[2];
                as_a(exponentials, s[k / 8], s[k / 8 + 1]);
                load_b_transposed(right, query, stride, 16 + most_length + k, 16 * warp());
                mma_m16n8k16(sums[0], exponentials, right[0]);
                mma_m16n8k16(sums[1], exponentials, right[1]);
            }
            store_results(stage, stride_of(hidden_piece), 0, 16 * warp(), sums, factor[0], factor[1]);
        }
        __syncthreads();
        constexpr int chunks = head_dim / chunk_size;
        const int queries = min(16, length - first_token), head = rank / ranks_per_head;
#pragma unroll 1
        for (int i = static_cast<int>(threadIdx.x); i < queries * chunks * ranks(); i += level_threads) {
            const int chunk = i % chunks, row = i / chunks % queries, to = i / (chunks * queries);
            if (!in_use(first_token + row)) continue;
            store_to_rank(
                normed + (first_token + row) * this->stride() + head * head_dim + chunk * chunk_size, to,
                load_packed(stage + row * stride_of(hidden_piece) + chunk * chunk_size));
        }
    }

    // ---- a block of the transformer ----

    // The sum of all blocks' parts for this block's columns, 4 of a row per thread, in the order of ranks.
    __device__ void add_parts(int block) const {
        constexpr int count = Packed<float>::count, chunks = piece / count;
        const int i = static_cast<int>(threadIdx.x), row = i / chunks, column = i % chunks * count;
        if (!in_use(row)) return;
        Packed<float> sum{};
#pragma unroll 2
        for (int from = 0; from < ranks(); ++from) {
            const Packed<float> part = load_from_rank(partial + row * stride() + rank * piece + column, from);
#pragma unroll
            for (int c = 0; c < count; ++c) sum[c] += part[c];
        }
        const float* b = bias(fc2, block) + column;
        store_pair(row, column, sum[0] + b[0], sum[1] + b[1]);
        store_pair(row, column + 2, sum[2] + b[2], sum[3] + b[3]);
    }

    // x is complete but for the update, here and behind. The numbers of the phases are the barriers'. Behind queries,
    // keys and values the last block goes on with the rows that are drawn from.
    __device__ void transform(Rows& x, int block, std::int64_t sequence) const {
        wait_for(qkv, block);
        normalize(x, norm(qkv, block));
        __syncthreads();
        multiply(qkv, block, normed, stride(), [&](int row, int column, float low, float high) {
            store_pair(row, column, low + bias(qkv, block)[column], high + bias(qkv, block)[column + 1]);
        });
        __syncthreads();
        send_qkv();
        if (block + 1 == job.blocks && warp() == 0) {
            const std::uint64_t bits = rows_drawn_from(sequence);
            if (lane_index() == 0) *rows_used = bits;
        }
        cluster_barrier();  // 1: queries, keys, values

        attend();
        cluster_barrier();  // 2: attention's result, in `normed`
        multiply(proj, block, normed, stride(), [&](int row, int column, float low, float high) {
            store_pair(row, column, low + bias(proj, block)[column], high + bias(proj, block)[column + 1]);
        });
        __syncthreads();
        fetch_behind(proj, block);
        send_update();
        cluster_barrier();  // 3: the projection

        wait_for(fc1, block);
        add_update(x);
        normalize(x, norm(fc1, block));
        __syncthreads();
        multiply(fc1, block, normed, stride(), [&](int row, int column, float low, float high) {
            store_pair(row, column, gelu(low + bias(fc1, block)[column]),
                       gelu(high + bias(fc1, block)[column + 1]));
        });
        __syncthreads();
        fetch_behind(fc1, block);
        wait_for(fc2, block);
        multiply(fc2, block, stage, stride_of(hidden_piece), [&](int row, int column, float low, float high) {
            *reinterpret_cast<float2*>(partial + row * stride() + column) = make_float2(low, high);
        });
        cluster_barrier();  // 4: the parts of fc2

        add_parts(block);
        __syncthreads();
        fetch_behind(fc2, block);
        send_update();
        cluster_barrier();  // 5: the MLP
        add_update(x);
    }
};

}  // namespace mar_level_detail

namespace {

using namespace mar_level_detail;

__global__ void __launch_bounds__(level_threads, 1) level_forward(Job job) {
    wait_for_previous_kernel();
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ < 900
    static_cast<void>(job);  // never launched: no clusters
#else
    SharedMemory shared;
    const SharedLayout layout = shared_layout(job.width);
    bf16* normed = shared.take<bf16>(layout.normed);
    bf16* update = shared.take<bf16>(layout.update);
    float* partial = shared.take<float>(layout.partial);
    bf16* attention = shared.take<bf16>(layout.attention);
    bf16* stage = shared.take<bf16>(layout.stage);
    unsigned char* weights = shared.take<unsigned char>(layout.weights);
    std::uint64_t* arrived = shared.take<std::uint64_t>(state_words);
    std::uint64_t* rows_used = arrived + 2;
    const Level level{job,      normed,  update,  partial,        attention,
                      stage,    weights, arrived, cluster_rank(), job.prefix + job.tokens,
                      rows_used};
    if (threadIdx.x == 0) {
        *rows_used = ~std::uint64_t{0};
        for (int first = 0; first < 2; ++first) {
            mbarrier_init(arrived + first, 1);
            level.fetch(first);
        }
    }
    cluster_barrier();  // the partners have started, the mbarriers are there

    const std::int64_t sequence = static_cast<int>(blockIdx.x) / cluster_ranks();
    Rows x;
    level.start(x, sequence);
    for (int block = 0; block < job.blocks; ++block) level.transform(x, block, sequence);
    level.write_conditions(x, sequence);
#endif
}

ClusterLaunch launch_of(const MarLevelShape& shape) {
    const auto ranks = static_cast<unsigned>(mar_level_ranks(shape));
    return {blocks_for(shape.sequences * ranks, 1), ranks, level_threads, mar_level_shared_bytes(shape)};
}

}  // namespace

std::int64_t mar_level_resident(const MarLevelShape& shape) {
    return mar_level_has_shape(shape) ? resident_clusters(level_forward, launch_of(shape)) : 0;
}

void mar_level_forward(Stream stream, bf16* y, const float* patches, const bf16* conditions,
                       const bf16* guide, const std::uint8_t* mask, const std::int32_t* selected,
                       const bf16* packed, const MarLevelShape& shape) {
    if (!mar_level_has_shape(shape)) throw std::runtime_error("CUDA: no cluster for a level of this shape");
    if (shape.sequences == 0 || shape.drawn == 0) return;
    const LevelLayout layout = level_layout(shape.length(), shape.width, shape.inputs);
    int side = 1;
    while (side * side < shape.tokens) ++side;
    const Job job{y,
                  patches,
                  conditions,
                  guide,
                  mask,
                  selected,
                  reinterpret_cast<const float*>(packed),
                  reinterpret_cast<const unsigned char*>(packed) + 4 * layout.count,
                  layout,
                  static_cast<int>(shape.tokens),
                  static_cast<int>(shape.conditions),
                  static_cast<int>(shape.length() - shape.tokens),
                  static_cast<int>(shape.width),
                  static_cast<int>(shape.blocks),
                  static_cast<int>(shape.inputs),
                  side,
                  static_cast<int>(shape.next_conditions),
                  static_cast<int>(shape.drawn)};
    launch_clusters(level_forward, launch_of(shape), stream, job);
}

}  // namespace cuda
