#include "kernels/pointwise/convert.h"

#include <doctest/doctest.h>

#include <bit>

#include "tests/unit/kernels/kernel_check.h"

using namespace kernel_check;

namespace {

std::uint16_t bits_of_rounded(Device device, float value) {
    std::vector<bf16> y(1);
    RUN(device, round_to_bf16, y, std::vector<float>{value}, 1);
    return y[0].bits;
}

}  // namespace

DEVICE_TEST("rounding to bf16 takes the nearest, halves to even") {
    CHECK(bits_of_rounded(device, 1.0f) == 0x3F80);
    CHECK(bits_of_rounded(device, 1.0f + 0x1p-8f) == 0x3F80);  // half way, down to even
    CHECK(bits_of_rounded(device, 1.0f + 0x3p-8f) == 0x3F82);  // half way, up to even
    CHECK(bits_of_rounded(device, 1.0f + 0x1.02p-8f) == 0x3F81);
    CHECK(bits_of_rounded(device, -0.0f) == 0x8000);
    CHECK(bits_of_rounded(device, 0x1p-133f) == 0x0001);  // subnormals stay
    CHECK(bits_of_rounded(device, 3.4e38f) == 0x7F80);    // beyond the largest: infinity
    CHECK(bits_of_rounded(device, INFINITY) == 0x7F80);
    CHECK(std::isnan(to_float(bf16{bits_of_rounded(device, NAN)})));
    CHECK(std::isnan(to_float(bf16{bits_of_rounded(device, std::bit_cast<float>(0xFF800001u))})));
}

DEVICE_TEST("bf16 to float and back is the identity, for every bf16") {
    std::vector<bf16> every(65536), back(every.size());
    for (std::size_t i = 0; i < every.size(); ++i) every[i].bits = static_cast<std::uint16_t>(i);
    std::vector<float> wide(every.size());
    RUN(device, widen_bf16, wide, every, 65536);
    RUN(device, round_to_bf16, back, wide, 65536);
    std::size_t wrong = 0;
    for (std::size_t i = 0; i < every.size(); ++i) {
        const float expected = to_float(every[i]);
        const bool nan = std::isnan(expected);
        wrong += nan ? !std::isnan(wide[i]) : std::bit_cast<std::uint32_t>(wide[i]) != i << 16;
        wrong += nan ? !std::isnan(to_float(back[i])) : back[i].bits != every[i].bits;
    }
    CHECK(wrong == 0);
}

DEVICE_TEST("conversions of odd sizes and from odd addresses") {
    for (const std::int64_t count : {0, 1, 7, 8, 9, 4097})
        for (const std::int64_t first : {0, 1, 4}) {
            const std::vector<float> x = uniform(count + first, 1, -1e3f, 1e3f);
            std::vector<bf16> y(x.size(), bf16{0x1234});
            std::vector<float> back(x.size(), 7.0f);
            RUN(device, round_to_bf16, from(y, first), from(x, first), count);
            RUN(device, widen_bf16, from(back, first), from(y, first), count);
            bool same = true;
            for (std::size_t i = 0; i < x.size(); ++i) {
                const bool inside = i >= static_cast<std::size_t>(first);
                same = same && y[i].bits == (inside ? nearest_bf16(x[i]).bits : 0x1234) &&
                       back[i] == (inside ? to_float(nearest_bf16(x[i])) : 7.0f);
            }
            CAPTURE(count);
            CAPTURE(first);
            CHECK(same);
        }
}
