// The rungs of the ladder (ladder/ladder.h), at a shape of level 0 and at a large product.
#include <fmt/format.h>

#include "runtime/device/built_backends.h"
#include "tests/bench/costs.h"
#include "tests/bench/ladder/ladder.h"
#include "tests/bench/table.h"

namespace {

constexpr float epsilon = 1e-6f;

template <class Rungs, class Call>
void bench_rungs(Table& table, std::string_view operation, const Rungs& rungs, const std::string& shape,
                 Bound bound, Cost cost, Call call) {
    for (const auto& rung : rungs)
        table.kernel({fmt::format("{} {}", operation, rung.name), shape, bound, cost,
                      [&](Operands& in) { return call(in, rung.run); }});
}

void bench_matmul(Table& table, std::int64_t size) {
    const LinearShape shape{size, size, size};
    bench_rungs(table, "matmul", cuda::ladder::matmul_rungs(), shape.text(), Bound::arithmetic,
                linear_cost(shape, 2, 2), [=](Operands& in, cuda::ladder::Matmul* run) {
                    const Stream stream = in.site().stream;
                    bf16* const C = in.rounded(size * size);
                    const bf16 *const A = in.rounded(size * size), *const B = in.rounded(size * size);
                    return [=] { run(stream, C, A, B, size, size, size); };
                });
}

void bench_layernorm(Table& table, std::int64_t rows, std::int64_t width) {
    bench_rungs(table, "layernorm", cuda::ladder::layernorm_rungs(), fmt::format("{} x {}", rows, width),
                Bound::memory, {6 * elements(rows, width), 7 * elements(rows, width)},
                [=](Operands& in, cuda::ladder::LayerNorm* run) {
                    const Stream stream = in.site().stream;
                    bf16* const y = in.rounded(rows * width);
                    float *const mean = in.floats(rows), *const rstd = in.floats(rows);
                    const float *const x = in.floats(rows * width), *const weight = in.floats(width),
                                       *const bias = in.floats(width);
                    return [=] { run(stream, y, mean, rstd, x, weight, bias, rows, width, epsilon); };
                });
}

void bench_attention(Table& table, const AttentionShape& shape) {
    const std::int64_t rows = shape.sequences * shape.length, width = shape.heads * shape.head_dim;
    bench_rungs(
        table, "attention", cuda::ladder::attention_rungs(),
        fmt::format("{} x {}, {} heads of {}", shape.sequences, shape.length, shape.heads, shape.head_dim),
        Bound::arithmetic, attention_cost(shape, 2), [=](Operands& in, cuda::ladder::Attention* run) {
            const Stream stream = in.site().stream;
            bf16* const out = in.rounded(rows * width);
            float* const log_sum_exp = in.floats(rows * shape.heads);
            const bf16* const qkv = in.rounded(3 * rows * width);
            return [=] { run(stream, out, log_sum_exp, qkv, shape, {}); };
        });
}

}  // namespace

void bench_ladder(Table& table) {
    if (table.backend().device == Device::cpu) return table.note("ladder", "its kernels need a GPU");
    if constexpr (cuda_backend_built) {
        const bool smoke = table.effort().smoke;
        bench_matmul(table, smoke ? 64 : 4096);
        bench_layernorm(table, smoke ? 5 : 131072, smoke ? 64 : 1024);
        bench_attention(table, {smoke ? 1 : 128, smoke ? 64 : 256, smoke ? 1 : 16, 64, false});
    }
}
