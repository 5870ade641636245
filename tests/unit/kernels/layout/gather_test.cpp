#include "kernels/layout/gather.h"

#include <doctest/doctest.h>

#include "tests/unit/kernels/bf16_check.h"
#include "tests/unit/kernels/kernel_check.h"

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

DEVICE_TEST("rows that start anywhere, none of them, and one long one") {
    const std::vector<float> x = uniform(4000, 1);
    for (const std::int64_t first : {0, 1, 4})
        for (const std::int64_t width : {4, 64, 999}) {
            std::vector<float> y(x.size(), -9.0f), expected = y;
            RUN(device, copy_rows, from(y, first), width, from(x, first), width, 1, width);
            RUN(device, add_rows, from(y, first), width, from(x, first), width, 0, width);
            std::copy_n(x.begin() + first, width, expected.begin() + first);
            CAPTURE(first);
            CAPTURE(width);
            CHECK(same_bits(y, expected));
        }
}

CUDA_TEST("rows of bf16 are moved bit for bit and added in float") {
    for (const std::int64_t width : {1, 8, 24, 37, 136})
        for (const std::int64_t pad : {0, 3, 8}) {
            const std::int64_t rows = 21, stride = width + pad;
            std::vector<bf16> x = to_bf16(uniform(rows * stride, 1)), y = to_bf16(uniform(rows * stride, 2));
            x[0].bits = 0x7F81;  // not a number, and not the one that arithmetic makes
            std::vector<bf16> copied = y, copies = y, sum = y, sums = y;
            RUN_CUDA(copy_rows, copied, stride, x, stride, rows, width);
            x[0].bits = 0x3F80;
            RUN_CUDA(add_rows, sum, stride, x, stride, rows, width);
            for (std::int64_t row = 0; row < rows; ++row)
                for (std::int64_t i = row * stride; i < row * stride + width; ++i) {
                    copies[i] = x[i];
                    sums[i] = nearest_bf16(to_float(y[i]) + to_float(x[i]));
                }
            copies[0].bits = 0x7F81;
            CAPTURE(width);
            CAPTURE(pad);
            CHECK(same_bits(copied, copies));
            CHECK(same_bits(sum, sums));

            const std::vector<std::int32_t> index = {7, 0, 20, 12, 5};
            std::vector<bf16> table = to_bf16(uniform(rows * width, 1)), picked(5 * width), expected;
            RUN_CUDA(gather_rows, picked, table, index, 5, width);
            for (const std::int32_t i : index)
                expected.insert(expected.end(), table.begin() + i * width, table.begin() + (i + 1) * width);
            CHECK(same_bits(picked, expected));
            std::vector<bf16> scattered = table;
            for (const std::int32_t i : index) std::fill_n(scattered.begin() + i * width, width, bf16{1});
            RUN_CUDA(scatter_rows, scattered, picked, index, 5, width);
            CHECK(same_bits(scattered, table));
        }
}
