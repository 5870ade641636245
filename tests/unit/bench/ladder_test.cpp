// Each rung of the ladder gives what the CPU's kernel gives, but for rounding.
#include "tests/bench/ladder/ladder.h"

#include <doctest/doctest.h>

#include <array>
#include <string>

#include "kernels/attention/attention.h"
#include "kernels/linear/matmul.h"
#include "kernels/norm/layernorm.h"
#include "tests/unit/kernels/bf16_check.h"

using namespace kernel_check;

namespace {

constexpr float not_a_number = std::numeric_limits<float>::quiet_NaN();

template <class T = bf16>
std::vector<T> unwritten(std::int64_t count) {
    if constexpr (std::is_same_v<T, bf16>)
        return std::vector<bf16>(static_cast<std::size_t>(count), bf16{0x7FFF});
    else
        return std::vector<float>(static_cast<std::size_t>(count), not_a_number);
}

// rung.run(Stream(), values...) on the device, vectors as in RUN.
template <class Rung, class... Values>
void climb(const Rung& rung, Values&&... values) {
    kernel_check::run(
        Device::cuda, [&](Device, auto... all) { rung.run(Stream(), all...); }, values...);
}

}  // namespace

CUDA_TEST("ladder: matmul") {
    if constexpr (cuda_backend_built)
        for (const auto& [M, N, K] : {std::array<std::int64_t, 3>{64, 64, 32}, {128, 192, 96}}) {
            const std::vector<float> A = rounded_to_bf16(uniform(M * K, 1)),
                                     B = rounded_to_bf16(uniform(K * N, 2));
            std::vector<float> expected(static_cast<std::size_t>(M * N));
            cpu::matmul(expected.data(), A.data(), B.data(), M, N, K);
            for (const auto& rung : cuda::ladder::matmul_rungs()) {
                CAPTURE(std::string(rung.name));
                std::vector<bf16> C = unwritten(M * N);
                climb(rung, C, to_bf16(A), to_bf16(B), M, N, K);
                CHECK(excess_error(to_floats(C), widened(expected), 1.01 * bf16_rounding) < 1e-4);
            }
        }
}

CUDA_TEST("ladder: layernorm") {
    if constexpr (cuda_backend_built)
        for (const std::int64_t width : {8, 64, 264, 1024}) {
            const std::int64_t rows = 37;
            const std::vector<float> x = uniform(rows * width, 1, -1, 3), weight = uniform(width, 2),
                                     bias = uniform(width, 3);
            std::vector<float> expected(x.size()), mean(rows), rstd(rows);
            cpu::layernorm_forward(expected.data(), mean.data(), rstd.data(), x.data(), weight.data(),
                                   bias.data(), rows, width, 1e-6f);
            for (const auto& rung : cuda::ladder::layernorm_rungs()) {
                CAPTURE(std::string(rung.name));
                CAPTURE(width);
                std::vector<bf16> y = unwritten(rows * width);
                std::vector<float> mean_of_rung = unwritten<float>(rows),
                                   rstd_of_rung = unwritten<float>(rows);
                climb(rung, y, mean_of_rung, rstd_of_rung, x, weight, bias, rows, width, 1e-6f);
                CHECK(excess_error(to_floats(y), widened(expected), 1.01 * bf16_rounding) < 1e-4);
                CHECK(relative_error(mean_of_rung, widened(mean)) < 1e-5);
                CHECK(relative_error(rstd_of_rung, widened(rstd)) < 1e-5);
            }
        }
}

CUDA_TEST("ladder: attention") {
    if constexpr (cuda_backend_built) {
        const AttentionShape shape{2, 128, 2, 64, false};
        const std::int64_t rows = shape.sequences * shape.length, width = shape.heads * shape.head_dim;
        const std::vector<float> qkv = rounded_to_bf16(uniform(3 * rows * width, 1, -2, 2));
        std::vector<float> expected(static_cast<std::size_t>(rows * width)),
            log_sum_exp(static_cast<std::size_t>(rows * shape.heads));
        cpu::attention_forward(expected.data(), log_sum_exp.data(), qkv.data(), shape, {});
        for (const auto& rung : cuda::ladder::attention_rungs()) {
            CAPTURE(std::string(rung.name));
            std::vector<bf16> out = unwritten(rows * width);
            std::vector<float> sums = unwritten<float>(rows * shape.heads);
            climb(rung, out, sums, to_bf16(qkv), shape, AttentionDropout{});
            // On tensor cores the weights are rounded to bf16 as well.
            CHECK(excess_error(to_floats(out), widened(expected), 1.01 * bf16_rounding) < 4e-3);
            CHECK(relative_error(sums, widened(log_sum_exp)) < 1e-5);
        }
    }
}
