#include "kernels/layout/codes.h"

#include <doctest/doctest.h>

#include "tests/unit/kernels/kernel_check.h"

using namespace kernel_check;

DEVICE_TEST("codes survive as fp32 and back, up to 2^24") {
    for (const std::int64_t count : {1, 5, 129, 4099}) {
        std::vector<std::int32_t> codes = integers(count, 1, 1 << 24), back(codes.size(), -1);
        codes.front() = 0;
        codes.back() = 1 << 24;
        std::vector<float> y(codes.size(), NAN);
        RUN(device, codes_to_float, y, codes, count);
        RUN(device, float_to_codes, back, y, count);
        for (std::size_t i = 0; i < codes.size(); ++i) CHECK(y[i] == static_cast<float>(codes[i]));
        CHECK(back == codes);
    }
}
