// Norms, activations, residuals, dropout and the rotary embedding: bound by memory, or by the caches where
// chunks are small enough.
#include <fmt/format.h>

#include <cmath>

#include "kernels/dropout.h"
#include "kernels/gated_silu.h"
#include "kernels/gelu.h"
#include "kernels/layernorm.h"
#include "kernels/residual.h"
#include "kernels/rmsnorm.h"
#include "kernels/rotary.h"
#include "tests/bench/benchmarks.h"
#include "tests/bench/numbers.h"

namespace {

constexpr std::int64_t sequences = 128, length = 16, rows = sequences * length, width = 128, hidden = 512;
constexpr std::int64_t pixel_rows = 2046, pixel_width = 64, pixel_hidden = 256;

std::string matrix(std::int64_t height, std::int64_t columns) {
    return fmt::format("{} x {}", height, columns);
}

double elements(std::int64_t height, std::int64_t columns) {
    return static_cast<double>(height * columns);
}

void bench_layernorm(Table& table) {
    const std::string shape = matrix(pixel_rows, pixel_width);
    const double count = elements(pixel_rows, pixel_width);
    const auto x = random_floats(pixel_rows * pixel_width), dy = x, weight = random_floats(pixel_width),
               bias = weight;
    auto y = x, dx = x, mean = zero_floats(pixel_rows), rstd = mean, dweight = weight, dbias = weight,
         workspace = zero_floats(cpu::layernorm_backward_workspace(pixel_width));
    const auto forward = [&] {
        cpu::layernorm_forward(y.data(), mean.data(), rstd.data(), x.data(), weight.data(), bias.data(),
                               pixel_rows, pixel_width, 1e-6f);
    };
    forward();
    table.kernel("layernorm_forward", shape, Bound::memory, 8 * count, forward);
    table.kernel("layernorm_backward", shape, Bound::memory, 12 * count, [&] {
        cpu::layernorm_backward(dx.data(), dweight.data(), dbias.data(), workspace.data(), dy.data(),
                                x.data(), weight.data(), mean.data(), rstd.data(), pixel_rows, pixel_width);
    });
    table.kernel("layernorm_backward_accumulate", shape, Bound::memory, 16 * count, [&] {
        cpu::layernorm_backward_accumulate(dx.data(), dweight.data(), dbias.data(), workspace.data(),
                                           dy.data(), x.data(), weight.data(), mean.data(), rstd.data(),
                                           pixel_rows, pixel_width);
    });
}

void bench_rmsnorm(Table& table) {
    const std::string shape = matrix(rows, width);
    const double count = elements(rows, width);
    const auto x = random_floats(rows * width), dy = x, weight = random_floats(width);
    auto y = x, dx = x, rstd = zero_floats(rows), dweight = weight,
         workspace = zero_floats(cpu::rmsnorm_backward_workspace(width));
    const auto forward = [&] {
        cpu::rmsnorm_forward(y.data(), rstd.data(), x.data(), weight.data(), rows, width, 1e-5f);
    };
    forward();
    table.kernel("rmsnorm_forward", shape, Bound::memory, 8 * count, forward);
    table.kernel("rmsnorm_backward", shape, Bound::memory, 12 * count, [&] {
        cpu::rmsnorm_backward(dx.data(), dweight.data(), workspace.data(), dy.data(), x.data(), weight.data(),
                              rstd.data(), rows, width);
    });
    table.kernel("rmsnorm_backward_accumulate", shape, Bound::memory, 16 * count, [&] {
        cpu::rmsnorm_backward_accumulate(dx.data(), dweight.data(), workspace.data(), dy.data(), x.data(),
                                         weight.data(), rstd.data(), rows, width);
    });
}

void bench_activations(Table& table) {
    const auto gate_up = random_floats(rows * 2 * hidden), dy = random_floats(rows * hidden);
    auto y = dy, d_gate_up = gate_up;
    table.kernel("gated_silu_forward", matrix(rows, hidden), Bound::memory, 12 * elements(rows, hidden),
                 [&] { cpu::gated_silu_forward(y.data(), gate_up.data(), rows, hidden); });
    table.kernel(
        "gated_silu_backward", matrix(rows, hidden), Bound::memory, 20 * elements(rows, hidden),
        [&] { cpu::gated_silu_backward(d_gate_up.data(), dy.data(), gate_up.data(), rows, hidden); });

    constexpr std::int64_t count = pixel_rows * pixel_hidden;
    const auto x = random_floats(count);
    auto activated = x, dx = x;
    table.kernel("gelu_forward", matrix(pixel_rows, pixel_hidden), Bound::memory, 8.0 * count,
                 [&] { cpu::gelu_forward(activated.data(), x.data(), count); });
    table.kernel("gelu_backward", matrix(pixel_rows, pixel_hidden), Bound::memory, 12.0 * count,
                 [&] { cpu::gelu_backward(dx.data(), dy.data(), x.data(), count); });
}

void bench_residual(Table& table) {
    const std::string shape = matrix(rows, width);
    const double count = elements(rows, width);
    const auto x = random_floats(rows * width), branch = x;
    auto out = x;
    std::vector<std::int64_t> ids(sequences);
    for (std::size_t i = 0; i < ids.size(); ++i) ids[i] = static_cast<std::int64_t>(i);
    const Dropout dropout{0.1f, {1, 2}, 3, ids.data(), length * width};
    table.kernel("residual_forward", shape, Bound::memory, 12 * count,
                 [&] { cpu::residual_forward(out.data(), x.data(), branch.data(), rows * width); });
    table.kernel("residual_backward_accumulate", shape, Bound::memory, 12 * count,
                 [&] { cpu::residual_backward_accumulate(out.data(), x.data(), rows * width); });
    table.kernel("residual_dropout_forward", shape, Bound::memory, 12 * count, [&] {
        cpu::residual_dropout_forward(out.data(), x.data(), branch.data(), sequences, dropout);
    });
    table.kernel("dropout_forward", shape, Bound::memory, 8 * count,
                 [&] { cpu::dropout_forward(out.data(), x.data(), sequences, dropout); });
    table.kernel("dropout_backward", shape, Bound::memory, 8 * count,
                 [&] { cpu::dropout_backward(out.data(), x.data(), sequences, dropout); });
}

void bench_rotary(Table& table) {
    constexpr std::int64_t heads = 4, head_dim = width / heads, grid = 4;
    auto qkv = random_floats(rows * 3 * width), cosine = zero_floats((1 + grid * grid) * head_dim / 2),
         sine = cosine;
    cpu::rotary_table(cosine.data(), sine.data(), grid, head_dim);
    const double bytes = 16 * elements(rows, width);
    // From grid cell 0 on: the condition token's zeros would leave nothing of q and k.
    table.kernel("rotary_forward", matrix(rows, width), Bound::memory, bytes, [&] {
        cpu::rotary_forward(qkv.data(), cosine.data(), sine.data(), sequences, length, heads, head_dim, 1);
    });
    table.kernel("rotary_backward", matrix(rows, width), Bound::memory, bytes, [&] {
        cpu::rotary_backward(qkv.data(), cosine.data(), sine.data(), sequences, length, heads, head_dim, 1);
    });
}

}  // namespace

void bench_elementwise(Table& table) {
    bench_layernorm(table);
    bench_rmsnorm(table);
    bench_activations(table);
    bench_residual(table);
    bench_rotary(table);
}
