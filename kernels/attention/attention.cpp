#include "kernels/attention/attention.h"

#include <cmath>

#include "kernels/attention/attention_dropout.h"
#include "kernels/attention/attention_short.h"
#include "kernels/attention/attention_tile.h"
#include "kernels/common/simd.h"
#include "kernels/common/threads.h"

namespace cpu {
namespace attention {
namespace {

constexpr float masked_score = -1e30f;  // finite, so that differences of scores never become NaN

// Keys pass by once per group of queries: up to 4 tiles, fewer if head_dim > 64, so that a group's rows fill
// 64 KiB.
constexpr int max_group_tiles = 4;
int tiles_of_group(int row_width) {
    return std::clamp(max_head_dim / row_width, 1, max_group_tiles);
}

using Rows = float[tile_rows * max_head_dim];  // [64][row_width], or several such: those of a group
using GroupRow = float[max_group_tiles * tile_rows];

// One head of qkv [S, L, 3, H, d] and of out [S, L, H, d]: starts and strides, in floats.
struct Head {
    std::int64_t sequence, index, length, qkv_stride, out_stride, qkv_start, out_start, lse_start;
    int head_dim, row_width, group_queries;  // row_width: head_dim rounded up to 16
    float scale;
    Head(const AttentionShape& shape, std::int64_t task)
        : sequence(task / shape.heads),
          index(task % shape.heads),
          length(shape.length),
          qkv_stride(3 * shape.heads * shape.head_dim),
          out_stride(shape.heads * shape.head_dim),
          qkv_start(sequence * length * qkv_stride + index * shape.head_dim),
          out_start(sequence * length * out_stride + index * shape.head_dim),
          lse_start(task * length),
          head_dim(static_cast<int>(shape.head_dim)),
          row_width(round_up_to_lanes(head_dim)),
          group_queries(tile_rows * tiles_of_group(row_width)),
          scale(1 / std::sqrt(static_cast<float>(shape.head_dim))) {}
    int rows_from(std::int64_t first) const {  // of the tile that starts there
        return static_cast<int>(std::min<std::int64_t>(tile_rows, length - first));
    }
};

// The rows themselves, or a dense copy of them in `room` filled up with zeros: where head_dim is not a
// multiple of 16, and in long sequences, since rows 12 H d bytes apart share few sets of the caches and are
// used by many tiles.
RowView whole_rows(float* room, const float* source, std::int64_t stride, int rows, const Head& head) {
    if (head.head_dim == head.row_width && head.length <= tile_rows) return {source, stride};
    float* target = room;
    for (int r = 0; r < rows; ++r, target += head.row_width, source += stride) {
        std::copy_n(source, head.head_dim, target);
        std::fill(target + head.head_dim, target + head.row_width, 0.0f);
    }
    return {room, head.row_width};
}

// target [row_width][64] = transpose of the rows; beyond them the last is repeated up to a multiple of 16.
void transpose_rows(float* target, const RowView& source, int rows, const Head& head) {
    for (int row = 0; row < rows; row += lanes) {
        for (int c = 0; c < head.row_width; c += lanes) {
            const float* row_start[lanes];
            for (int r = 0; r < lanes; ++r)
                row_start[r] = source.start + std::min(row + r, rows - 1) * source.stride + c;
            transpose_16x16(target + c * tile_rows + row, tile_rows, row_start);
        }
    }
}

// Entries of keys that come after the query become `value`, in the 16 x 16 triangle of these lanes (queries);
// queries and keys count from the same token.
void mask_later_keys(Tile& tile, int first_lane, int keys, float value) {
    for (int j = first_lane; j < std::min(keys, first_lane + lanes); ++j) {
        float* entry = &tile[j][first_lane];
#pragma omp simd
        for (int lane = 0; lane < lanes; ++lane) entry[lane] = first_lane + lane < j ? value : entry[lane];
    }
}

// All entries of keys that come after the query become zero, from the triangle on.
void zero_later_keys(Tile& tile, int first_lane, int keys) {
    mask_later_keys(tile, first_lane, keys, 0);
    for (int j = first_lane + lanes; j < keys; ++j)
        std::memset(&tile[j][first_lane], 0, lanes * sizeof(float));
}

struct ForwardTiles {
    alignas(64) Rows query, query_transposed, key, value;
    alignas(64) Tile weights;                      // [key][query]: scores, then exp(score - maximum)
    alignas(64) GroupRow maximum, sum, keep, add;  // per query; out = keep * out + add * (weights . value)
    DropoutTile dropout;
};

// Over the keys so far and those of this tile. Two chains, for even and odd keys, hide the latency of the
// comparison.
void store_maximum(float* target, const float* so_far, const Tile& scores, int first_lane, int keys) {
    Vector even, odd, score;
    load(even, so_far);
    odd = even;
    for (int j = 0; j + 1 < keys; j += 2) {
        load(score, &scores[j][first_lane]);
        even = maximum(score, even);
        load(score, &scores[j + 1][first_lane]);
        odd = maximum(score, odd);
    }
    load(score, &scores[keys - 1][first_lane]);
    store(target, maximum(even, maximum(score, odd)));
}

// scores -> weights; updates maximum and sum of these queries, which start at `offset` in their group, and
// sets keep and add so that `out` is normalised after every tile.
void online_softmax(ForwardTiles& tiles, int offset, int queries, int keys, bool diagonal, float scale) {
    for (int first = 0; first < queries; first += lanes) {
        const int end = diagonal ? std::min(keys, first + lanes) : keys;
        if (diagonal) mask_later_keys(tiles.weights, first, keys, masked_score);
        alignas(64) float new_maximum[lanes], sum[lanes] = {};
        store_maximum(new_maximum, tiles.maximum + offset + first, tiles.weights, first, end);
        for (int j = 0; j < end; ++j) {
            float* weight = &tiles.weights[j][first];
#pragma omp simd
            for (int lane = 0; lane < lanes; ++lane) {
                weight[lane] = fast_exp(weight[lane] * scale - new_maximum[lane] * scale);
                sum[lane] += weight[lane];
            }
        }
        if (diagonal) zero_later_keys(tiles.weights, first, keys);
#pragma omp simd
        for (int lane = 0; lane < lanes; ++lane) {
            const int i = offset + first + lane;
            const float old_sum = tiles.sum[i] * fast_exp((tiles.maximum[i] - new_maximum[lane]) * scale);
            const float new_sum = old_sum + sum[lane];
            tiles.maximum[i] = new_maximum[lane];
            tiles.sum[i] = new_sum;
            tiles.add[i] = 1 / new_sum;
            tiles.keep[i] = old_sum / new_sum;
        }
    }
}

void multiply(Tile& target, const Tile& factor, int queries, int keys) {
    for (int j = 0; j < keys; ++j)
#pragma omp simd
        for (int i = 0; i < queries; ++i) target[j][i] *= factor[j][i];
}

// One tile of queries, at `offset` in its group, against the keys and values of one tile.
void forward_tile(ForwardTiles& tiles, float* out, const RowView& key, const RowView& value, const Head& head,
                  const AttentionDropout& dropout, std::int64_t first_query, int offset,
                  std::int64_t first_key, bool diagonal) {
    const int queries = head.rows_from(first_query), keys = head.rows_from(first_key);
    product({.C = {tiles.weights[0], tile_rows},
             .A = {key.start, key.stride, 1},
             .B = {tiles.query_transposed + offset * head.row_width, tile_rows},
             .rows = keys,
             .columns = round_up_to_lanes(queries),
             .inner = head.head_dim,
             .causal = diagonal ? Causal::columns_from_row : Causal::none});
    online_softmax(tiles, offset, queries, keys, diagonal, head.scale);
    if (dropout.probability > 0) {
        tiles.dropout.draw(dropout,
                           {head.sequence, head.index, head.length, first_query, first_key, queries, keys});
        multiply(tiles.weights, tiles.dropout.factor, queries, keys);
    }
    product({.C = {out + head.out_start + first_query * head.out_stride, head.out_stride},
             .A = {tiles.weights[0], 1, tile_rows},
             .B = value,
             .rows = queries,
             .columns = head.head_dim,
             .inner = keys,
             .causal = diagonal ? Causal::inner_up_to_row : Causal::none,
             .keep = first_key == 0 ? nullptr : tiles.keep + offset,
             .add = tiles.add + offset});
}

// The queries from first_query on, up to group_queries of them.
void forward_group(ForwardTiles& tiles, float* out, float* log_sum_exp, const float* qkv,
                   const AttentionShape& shape, const AttentionDropout& dropout, std::int64_t task,
                   std::int64_t first_query) {
    const Head head(shape, task);
    const std::int64_t stride = head.qkv_stride,
                       end = std::min(head.length, first_query + head.group_queries);
    const float* query = qkv + head.qkv_start;
    const float *key = query + head.out_stride, *value = key + head.out_stride;
    const int queries = static_cast<int>(end - first_query);

    for (std::int64_t first = first_query; first < end; first += tile_rows) {
        const int rows = head.rows_from(first);
        transpose_rows(tiles.query_transposed + (first - first_query) * head.row_width,
                       whole_rows(tiles.query, query + first * stride, stride, rows, head), rows, head);
    }
    std::fill_n(tiles.maximum, round_up_to_lanes(queries), masked_score);
    std::fill_n(tiles.sum, round_up_to_lanes(queries), 0.0f);
    for (std::int64_t first_key = 0; first_key < (shape.causal ? end : head.length); first_key += tile_rows) {
        const int keys = head.rows_from(first_key);
        const RowView key_rows = whole_rows(tiles.key, key + first_key * stride, stride, keys, head);
        const RowView value_rows = whole_rows(tiles.value, value + first_key * stride, stride, keys, head);
        const std::int64_t first_seeing = shape.causal ? std::max(first_query, first_key) : first_query;
        for (std::int64_t first = first_seeing; first < end; first += tile_rows)
            forward_tile(tiles, out, key_rows, value_rows, head, dropout, first,
                         static_cast<int>(first - first_query), first_key,
                         shape.causal && first == first_key);
    }
    float* lse = log_sum_exp + head.lse_start + first_query;
#pragma omp simd
    for (int i = 0; i < queries; ++i) lse[i] = tiles.maximum[i] * head.scale + log_of_sum(tiles.sum[i]);
}

struct BackwardTiles {
    alignas(64) Rows query, query_transposed, d_out, d_out_transposed, key, value;
    alignas(64) Tile weights, d_scores;  // [key][query]
    alignas(64) GroupRow log_sum_exp, out_dot_d_out;
    alignas(64) TileRow ones, scale;
    DropoutTile dropout;
};

// weights: scores -> Z P, the factor of dout in dv; d_scores: dout . v -> P (Z (dout . v) - D).
void score_gradients(BackwardTiles& tiles, int offset, int queries, int keys, bool diagonal, bool has_dropout,
                     float scale) {
    for (int first = 0; first < queries; first += lanes) {
        const int end = diagonal ? std::min(keys, first + lanes) : keys;
        const float* log_sum_exp = tiles.log_sum_exp + offset + first;
        const float* out_dot_d_out = tiles.out_dot_d_out + offset + first;
        for (int j = 0; j < end; ++j) {
            float *weight = &tiles.weights[j][first], *d_score = &tiles.d_scores[j][first];
            const float* factor = has_dropout ? &tiles.dropout.factor[j][first] : tiles.ones;
#pragma omp simd
            for (int lane = 0; lane < lanes; ++lane) {
                const float p = fast_exp(weight[lane] * scale - log_sum_exp[lane]), z = factor[lane];
                d_score[lane] = p * (z * d_score[lane] - out_dot_d_out[lane]);
                weight[lane] = z * p;
            }
        }
        if (diagonal) {
            zero_later_keys(tiles.weights, first, keys);
            zero_later_keys(tiles.d_scores, first, keys);
        }
    }
}

// The rows of one tile of queries, as the products read them.
struct QueryTile {
    std::int64_t first;
    RowView query, d_out;
};

QueryTile load_query_tile(BackwardTiles& tiles, const float* d_out, const float* out,
                          const float* log_sum_exp, const float* qkv, const Head& head, std::int64_t first,
                          int offset) {
    const int queries = head.rows_from(first), room = offset * head.row_width;
    const std::int64_t out_row = head.out_start + first * head.out_stride;
    const QueryTile tile{first,
                         whole_rows(tiles.query + room, qkv + head.qkv_start + first * head.qkv_stride,
                                    head.qkv_stride, queries, head),
                         whole_rows(tiles.d_out + room, d_out + out_row, head.out_stride, queries, head)};
    transpose_rows(tiles.query_transposed + room, tile.query, queries, head);
    transpose_rows(tiles.d_out_transposed + room, tile.d_out, queries, head);
    for (int i = 0; i < queries; i += lanes) {
        const std::int64_t row = out_row + i * head.out_stride;
        dot_rows(tiles.out_dot_d_out + offset + i, d_out + row, head.out_stride, out + row, head.out_stride,
                 std::min(queries - i, lanes), head.head_dim);
    }
    float* lse = tiles.log_sum_exp + offset;
    std::copy_n(log_sum_exp + head.lse_start + first, queries, lse);
    std::fill(lse + queries, lse + round_up_to_lanes(queries), 0.0f);
    return tile;
}

// One tile of queries, at `offset` in its group, against the keys and values of one tile.
void backward_tile(BackwardTiles& tiles, float* d_qkv, const QueryTile& query_tile, const RowView& key,
                   const RowView& value, const Head& head, const AttentionDropout& dropout, int offset,
                   std::int64_t first_key, bool causal) {
    const std::int64_t stride = head.qkv_stride, part = head.out_stride, first_query = query_tile.first;
    const int queries = head.rows_from(first_query), keys = head.rows_from(first_key);
    const bool diagonal = causal && first_key == first_query;
    const bool first_visit = causal ? diagonal : first_query == 0;  // of these rows of dk and dv
    float* d_query = d_qkv + head.qkv_start + first_query * stride;
    float* d_key = d_qkv + head.qkv_start + first_key * stride + part;

    Product scores{.C = {tiles.weights[0], tile_rows},
                   .A = {key.start, key.stride, 1},
                   .B = {tiles.query_transposed + offset * head.row_width, tile_rows},
                   .rows = keys,
                   .columns = round_up_to_lanes(queries),
                   .inner = head.head_dim,
                   .causal = diagonal ? Causal::columns_from_row : Causal::none};
    product(scores);
    scores.C = {tiles.d_scores[0], tile_rows};
    scores.A = {value.start, value.stride, 1};
    scores.B = {tiles.d_out_transposed + offset * head.row_width, tile_rows};
    product(scores);
    const bool has_dropout = dropout.probability > 0;
    if (has_dropout)
        tiles.dropout.draw(dropout,
                           {head.sequence, head.index, head.length, first_query, first_key, queries, keys});
    score_gradients(tiles, offset, queries, keys, diagonal, has_dropout, head.scale);

    Product to_keys{.C = {d_key, stride},
                    .A = {tiles.d_scores[0], tile_rows, 1},
                    .B = query_tile.query,
                    .rows = keys,
                    .columns = head.head_dim,
                    .inner = queries,
                    .causal = diagonal ? Causal::inner_from_row : Causal::none,
                    .keep = first_visit ? nullptr : tiles.ones,
                    .add = tiles.scale};
    product(to_keys);
    to_keys.C = {d_key + part, stride};  // dv
    to_keys.A = {tiles.weights[0], tile_rows, 1};
    to_keys.B = query_tile.d_out;
    to_keys.add = nullptr;
    product(to_keys);
    product({.C = {d_query, stride},
             .A = {tiles.d_scores[0], 1, tile_rows},
             .B = key,
             .rows = queries,
             .columns = head.head_dim,
             .inner = keys,
             .causal = diagonal ? Causal::inner_up_to_row : Causal::none,
             .keep = first_key == 0 ? nullptr : tiles.ones,
             .add = tiles.scale});
}

// The queries from first_query on, up to group_queries of them.
void backward_group(BackwardTiles& tiles, float* d_qkv, const float* d_out, const float* out,
                    const float* log_sum_exp, const float* qkv, const AttentionShape& shape,
                    const AttentionDropout& dropout, const Head& head, std::int64_t first_query) {
    const std::int64_t stride = head.qkv_stride,
                       end = std::min(head.length, first_query + head.group_queries);
    QueryTile group[max_group_tiles];
    for (std::int64_t first = first_query; first < end; first += tile_rows)
        group[(first - first_query) / tile_rows] = load_query_tile(
            tiles, d_out, out, log_sum_exp, qkv, head, first, static_cast<int>(first - first_query));
    const float* key = qkv + head.qkv_start + head.out_stride;
    const float* value = key + head.out_stride;
    for (std::int64_t first_key = 0; first_key < (shape.causal ? end : head.length); first_key += tile_rows) {
        const int keys = head.rows_from(first_key);
        const RowView key_rows = whole_rows(tiles.key, key + first_key * stride, stride, keys, head);
        const RowView value_rows = whole_rows(tiles.value, value + first_key * stride, stride, keys, head);
        const std::int64_t first_seeing = shape.causal ? std::max(first_query, first_key) : first_query;
        for (std::int64_t first = first_seeing; first < end; first += tile_rows)
            backward_tile(tiles, d_qkv, group[(first - first_query) / tile_rows], key_rows, value_rows, head,
                          dropout, static_cast<int>(first - first_query), first_key, shape.causal);
    }
}

// Starting the threads costs a few microseconds, the time of about this many operations.
constexpr std::int64_t operations_worth_threads = 1 << 19;

bool worth_threads(const AttentionShape& shape) {
    return 4 * shape.sequences * shape.heads * shape.length * shape.length * shape.head_dim >
           operations_worth_threads;
}

// Tasks that a thread takes at a time: causal tiles differ in length, so it takes several times. All of them where
// threads are not worth while.
std::int64_t portion(std::int64_t tasks, const AttentionShape& shape) {
    return worth_threads(shape) ? std::clamp<std::int64_t>(tasks / (16 * thread_count()), 1, 64) : tasks;
}

// While a head of a one-tile sequence is computed, its share of the next sequence's rows is on its way into
// L2. The rows of one head are small pieces far apart, which the hardware's prefetcher does not follow.
template <bool for_writing>
void prefetch_next(const float* array, const AttentionShape& shape, std::int64_t task, std::int64_t parts) {
    if (shape.length > tile_rows || task + shape.heads >= shape.sequences * shape.heads) return;
    const std::int64_t share = shape.length * parts * shape.head_dim;
    const float* next = array + (task + shape.heads) * share;
    for (std::int64_t n = 0; n < share; n += lanes) __builtin_prefetch(next + n, for_writing ? 1 : 0, 2);
}

}  // namespace
}  // namespace attention

void attention_forward(float* out, float* log_sum_exp, const float* qkv, const AttentionShape& shape,
                       const AttentionDropout& dropout) {
    using namespace attention;
    if (dropout.probability <= 0 && short_attention_forward(out, log_sum_exp, qkv, shape)) return;
    const std::int64_t group_queries = Head(shape, 0).group_queries;
    const std::int64_t groups = (shape.length + group_queries - 1) / group_queries;
    const std::int64_t tasks = shape.sequences * shape.heads * groups;
    auto forward = [&](TaskQueue& queue) {
        ForwardTiles tiles;
        for_each_taken(queue, [&](std::int64_t n) {
            prefetch_next<false>(qkv, shape, n / groups, 3);
            prefetch_next<true>(out, shape, n / groups, 1);
            forward_group(tiles, out, log_sum_exp, qkv, shape, dropout, n / groups,
                          n % groups * group_queries);
        });
    };
    share_tasks(tasks, portion(tasks, shape), ThreadBody(forward));
}

void attention_backward(float* d_qkv, const float* d_out, const float* out, const float* log_sum_exp,
                        const float* qkv, const AttentionShape& shape, const AttentionDropout& dropout) {
    using namespace attention;
    if (dropout.probability <= 0 && short_attention_backward(d_qkv, d_out, log_sum_exp, qkv, shape)) return;
    const std::int64_t tasks = shape.sequences * shape.heads;
    auto backward = [&](TaskQueue& queue) {
        BackwardTiles tiles;
        std::fill_n(tiles.ones, tile_rows, 1.0f);
        std::fill_n(tiles.scale, tile_rows, 1 / std::sqrt(static_cast<float>(shape.head_dim)));
        for_each_taken(queue, [&](std::int64_t task) {
            prefetch_next<false>(qkv, shape, task, 3);
            prefetch_next<false>(d_out, shape, task, 1);
            prefetch_next<false>(out, shape, task, 1);
            prefetch_next<true>(d_qkv, shape, task, 3);
            const Head head(shape, task);
            for (std::int64_t first = 0; first < shape.length; first += head.group_queries)
                backward_group(tiles, d_qkv, d_out, out, log_sum_exp, qkv, shape, dropout, head, first);
        });
    };
    share_tasks(tasks, portion(tasks, shape), ThreadBody(backward));
}

}  // namespace cpu
