#include "kernels/gather.h"

#include <doctest/doctest.h>

#include "tests/unit/kernel_check.h"

using namespace kernel_check;

DEVICE_TEST("copy_rows moves rows of any stride and nothing between them") {
    for (const std::int64_t rows : {1, 3, 17, 1000})
        for (const std::int64_t width : {1, 5, 64, 129}) {
            const std::int64_t x_stride = width + 4, y_stride = width + 7;
            const std::vector<float> x = uniform(rows * x_stride, 1);
            std::vector<float> y(static_cast<std::size_t>(rows * y_stride), -9.0f), expected = y;
            RUN(device, copy_rows, y, y_stride, x, x_stride, rows, width);
            for (std::int64_t row = 0; row < rows; ++row)
                std::copy_n(x.begin() + row * x_stride, width, expected.begin() + row * y_stride);
            CAPTURE(rows);
            CAPTURE(width);
            CHECK(same_bits(y, expected));
        }
}

DEVICE_TEST("copy_rows drops the last token of every sequence") {
    const std::int64_t sequences = 3, length = 4, width = 5;
    const std::vector<float> x = uniform(sequences * length * width, 2);
    std::vector<float> y(static_cast<std::size_t>(sequences * (length - 1) * width)), expected;
    RUN(device, copy_rows, y, (length - 1) * width, x, length * width, sequences, (length - 1) * width);
    for (std::int64_t token = 0; token < sequences * length; ++token)
        if (token % length != length - 1)
            expected.insert(expected.end(), x.begin() + token * width, x.begin() + (token + 1) * width);
    CHECK(same_bits(y, expected));
}

DEVICE_TEST("paths count patches in raster order below their sequence") {
    const std::vector<std::int64_t> parents = {0, 7, 3'000'000'000};
    const std::int64_t L = 5, M = static_cast<std::int64_t>(parents.size());
    std::vector<std::int64_t> children(15, -1);
    RUN(device, child_paths, children, parents, M, L);
    CHECK(children == std::vector<std::int64_t>{0, 1, 2, 3, 4, 35, 36, 37, 38, 39, 15'000'000'000,
                                                15'000'000'001, 15'000'000'002, 15'000'000'003,
                                                15'000'000'004});
    for (std::int64_t t = 0; t < L; ++t) {
        std::vector<std::int64_t> column(parents.size(), -1);
        RUN(device, child_paths_at, column, parents, t, M, L);
        for (std::int64_t m = 0; m < M; ++m)
            CHECK(column[static_cast<std::size_t>(m)] == children[static_cast<std::size_t>(m * L + t)]);
    }
}
