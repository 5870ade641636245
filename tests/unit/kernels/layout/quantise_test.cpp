#include "kernels/layout/quantise.h"

#include <doctest/doctest.h>

#include "tests/unit/kernels/kernel_check.h"

using namespace kernel_check;

namespace {

struct Case {
    std::int64_t M, K, C;
    std::vector<float> z, codebook, dy;
    std::vector<std::int32_t> codes;

    Case(std::int64_t M_, std::int64_t K_, std::int64_t C_)
        : M(M_),
          K(K_),
          C(C_),
          z(uniform(M * C, 1)),
          codebook(uniform(K * C, 2)),
          dy(uniform(M * C, 3)),
          codes(integers(M, 4, static_cast<std::int32_t>(K))) {}

    std::size_t entry(std::size_t i) const {
        const auto width = static_cast<std::size_t>(C);
        return static_cast<std::size_t>(codes[i / width]) * width + i % width;
    }
};

}  // namespace

DEVICE_TEST("quantise forward agrees with the formula in double") {
    for (const Case& c : {Case(1, 1, 1), Case(17, 5, 33), Case(257, 40, 64)}) {
        std::vector<float> y(c.z.size(), NAN), squares(static_cast<std::size_t>(c.M), NAN), in_place = c.z;
        RUN(device, quantise_forward, y, squares, c.z, c.codebook, c.codes, c.M, c.C);
        std::vector<double> entries(y.size()), expected(squares.size());
        for (std::size_t i = 0; i < y.size(); ++i) {
            entries[i] = c.codebook[c.entry(i)];
            const double d = entries[i] - static_cast<double>(c.z[i]);
            expected[i / static_cast<std::size_t>(c.C)] += d * d;
        }
        CHECK(relative_error(y, entries) < 1e-6);
        CHECK(relative_error(squares, expected) < 1e-6);
        for (std::size_t i = 0; i < y.size(); ++i) CHECK(y[i] == c.z[i] + (c.codebook[c.entry(i)] - c.z[i]));
        RUN(device, quantise_forward, in_place, squares, in_place, c.codebook, c.codes, c.M, c.C);
        CHECK(same_bits(in_place, y));
    }
}

DEVICE_TEST("quantise backward agrees with the formula in double") {
    constexpr float z_scale = 0.5f, codebook_scale = 0.125f;
    for (const Case& c : {Case(1, 1, 1), Case(17, 5, 33), Case(257, 40, 64)})
        for (const bool passes : {true, false}) {
            std::vector<float> dz(c.z.size(), NAN), d_rows(c.z.size(), NAN);
            RUN(device, quantise_backward, dz, d_rows, passes ? &c.dy : nullptr, c.z, c.codebook, c.codes,
                z_scale, codebook_scale, c.M, c.C);
            std::vector<double> dz_expected(dz.size()), rows_expected(dz.size());
            for (std::size_t i = 0; i < dz.size(); ++i) {
                const double d = static_cast<double>(c.z[i]) - static_cast<double>(c.codebook[c.entry(i)]);
                dz_expected[i] = (passes ? static_cast<double>(c.dy[i]) : 0.0) + z_scale * d;
                rows_expected[i] = -codebook_scale * d;
            }
            CHECK(relative_error(dz, dz_expected) < 1e-6);
            CHECK(relative_error(d_rows, rows_expected) < 1e-6);
        }
}

DEVICE_TEST("quantise does not depend on the number of threads") {
    const Case c(701, 40, 33);
    CHECK(same_for_any_threads([&] {
        std::vector<float> y(c.z.size()), squares(static_cast<std::size_t>(c.M));
        RUN(device, quantise_forward, y, squares, c.z, c.codebook, c.codes, c.M, c.C);
        y.insert(y.end(), squares.begin(), squares.end());
        return y;
    }));
}
