// Attention at the three levels: bound by arithmetic over whole sequences, by the cache's memory for one new
// token.
#include <fmt/format.h>

#include "kernels/attention.h"
#include "kernels/attention_decode.h"
#include "tests/bench/benchmarks.h"
#include "tests/bench/numbers.h"

namespace {

void bench_sequences(Table& table, const AttentionShape& shape) {
    const std::int64_t rows = shape.sequences * shape.length, width = shape.heads * shape.head_dim;
    const double pairs = static_cast<double>(shape.sequences * shape.heads * shape.length *
                                             (shape.length + 1) / 2),
                 head_dim = static_cast<double>(shape.head_dim);
    const auto qkv = random_floats(rows * 3 * width), d_out = random_floats(rows * width);
    auto out = zero_floats(rows * width), log_sum_exp = zero_floats(rows * shape.heads),
         d_qkv = zero_floats(rows * 3 * width);
    const std::string text = fmt::format("{} x {} tokens, {} heads of {}", shape.sequences, shape.length,
                                         shape.heads, shape.head_dim);
    cpu::attention_forward(out.data(), log_sum_exp.data(), qkv.data(), shape, {});
    table.kernel("attention_forward", text, Bound::arithmetic, 4 * head_dim * pairs,
                 [&] { cpu::attention_forward(out.data(), log_sum_exp.data(), qkv.data(), shape, {}); });
    table.kernel("attention_backward", text, Bound::arithmetic, 10 * head_dim * pairs, [&] {
        cpu::attention_backward(d_qkv.data(), d_out.data(), out.data(), log_sum_exp.data(), qkv.data(), shape,
                                {});
    });
}

// The last token of 16 sequences: all others are in the cache.
void bench_decode(Table& table, std::int64_t heads, std::int64_t length) {
    constexpr std::int64_t sequences = 16, head_dim = 32;
    const auto qkv = random_floats(sequences * 3 * heads * head_dim);
    auto keys = random_floats(sequences * heads * length * head_dim), values = keys,
         out = zero_floats(sequences * heads * head_dim);
    table.kernel("attention_decode",
                 fmt::format("{} x token {}, {} heads of {}", sequences, length, heads, head_dim),
                 Bound::memory, 8.0 * static_cast<double>(sequences * heads * head_dim * length), [&] {
                     cpu::attention_decode(out.data(), keys.data(), values.data(), qkv.data(), sequences,
                                           heads, head_dim, length - 1, length);
                 });
}

}  // namespace

void bench_attention(Table& table) {
    bench_sequences(table, {32, 64, 8, 32, true});
    bench_sequences(table, {128, 16, 4, 32, true});
    bench_sequences(table, {682, 3, 2, 32, true});
    bench_decode(table, 8, 64);
    bench_decode(table, 4, 16);
    bench_decode(table, 2, 3);
}
