#include "kernels/attention/attention_short.h"

#include <cmath>

#include "kernels/attention/attention_tile.h"
#include "kernels/common/simd.h"
#include "kernels/common/threads.h"

namespace cpu::attention {
namespace {

// Starting the threads costs a few microseconds, the time of about this many heads.
constexpr std::int64_t heads_worth_threads = 64;

template <int Length, bool IsCausal>
constexpr bool attends(int i, int j) {
    return i < Length && j < (IsCausal ? i + 1 : Length);
}

// Lane 4 i + j of the result: a_i . b_j for the pairs that attend, 0 elsewhere.
template <int Length, bool IsCausal>
void pair_products(Vector& result, const float* a, std::int64_t a_stride, const float* b,
                   std::int64_t b_stride, int head_dim) {
    Vector sums[lanes] = {};
    for (int c = 0; c < head_dim; c += lanes) {
        Vector b_rows[Length];
        for (int j = 0; j < Length; ++j) load(b_rows[j], b + j * b_stride + c);
        for (int i = 0; i < Length; ++i) {
            Vector a_row;
            load(a_row, a + i * a_stride + c);
            for (int j = 0; j < Length; ++j)
                if (attends<Length, IsCausal>(i, j)) sums[4 * i + j] += a_row * b_rows[j];
        }
    }
    sum_lanes(result, sums);
}

// Every lane becomes the sum, or the maximum, of its quarter.
void sum_quarters(Vector& v) {
    for (Register& part : v.part) {
        part += swapped<1>(part);
        part += swapped<2>(part);
    }
}
void maximum_of_quarters(Vector& v) {
    for (Register& part : v.part) {
        part = cpu::maximum(part, swapped<1>(part));
        part = cpu::maximum(part, swapped<2>(part));
    }
}

// weights = exp(scores - subtrahend) where a pair attends, exactly 0 elsewhere.
template <int Length, bool IsCausal>
void exp_of_pairs(Vector& weights, const Vector& scores, const Vector& subtrahend) {
    constexpr auto mask = [] {
        std::array<float, lanes> one_or_zero{};
        for (int n = 0; n < lanes; ++n) one_or_zero[n] = attends<Length, IsCausal>(n / 4, n % 4) ? 1 : 0;
        return one_or_zero;
    }();
    alignas(64) float values[lanes];
    store(values, scores - subtrahend);
#pragma omp simd
    for (int n = 0; n < lanes; ++n) values[n] = mask[n] * fast_exp(values[n]);
    load(weights, values);
}

template <int Length, bool IsCausal>
void forward_head(float* out, float* log_sum_exp, const float* query, std::int64_t part, int head_dim,
                  float scale) {
    const float *key = query + part, *value = key + part;
    Vector scores;
    pair_products<Length, IsCausal>(scores, query, 3 * part, key, 3 * part, head_dim);
    scores *= scale;
    // A lane without a pair holds a score of 0, which must not become the maximum of lower ones.
    constexpr auto bias = [] {
        std::array<float, lanes> values{};
        for (int n = 0; n < lanes; ++n) values[n] = attends<Length, IsCausal>(n / 4, n % 4) ? 0 : -1e30f;
        return values;
    }();
    Vector masked, maximum, weights;
    load(masked, bias.data());
    maximum = scores + masked;
    maximum_of_quarters(maximum);
    exp_of_pairs<Length, IsCausal>(weights, scores, maximum);
    Vector sum = weights;
    sum_quarters(sum);
    alignas(64) float weight[lanes], total[lanes], top[lanes];
    store(weight, weights / sum);
    store(total, sum);
    store(top, maximum);
#pragma omp simd
    for (int n = 0; n < lanes; ++n) top[n] += log_of_sum(total[n]);
    for (int i = 0; i < Length; ++i) log_sum_exp[i] = top[4 * i];
    for (int c = 0; c < head_dim; c += lanes) {
        Vector v[Length];
        for (int j = 0; j < Length; ++j) load(v[j], value + j * 3 * part + c);
        for (int i = 0; i < Length; ++i) {
            Vector row = {};
            for (int j = 0; j < Length; ++j)
                if (attends<Length, IsCausal>(i, j)) row += weight[4 * i + j] * v[j];
            store(out + i * part + c, row);
        }
    }
}

// target_i = sum_j weight_ij source_j, or with Transposed target_j = sum_i weight_ij source_i, for 16
// columns.
template <int Length, bool IsCausal, bool Transposed>
void combine_rows(float* target, std::int64_t target_stride, const float* weight, const float* source,
                  std::int64_t source_stride) {
    Vector rows[Length];
    for (int k = 0; k < Length; ++k) load(rows[k], source + k * source_stride);
    for (int r = 0; r < Length; ++r) {
        Vector sum = {};
        for (int k = 0; k < Length; ++k) {
            const int i = Transposed ? k : r, j = Transposed ? r : k;
            if (attends<Length, IsCausal>(i, j)) sum += weight[4 * i + j] * rows[k];
        }
        store(target + r * target_stride, sum);
    }
}

template <int Length, bool IsCausal>
void backward_head(float* d_query, const float* d_out, const float* log_sum_exp, const float* query,
                   std::int64_t part, int head_dim, float scale) {
    const std::int64_t stride = 3 * part;
    const float *key = query + part, *value = key + part;
    Vector scores, d_weights, weights;
    pair_products<Length, IsCausal>(scores, query, stride, key, stride, head_dim);
    pair_products<Length, IsCausal>(d_weights, d_out, part, value, stride, head_dim);
    alignas(64) float subtrahend[lanes] = {};
    for (int i = 0; i < Length; ++i)
        for (int j = 0; j < 4; ++j) subtrahend[4 * i + j] = log_sum_exp[i];
    Vector lse;
    load(lse, subtrahend);
    exp_of_pairs<Length, IsCausal>(weights, scores * scale, lse);
    Vector mean = weights * d_weights;  // D_i, in every lane of quarter i
    sum_quarters(mean);
    alignas(64) float weight[lanes], d_score[lanes];
    store(weight, weights);
    store(d_score, weights * (d_weights - mean) * scale);
    for (int c = 0; c < head_dim; c += lanes) {
        combine_rows<Length, IsCausal, false>(d_query + c, stride, d_score, key + c, stride);
        combine_rows<Length, IsCausal, true>(d_query + part + c, stride, d_score, query + c, stride);
        combine_rows<Length, IsCausal, true>(d_query + 2 * part + c, stride, weight, d_out + c, part);
    }
}

// Sequences that a thread takes at a time: all of them where threads are not worth while.
std::int64_t portion(const AttentionShape& shape) {
    if (shape.sequences * shape.heads <= heads_worth_threads) return shape.sequences;
    return shape.sequences / (8 * thread_count());
}

template <int Length, bool IsCausal>
void forward(float* out, float* log_sum_exp, const float* qkv, const AttentionShape& shape) {
    const std::int64_t heads = shape.heads, head_dim = shape.head_dim, part = heads * head_dim;
    const float scale = 1 / std::sqrt(static_cast<float>(head_dim));
    share_each(shape.sequences, portion(shape), [&](std::int64_t s) {
        for (std::int64_t h = 0; h < heads; ++h)
            forward_head<Length, IsCausal>(
                out + s * Length * part + h * head_dim, log_sum_exp + (s * heads + h) * Length,
                qkv + s * Length * 3 * part + h * head_dim, part, static_cast<int>(head_dim), scale);
    });
}

template <int Length, bool IsCausal>
void backward(float* d_qkv, const float* d_out, const float* log_sum_exp, const float* qkv,
              const AttentionShape& shape) {
    const std::int64_t heads = shape.heads, head_dim = shape.head_dim, part = heads * head_dim;
    const float scale = 1 / std::sqrt(static_cast<float>(head_dim));
    share_each(shape.sequences, portion(shape), [&](std::int64_t s) {
        for (std::int64_t h = 0; h < heads; ++h) {
            const std::int64_t start = s * Length * 3 * part + h * head_dim;
            backward_head<Length, IsCausal>(d_qkv + start, d_out + s * Length * part + h * head_dim,
                                            log_sum_exp + (s * heads + h) * Length, qkv + start, part,
                                            static_cast<int>(head_dim), scale);
        }
    });
}

bool is_short(const AttentionShape& shape) {
    return shape.length >= 1 && shape.length <= 4 && shape.head_dim % lanes == 0;
}

}  // namespace

bool short_attention_forward(float* out, float* log_sum_exp, const float* qkv, const AttentionShape& shape) {
    if (!is_short(shape)) return false;
    constexpr decltype(&forward<1, false>) by_length[2][4] = {
        {forward<1, false>, forward<2, false>, forward<3, false>, forward<4, false>},
        {forward<1, true>, forward<2, true>, forward<3, true>, forward<4, true>}};
    by_length[shape.causal ? 1 : 0][shape.length - 1](out, log_sum_exp, qkv, shape);
    return true;
}

bool short_attention_backward(float* d_qkv, const float* d_out, const float* log_sum_exp, const float* qkv,
                              const AttentionShape& shape) {
    if (!is_short(shape)) return false;
    constexpr decltype(&backward<1, false>) by_length[2][4] = {
        {backward<1, false>, backward<2, false>, backward<3, false>, backward<4, false>},
        {backward<1, true>, backward<2, true>, backward<3, true>, backward<4, true>}};
    by_length[shape.causal ? 1 : 0][shape.length - 1](d_qkv, d_out, log_sum_exp, qkv, shape);
    return true;
}

}  // namespace cpu::attention
