#include "kernels/embedding.h"

#include <doctest/doctest.h>

#include "tests/unit/kernel_check.h"

using namespace kernel_check;

DEVICE_TEST("embedding picks rows and its backward adds to them") {
    const std::int64_t vocabulary = 11;
    for (const std::int64_t rows : row_counts)
        for (const std::int64_t width : widths) {
            const std::int64_t y_stride = width + 7, ids_stride = 3;
            const std::vector<float> table = uniform(vocabulary * width, 1), dy = uniform(rows * y_stride, 2);
            const std::vector<std::int32_t> ids = integers(rows * ids_stride, 3, vocabulary);
            std::vector<float> y(dy.size(), -9.0f), dtable(table.size(), 0.5f);
            RUN(device, embedding_forward, y, y_stride, table, ids, ids_stride, rows, width);
            RUN(device, embedding_backward, dtable, dy, y_stride, ids, ids_stride, rows, vocabulary, width);
            std::vector<float> expected(y.size(), -9.0f);
            std::vector<double> d_expected(table.size(), 0.5);
            for (std::int64_t row = 0; row < rows; ++row)
                for (std::int64_t i = 0; i < width; ++i) {
                    const std::int64_t entry = ids[row * ids_stride] * width + i;
                    expected[row * y_stride + i] = table[entry];
                    d_expected[entry] += dy[row * y_stride + i];
                }
            CAPTURE(rows);
            CAPTURE(width);
            CHECK(same_bits(y, expected));
            CHECK(relative_error(dtable, d_expected) < 1e-5);
        }
}

DEVICE_TEST("embedding backward sums each entry in the order of rows") {
    const std::vector<float> dy = {1e8f, 1.0f, -1e8f, 1.0f};
    const std::vector<std::int32_t> ids = {0, 0, 0, 0};
    std::vector<float> dtable = {0};
    RUN(device, embedding_backward, dtable, dy, 1, ids, 1, 4, 1, 1);
    CHECK(dtable[0] == 1.0f);
}

DEVICE_TEST("embedding does not depend on the number of threads") {
    CHECK(same_for_any_threads([&] {
        const std::vector<float> dy = uniform(1001 * 129, 2);
        const std::vector<std::int32_t> ids = integers(1001, 3, 256);
        std::vector<float> dtable(256 * 129, 0.5f);
        RUN(device, embedding_backward, dtable, dy, 129, ids, 1, 1001, 256, 129);
        return dtable;
    }));
}
