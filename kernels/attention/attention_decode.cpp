#include "kernels/attention/attention_decode.h"

#include <cmath>

#include "kernels/attention/attention_tile.h"
#include "kernels/common/simd.h"
#include "kernels/common/threads.h"

namespace cpu {
namespace attention {
namespace {

constexpr float no_score = -1e30f;  // its exp is 1e-38: negligible beside the sum, which is at least 1

// Starting the threads costs a microsecond or two, the time of going through about as many cached keys.
constexpr std::int64_t cached_floats_worth_threads = 1 << 12;

// scores -> exp(scale (score - maximum)); `maximum`, in every lane, is updated with the new scores. Returns
// the sum. Entries beyond `count` up to a multiple of 16 are overwritten.
float exponentials(float* scores, int count, float scale, Vector& maximum) {
    const int padded = round_up_to_lanes(count);
    std::fill(scores + count, scores + padded, no_score);
    Vector score;
    for (int j = 0; j < count; j += lanes) {
        load(score, scores + j);
        maximum = cpu::maximum(score, maximum);
    }
    maximum_in_every_lane(maximum);
    const float subtrahend = maximum.part[0][0] * scale;
#pragma omp simd
    for (int j = 0; j < padded; ++j) scores[j] = fast_exp(scores[j] * scale - subtrahend);
    Vector sum = {}, weight;
    for (int j = 0; j < count; j += lanes) {
        load(weight, scores + j);
        sum += weight;
    }
    sum_in_every_lane(sum);
    return sum.part[0][0];
}

// Cached values [positions, head_dim] from some position on, and the weights of `count` of them.
struct WeightedValues {
    const float *weights, *values;
    int head_dim, count;
};

// out[c] = keep out[c] + add sum_j weights[j] values[j][c] for so many registers of columns. Even and odd
// positions have separate sums, so that additions are independent. With keep = 0, `out` is not read.
template <int Registers>
void add_weighted(float* out, float keep, float add, const WeightedValues& p, int column) {
    Register even[Registers] = {}, odd[Registers] = {};
    const float* values = p.values + column;
    int j = 0;
    for (; j + 2 <= p.count; j += 2, values += 2 * p.head_dim) {
        for (int v = 0; v < Registers; ++v) {
            even[v] += p.weights[j] * load_register(values + v * register_lanes);
            odd[v] += p.weights[j + 1] * load_register(values + p.head_dim + v * register_lanes);
        }
    }
    for (int v = 0; v < Registers; ++v) {
        float* target = out + column + v * register_lanes;
        Register sum = even[v] + odd[v];
        if (j < p.count) sum += p.weights[j] * load_register(values + v * register_lanes);
        sum *= add;
        if (keep != 0) sum += keep * load_register(target);
        store_register(target, sum);
    }
}

void add_weighted_values(float* out, float keep, float add, const WeightedValues& p) {
    constexpr int R = register_lanes;
    int c = 0;
    for (; c + 4 * R <= p.head_dim; c += 4 * R) add_weighted<4>(out, keep, add, p, c);
    for (; c + 2 * R <= p.head_dim; c += 2 * R) add_weighted<2>(out, keep, add, p, c);
    for (; c + R <= p.head_dim; c += R) add_weighted<1>(out, keep, add, p, c);
    for (; c < p.head_dim; ++c) {
        float sum = 0;
        for (int j = 0; j < p.count; ++j) sum += p.weights[j] * p.values[j * p.head_dim + c];
        out[c] = add * sum + (keep == 0 ? 0 : keep * out[c]);
    }
}

// A head is one long chain of dependent operations, so a thread takes eight through it step by step: while
// one waits, the processor works on the next.
constexpr int heads_at_once = 8;

// Pointers to the first of the heads; the others follow without gaps in out and caches.
struct HeadBatch {
    float* out;
    const float* query[heads_at_once];
    const float *keys, *values;
    int heads, head_dim;
    std::int64_t cache_stride;  // floats from head to head in the caches
};

// `out` is normalised after every 64 positions, as in attention_forward.
void decode_heads(const HeadBatch& batch, std::int64_t positions) {
    const int head_dim = batch.head_dim;
    const float scale = 1 / std::sqrt(static_cast<float>(head_dim));
    alignas(64) TileRow weights[heads_at_once];
    Vector maximum[heads_at_once];
    float sum[heads_at_once] = {}, keep[heads_at_once];
    for (Vector& m : maximum) m = filled(no_score);
    for (std::int64_t first = 0; first < positions; first += tile_rows) {
        const int count = static_cast<int>(std::min<std::int64_t>(tile_rows, positions - first));
        for (int h = 0; h < batch.heads; ++h) {
            const float* keys = batch.keys + h * batch.cache_stride + first * head_dim;
            for (int j = 0; j < count; j += lanes)
                dot_rows(weights[h] + j, batch.query[h], 0, keys + j * head_dim, head_dim,
                         std::min(count - j, lanes), head_dim);
        }
        for (int h = 0; h < batch.heads; ++h) {
            const float old_maximum = maximum[h].part[0][0];
            const float new_sum = exponentials(weights[h], count, scale, maximum[h]);
            const float old_sum =
                first == 0 ? 0 : sum[h] * fast_exp((old_maximum - maximum[h].part[0][0]) * scale);
            sum[h] = old_sum + new_sum;
            keep[h] = old_sum / sum[h];
        }
        for (int h = 0; h < batch.heads; ++h)
            add_weighted_values(
                batch.out + h * head_dim, keep[h], 1 / sum[h],
                {weights[h], batch.values + h * batch.cache_stride + first * head_dim, head_dim, count});
    }
}

}  // namespace
}  // namespace attention

void attention_decode(float* out, float* key_cache, float* value_cache, const float* qkv,
                      std::int64_t sequences, std::int64_t heads, std::int64_t head_dim,
                      std::int64_t position, std::int64_t capacity) {
    using namespace attention;
    const std::int64_t tasks = sequences * heads, part = heads * head_dim, cache_stride = capacity * head_dim;
    const std::int64_t cached_floats = tasks * (position + 1) * head_dim;
    const auto decode = [&](std::int64_t index) {
        const std::int64_t first = index * heads_at_once;
        HeadBatch batch{.out = out + first * head_dim,
                        .query = {},
                        .keys = key_cache + first * cache_stride,
                        .values = value_cache + first * cache_stride,
                        .heads = static_cast<int>(std::min<std::int64_t>(heads_at_once, tasks - first)),
                        .head_dim = static_cast<int>(head_dim),
                        .cache_stride = cache_stride};
        for (int h = 0; h < batch.heads; ++h) {
            const std::int64_t task = first + h;
            const float* query = qkv + task / heads * 3 * part + task % heads * head_dim;
            std::copy_n(query + part, head_dim, key_cache + task * cache_stride + position * head_dim);
            std::copy_n(query + 2 * part, head_dim, value_cache + task * cache_stride + position * head_dim);
            batch.query[h] = query;
        }
        decode_heads(batch, position + 1);
    };
    const std::int64_t batches = (tasks + heads_at_once - 1) / heads_at_once;
    share_each(batches, cached_floats > cached_floats_worth_threads ? 1 : batches, decode);
}

}  // namespace cpu
