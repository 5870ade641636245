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

DEVICE_TEST("add_rows adds rows of any stride and touches nothing between them") {
    const std::int64_t rows = 300, width = 65, x_stride = 70, y_stride = 67;
    const std::vector<float> x = uniform(rows * x_stride, 1), before = uniform(rows * y_stride, 2);
    std::vector<float> y = before, expected = before;
    RUN(device, add_rows, y, y_stride, x, x_stride, rows, width);
    for (std::int64_t row = 0; row < rows; ++row)
        for (std::int64_t i = 0; i < width; ++i) expected[row * y_stride + i] += x[row * x_stride + i];
    CHECK(same_bits(y, expected));
}

DEVICE_TEST("gather_rows picks rows by number and scatter_rows puts them back") {
    for (const std::int64_t width : {1, 3, 64, 129}) {
        const std::vector<std::int32_t> index = {7, 0, 299, 12, 5};
        const std::int64_t rows = static_cast<std::int64_t>(index.size());
        const std::vector<float> x = uniform(300 * width, 1);
        std::vector<float> picked(static_cast<std::size_t>(rows * width), NAN), expected;
        RUN(device, gather_rows, picked, x, index, rows, width);
        for (const std::int32_t i : index)
            expected.insert(expected.end(), x.begin() + i * width, x.begin() + (i + 1) * width);
        CHECK(same_bits(picked, expected));
        std::vector<float> back(x.size(), -1.0f), back_expected = back;
        RUN(device, scatter_rows, back, picked, index, rows, width);
        for (const std::int32_t i : index)
            std::copy_n(x.begin() + i * width, width, back_expected.begin() + i * width);
        CHECK(same_bits(back, back_expected));
    }
}
