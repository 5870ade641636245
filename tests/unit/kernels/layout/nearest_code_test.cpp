#include "kernels/layout/nearest_code.h"

#include <doctest/doctest.h>

#include "tests/unit/kernels/kernel_check.h"

using namespace kernel_check;

namespace {

std::vector<std::int32_t> find(Device device, const std::vector<float>& z, const std::vector<float>& codebook,
                               std::int64_t C) {
    const auto M = static_cast<std::int64_t>(z.size()) / C,
               K = static_cast<std::int64_t>(codebook.size()) / C;
    std::vector<std::int32_t> codes(static_cast<std::size_t>(M), -1);
    std::vector<float> workspace(static_cast<std::size_t>(SIZE_ON(device, nearest_code_workspace, K, C)),
                                 NAN);
    RUN(device, nearest_code, codes, workspace, z, codebook, M, K, C);
    return codes;
}

double distance(const std::vector<float>& z, std::int64_t m, const std::vector<float>& codebook,
                std::int64_t k, std::int64_t C) {
    double sum = 0;
    for (std::int64_t c = 0; c < C; ++c) {
        const double d = static_cast<double>(z[static_cast<std::size_t>(m * C + c)]) -
                         static_cast<double>(codebook[static_cast<std::size_t>(k * C + c)]);
        sum += d * d;
    }
    return sum;
}

}  // namespace

DEVICE_TEST("the nearest code is no further than any other in double") {
    struct Case {
        std::int64_t M, K, C;
    };
    for (const auto& [M, K, C] : {Case{1, 1, 1}, {3, 2, 5}, {67, 33, 7}, {65, 200, 64}, {130, 1024, 40}}) {
        const std::vector<float> z = uniform(M * C, 1), codebook = uniform(K * C, 2);
        const std::vector<std::int32_t> codes = find(device, z, codebook, C);
        CAPTURE(K);
        for (std::int64_t m = 0; m < M; ++m) {
            const std::int32_t code = codes[static_cast<std::size_t>(m)];
            REQUIRE(code >= 0);
            REQUIRE(code < K);
            double least = distance(z, m, codebook, 0, C);
            for (std::int64_t k = 1; k < K; ++k) least = std::min(least, distance(z, m, codebook, k, C));
            CHECK(distance(z, m, codebook, code, C) <= least * (1 + 1e-6));
        }
    }
}

DEVICE_TEST("of equally near codes the first is taken, wherever both stand") {
    constexpr std::int64_t K = 150, C = 19;
    const std::vector<float> z = uniform(C, 3);
    for (const auto& [first, second] :
         {std::pair{0, 1}, {0, 149}, {15, 16}, {31, 32}, {63, 64}, {3, 67}, {70, 142}}) {
        std::vector<float> codebook = uniform(K * C, 4, 5, 6);
        for (const int k : {first, second})
            for (std::int64_t c = 0; c < C; ++c)
                codebook[static_cast<std::size_t>(k * C + c)] = z[static_cast<std::size_t>(c)] + 0.37f;
        CAPTURE(first);
        CAPTURE(second);
        CHECK(find(device, z, codebook, C) == std::vector<std::int32_t>{first});
    }
}

DEVICE_TEST("what is not a number gets code 0, its neighbours theirs") {
    constexpr std::int64_t C = 6;
    std::vector<float> codebook = uniform(40 * C, 5), z(codebook.begin() + 30 * C, codebook.begin() + 33 * C);
    z[C + 2] = NAN;
    CHECK(find(device, z, codebook, C) == std::vector<std::int32_t>{30, 0, 32});
}

DEVICE_TEST("the nearest code does not depend on the number of threads") {
    const std::vector<float> z = uniform(301 * 33, 6), codebook = uniform(300 * 33, 7);
    CHECK(same_for_any_threads([&] {
        const std::vector<std::int32_t> codes = find(device, z, codebook, 33);
        return std::vector<float>(codes.begin(), codes.end());
    }));
}
