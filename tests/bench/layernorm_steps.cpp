// Layer normalisation in three steps, the ones that kernels/README.md walks through: the loop as one writes
// it first, the CPU kernel on one thread, the CPU kernel on all of them. Once in a chunk that stays in the
// caches (a level's, as training calls it), once far beyond them.
#include <fmt/format.h>
#include <cmath>

#include "kernels/common/threads.h"
#include "kernels/norm/layernorm.h"
#include "tests/bench/table.h"

namespace {

constexpr float epsilon = 1e-6f;

// The formula of kernels/norm/layernorm.h, one statement each. The compiler must add the sums in the order
// that is written here, element by element.
void naive_layernorm(float* y, float* mean, float* rstd, const float* x, const float* weight,
                     const float* bias, std::int64_t rows, std::int64_t width, float eps) {
    for (std::int64_t r = 0; r < rows; ++r) {
        const float* row = x + r * width;
        float sum = 0;
        for (std::int64_t i = 0; i < width; ++i) sum += row[i];
        const float m = sum / static_cast<float>(width);
        float squares = 0;
        for (std::int64_t i = 0; i < width; ++i) squares += (row[i] - m) * (row[i] - m);
        const float s = 1.0f / std::sqrt(squares / static_cast<float>(width) + eps);
        for (std::int64_t i = 0; i < width; ++i) y[r * width + i] = (row[i] - m) * s * weight[i] + bias[i];
        mean[r] = m;
        rstd[r] = s;
    }
}

// One of naive_layernorm and cpu::layernorm_forward, on `threads` threads.
void bench_step(Table& table, std::string_view step, decltype(naive_layernorm)* forward, int threads,
                std::int64_t rows, std::int64_t width) {
    const double count = elements(rows, width);
    table.kernel({fmt::format("layernorm_steps, {}", step),
                  fmt::format("{} x {}", rows, width),
                  Bound::memory,
                  {8 * count, 7 * count},
                  [=](Operands& in) {
                      float *y = in.floats(rows * width), *mean = in.floats(rows), *rstd = in.floats(rows);
                      const float *x = in.floats(rows * width), *weight = in.floats(width),
                                  *bias = in.floats(width);
                      return [=] {
                          const int all = cpu::thread_count();
                          cpu::set_thread_count(threads);
                          forward(y, mean, rstd, x, weight, bias, rows, width, epsilon);
                          cpu::set_thread_count(all);
                      };
                  }});
}

}  // namespace

void bench_layernorm_steps(Table& table) {
    if (table.backend().device != Device::cpu) return;
    const int threads = cpu::thread_count();
    for (const std::int64_t rows : {2048, 524288}) {
        const std::int64_t measured = table.effort().smoke ? 16 : rows, width = 128;
        bench_step(table, "naive", naive_layernorm, 1, measured, width);
        bench_step(table, "vectors", cpu::layernorm_forward, 1, measured, width);
        bench_step(table, "threads", cpu::layernorm_forward, threads, measured, width);
    }
}
