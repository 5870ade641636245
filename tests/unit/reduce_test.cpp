#include "kernels/reduce.h"

#include <doctest/doctest.h>

#include "kernels/partition.h"
#include "tests/unit/kernel_check.h"

using namespace kernel_check;

DEVICE_TEST("sums and squared norms accumulate in double") {
    for (const std::int64_t count : {0, 1, 5, 31, 33, 4096, 8197, 1000003}) {
        const std::vector<float> x = uniform(count, 1, -1, 3);
        long double sum = 0, squares = 0;
        for (const float value : x) {
            sum += value;
            squares += static_cast<double>(value) * value;
        }
        std::vector<double> total = {10}, norm = {20};
        RUN(device, sum_accumulate, total, x, count, 0.25);
        RUN(device, squared_norm_accumulate, norm, x, count);
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
        std::vector<double> totals = {0, 0};
        RUN(device, sum_accumulate, totals, x, 1031 * 768, 1.0);
        RUN(device, squared_norm_accumulate, from(totals, 1), x, 1031 * 768);
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
