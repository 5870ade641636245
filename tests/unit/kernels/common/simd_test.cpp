#include "kernels/common/simd.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>

TEST_CASE("fast_exp keeps its stated relative error") {
    double worst = 0;
    for (int i = 0; i <= 4000000; ++i) {
        const auto x = static_cast<float>(-87.3 + 175.6 * i / 4000000.0);
        const double exact = std::exp(static_cast<double>(x));
        worst = std::max(worst, std::abs(cpu::fast_exp(x) - exact) / exact);
    }
    CHECK(worst < 2e-7);
    MESSAGE("fast_exp: largest relative error " << worst);
}

TEST_CASE("fast_exp is exact at 0 and finite beyond its range") {
    CHECK(cpu::fast_exp(0.0f) == 1.0f);
    for (const float x : {88.3f, 89.0f, 1e4f, std::numeric_limits<float>::infinity()})
        CHECK(cpu::fast_exp(x) == cpu::fast_exp(88.3f));
    for (const float x : {-87.3f, -88.0f, -1e4f, -std::numeric_limits<float>::infinity()})
        CHECK(cpu::fast_exp(x) == cpu::fast_exp(-87.3f));
    CHECK(std::isfinite(cpu::fast_exp(88.3f)));
    CHECK(cpu::fast_exp(-87.3f) > 0);
}
