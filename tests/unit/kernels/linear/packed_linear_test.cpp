#include "kernels/linear/packed_linear.h"

#include <doctest/doctest.h>

#include "tests/unit/kernels/bf16_check.h"

namespace {

std::vector<double> reference(const std::vector<float>& x, const std::vector<float>& weight,
                              const std::vector<float>& bias, std::int64_t rows, std::int64_t N,
                              std::int64_t K) {
    std::vector<double> y;
    for (std::int64_t r = 0; r < rows; ++r)
        for (std::int64_t n = 0; n < N; ++n) {
            double sum = bias.empty() ? 0 : static_cast<double>(bias[static_cast<std::size_t>(n)]);
            for (std::int64_t k = 0; k < K; ++k)
                sum += static_cast<double>(x[static_cast<std::size_t>(r * K + k)]) *
                       static_cast<double>(weight[static_cast<std::size_t>(n * K + k)]);
            y.push_back(sum);
        }
    return y;
}

std::vector<float> packed_forward(Device device, const std::vector<float>& x,
                                  const std::vector<float>& weight, const std::vector<float>& bias,
                                  std::int64_t rows, std::int64_t N, std::int64_t K) {
    std::vector<float> packed(static_cast<std::size_t>(SIZE_ON(device, packed_linear_elements, N, K)), NAN);
    RUN(device, pack_linear, packed, weight, bias.empty() ? nullptr : &bias, N, K);
    std::vector<float> y(static_cast<std::size_t>(rows * N), NAN);
    RUN(device, packed_linear_forward, y, x, packed, rows, N, K);
    return y;
}

}  // namespace

DEVICE_TEST("packed_linear: every number of rows, odd sizes, with and without bias") {
    for (const std::int64_t rows : {1, 2, 5, 8, 9, 16, 33})
        for (const std::int64_t N : {1, 31, 32, 48, 200, 768})
            for (const std::int64_t K : {1, 3, 48, 129}) {
                CAPTURE(rows);
                CAPTURE(N);
                CAPTURE(K);
                const auto x = kernel_check::uniform(rows * K, 1), weight = kernel_check::uniform(N * K, 2),
                           bias = kernel_check::uniform(N, 3);
                for (const auto& b : {bias, std::vector<float>()})
                    CHECK(kernel_check::relative_error(packed_forward(device, x, weight, b, rows, N, K),
                                                       reference(x, weight, b, rows, N, K)) < 2e-6);
            }
}

DEVICE_TEST("packed_linear: a row's bits do not depend on the rows beside it") {
    const std::int64_t rows = 13, N = 100, K = 70;
    const auto x = kernel_check::uniform(rows * K, 4), weight = kernel_check::uniform(N * K, 5),
               bias = kernel_check::uniform(N, 6);
    const auto together = packed_forward(device, x, weight, bias, rows, N, K);
    for (std::int64_t r = 0; r < rows; ++r) {
        const std::vector<float> alone =
            packed_forward(device, {x.begin() + r * K, x.begin() + (r + 1) * K}, weight, bias, 1, N, K);
        CHECK(kernel_check::same_bits(alone, {together.begin() + r * N, together.begin() + (r + 1) * N}));
    }
}

TEST_CASE("packed_linear_tile: accumulates on request") {
    const std::int64_t rows = 7, N = 40, K = 33;
    const auto x = kernel_check::uniform(rows * K, 7), weight = kernel_check::uniform(N * K, 8),
               bias = kernel_check::uniform(N, 9), before = kernel_check::uniform(rows * N, 10);
    std::vector<float> packed(static_cast<std::size_t>(cpu::packed_linear_elements(N, K)));
    cpu::pack_linear(packed.data(), weight.data(), bias.data(), N, K);
    auto expected = reference(x, weight, bias, rows, N, K);
    std::vector<float> y = before;
    cpu::packed_linear_tile(y.data(), x.data(), packed.data(), static_cast<int>(rows), N, K, true);
    for (std::size_t i = 0; i < expected.size(); ++i) expected[i] += static_cast<double>(before[i]);
    CHECK(kernel_check::relative_error(y, expected) < 2e-6);
}

static std::vector<bf16> packed_forward_in_bf16(const std::vector<bf16>& x, const std::vector<float>& weight,
                                                const std::vector<float>& bias, std::int64_t rows,
                                                std::int64_t N, std::int64_t K) {
    std::vector<bf16> packed(static_cast<std::size_t>(SIZE_ON(Device::cuda, packed_linear_elements, N, K)),
                             bf16{0x7FFF});
    RUN_CUDA(pack_linear, packed, weight, bias.empty() ? nullptr : &bias, N, K);
    std::vector<bf16> y(static_cast<std::size_t>(rows * N), bf16{0x7FFF});
    RUN_CUDA(packed_linear_forward, y, x, packed, rows, N, K);
    return y;
}

CUDA_TEST("packed_linear in bf16: the product of rounded weights, rounded once") {
    for (const std::int64_t rows : {1, 7, 8, 9, 16, 17, 70})
        for (const std::int64_t N : {1, 31, 48, 64, 200})
            for (const std::int64_t K : {1, 3, 48, 129, 320}) {
                CAPTURE(rows);
                CAPTURE(N);
                CAPTURE(K);
                const auto x = kernel_check::rounded_to_bf16(kernel_check::uniform(rows * K, 1)),
                           weight = kernel_check::uniform(N * K, 2), bias = kernel_check::uniform(N, 3);
                for (const auto& b : {bias, std::vector<float>()}) {
                    const auto y = packed_forward_in_bf16(kernel_check::to_bf16(x), weight, b, rows, N, K);
                    CHECK(kernel_check::excess_error(kernel_check::to_floats(y),
                                                     reference(x, kernel_check::rounded_to_bf16(weight),
                                                               kernel_check::rounded_to_bf16(b), rows, N, K),
                                                     1.01 * kernel_check::bf16_rounding) < 1e-5);
                }
            }
}

CUDA_TEST("packed_linear in bf16: a row's bits depend neither on the rows beside it nor on their number") {
    const std::int64_t rows = 37, N = 96, K = 300;
    const auto x = kernel_check::to_bf16(kernel_check::uniform(rows * K, 4));
    const auto weight = kernel_check::uniform(N * K, 5), bias = kernel_check::uniform(N, 6);
    const auto together = kernel_check::to_floats(packed_forward_in_bf16(x, weight, bias, rows, N, K));
    for (const std::int64_t count : {1, 5, 8, 11, 16, 20})
        for (std::int64_t first = 0; first + count <= rows; first += count) {
            const auto alone = kernel_check::to_floats(packed_forward_in_bf16(
                {x.begin() + first * K, x.begin() + (first + count) * K}, weight, bias, count, N, K));
            CHECK(kernel_check::same_bits(
                alone, {together.begin() + first * N, together.begin() + (first + count) * N}));
        }
}
