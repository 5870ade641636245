#include "kernels/linear/reduce.h"

#include <doctest/doctest.h>

#include "kernels/common/partition.h"
#include "tests/unit/kernels/bf16_check.h"

using namespace kernel_check;

DEVICE_TEST("sums and squared norms accumulate in double") {
    for (const std::int64_t count : {0, 1, 5, 31, 33, 4096, 8197, 1000003}) {
        const std::vector<float> x = uniform(count, 1, -1, 3);
        long double sum = 0, squares = 0;
        for (const float value : x) {
            sum += value;
            squares += static_cast<double>(value) * value;
        }
        std::vector<double> total = {10}, norm = {20},
                            workspace(static_cast<std::size_t>(SIZE_ON(device, squared_norm_workspace)), NAN);
        RUN(device, sum_accumulate, total, x, count, 0.25);
        RUN(device, squared_norm_accumulate, norm, workspace, x, count);
        CAPTURE(count);
        CHECK(total[0] == doctest::Approx(static_cast<double>(10 + 0.25L * sum)).epsilon(1e-13));
        CHECK(norm[0] == doctest::Approx(static_cast<double>(20 + squares)).epsilon(1e-13));
    }
}

DEVICE_TEST("column sums accumulate, whatever the stride") {
    for (const std::int64_t rows : {1, 3, 17, 257, 1031})
        for (const std::int64_t width : widths)
            for (const std::int64_t stride : {width, width + 3}) {
                const std::vector<float> x = uniform(rows * stride, 1, -1, 3);
                std::vector<float> sums(static_cast<std::size_t>(width), 1.5f);
                std::vector<float> workspace(
                    static_cast<std::size_t>(SIZE_ON(device, column_sum_workspace, width)), NAN);
                RUN(device, column_sum_accumulate, sums, workspace, x, stride, rows, width);
                std::vector<double> expected(sums.size(), 1.5);
                for (std::int64_t row = 0; row < rows; ++row)
                    for (std::int64_t i = 0; i < width; ++i) expected[i] += x[row * stride + i];
                CAPTURE(rows);
                CAPTURE(width);
                CHECK(relative_error(sums, expected) < 2e-6);
            }
}

DEVICE_TEST("reductions do not depend on the number of threads") {
    CHECK(same_for_any_threads([&] {
        const std::vector<float> x = uniform(1031 * 768, 1);
        std::vector<float> sums(768),
            workspace(static_cast<std::size_t>(SIZE_ON(device, column_sum_workspace, 768)));
        RUN(device, column_sum_accumulate, sums, workspace, x, 768, 1031, 768);
        std::vector<double> totals = {0, 0},
                            norm_workspace(static_cast<std::size_t>(SIZE_ON(device, squared_norm_workspace)));
        RUN(device, sum_accumulate, totals, x, 1031 * 768, 1.0);
        RUN(device, squared_norm_accumulate, from(totals, 1), norm_workspace, x, 1031 * 768);
        float bits[4];
        std::memcpy(bits, totals.data(), sizeof bits);
        sums.insert(sums.end(), bits, bits + 4);
        return sums;
    }));
}

TEST_CASE("row slices cover all rows once, in order") {
    for (const std::int64_t rows : {1, 15, 16, 33, 100, 256, 1031}) {
        const std::int64_t slices = cpu::row_slices(rows);
        std::int64_t next = 0;
        for (std::int64_t slice = 0; slice < slices; ++slice) {
            const auto [begin, end] = cpu::row_slice(rows, slices, slice);
            CHECK(begin == next);
            CHECK(end > begin);
            next = end;
        }
        CHECK(next == rows);
        CHECK(slices <= cpu::max_row_slices);
    }
}

DEVICE_TEST("sums of values that do not start at a 16-byte boundary") {
    const std::vector<float> x = uniform(5003, 1, -1, 3);
    for (const std::int64_t first : {1, 2, 3}) {
        double sum = 0, squares = 0;
        for (auto value = x.begin() + first; value != x.end(); ++value) {
            sum += static_cast<double>(*value);
            squares += static_cast<double>(*value) * static_cast<double>(*value);
        }
        std::vector<double> total = {0}, norm = {0},
                            workspace(static_cast<std::size_t>(SIZE_ON(device, squared_norm_workspace)), NAN);
        RUN(device, sum_accumulate, total, from(x, first), 5003 - first, 1.0);
        RUN(device, squared_norm_accumulate, norm, workspace, from(x, first), 5003 - first);
        CHECK(total[0] == doctest::Approx(sum).epsilon(1e-13));
        CHECK(norm[0] == doctest::Approx(squares).epsilon(1e-13));
    }
}

CUDA_TEST("column sums of bf16") {
    for (const std::int64_t rows : {1, 17, 300, 5000})
        for (const std::int64_t width : {1, 5, 8, 72, 264})
            for (const std::int64_t gap : {0, 3, 8})
                for (const std::int64_t first : {0, 1}) {
                    if (rows * width > 400000) continue;
                    const std::int64_t stride = width + gap;
                    const std::vector<float> x = rounded_to_bf16(uniform(first + rows * stride, 1, -1, 3));
                    std::vector<float> sums(static_cast<std::size_t>(width), 1.5f),
                        workspace(
                            static_cast<std::size_t>(SIZE_ON(Device::cuda, column_sum_workspace, width)),
                            NAN);
                    const std::vector<bf16> halves = to_bf16(x);
                    RUN_CUDA(column_sum_accumulate, sums, workspace, from(halves, first), stride, rows,
                             width);
                    std::vector<double> expected(sums.size(), 1.5);
                    for (std::int64_t row = 0; row < rows; ++row)
                        for (std::int64_t i = 0; i < width; ++i)
                            expected[static_cast<std::size_t>(i)] +=
                                static_cast<double>(x[static_cast<std::size_t>(first + row * stride + i)]);
                    CAPTURE(rows);
                    CAPTURE(width);
                    CHECK(relative_error(sums, expected) < 2e-6);
                }
}
