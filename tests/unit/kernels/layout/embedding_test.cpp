#include "kernels/layout/embedding.h"

#include <doctest/doctest.h>

#include "tests/unit/kernels/bf16_check.h"
#include "tests/unit/kernels/kernel_check.h"

using namespace kernel_check;

namespace {

std::vector<float> workspace_for(Device device, std::int64_t rows, std::int64_t vocabulary,
                                 std::int64_t width) {
    const std::int64_t floats = SIZE_ON(device, embedding_backward_workspace, rows, vocabulary, width);
    return std::vector<float>(static_cast<std::size_t>(floats), NAN);
}

// dtable + the sums in double. dy [rows, stride] holds `width` values per row.
std::vector<double> gradient(const std::vector<float>& dtable, const std::vector<float>& dy,
                             std::int64_t stride, const std::vector<std::int32_t>& ids,
                             std::int64_t ids_stride, std::int64_t rows, std::int64_t width) {
    std::vector<double> sums = widened(dtable);
    for (std::int64_t row = 0; row < rows; ++row)
        for (std::int64_t i = 0; i < width; ++i)
            sums[ids[row * ids_stride] * width + i] += dy[row * stride + i];
    return sums;
}

}  // namespace

DEVICE_TEST("embedding picks rows and its backward adds to them") {
    const std::int64_t vocabulary = 11;
    for (const std::int64_t rows : row_counts)
        for (const std::int64_t width : widths) {
            const std::int64_t y_stride = width + 7, ids_stride = 3;
            const std::vector<float> table = uniform(vocabulary * width, 1), dy = uniform(rows * y_stride, 2);
            const std::vector<std::int32_t> ids = integers(rows * ids_stride, 3, vocabulary);
            std::vector<float> y(dy.size(), -9.0f), dtable(table.size(), 0.5f),
                workspace = workspace_for(device, rows, vocabulary, width);
            RUN(device, embedding_forward, y, y_stride, table, ids, ids_stride, rows, width);
            RUN(device, embedding_backward, dtable, workspace, dy, y_stride, ids, ids_stride, rows,
                vocabulary, width);
            std::vector<float> expected(y.size(), -9.0f);
            for (std::int64_t row = 0; row < rows; ++row)
                for (std::int64_t i = 0; i < width; ++i)
                    expected[row * y_stride + i] = table[ids[row * ids_stride] * width + i];
            const std::vector<float> before(table.size(), 0.5f);
            CAPTURE(rows);
            CAPTURE(width);
            CHECK(same_bits(y, expected));
            CHECK(relative_error(dtable, gradient(before, dy, y_stride, ids, ids_stride, rows, width)) <
                  1e-5);
        }
}

DEVICE_TEST("embedding of aligned rows, every third token of a sequence") {
    for (const std::int64_t width : {16, 64, 136}) {
        const std::int64_t rows = 37, vocabulary = 5, y_stride = 3 * width;
        const std::vector<float> table = uniform(vocabulary * width, 1);
        const std::vector<std::int32_t> ids = integers(rows, 3, vocabulary);
        std::vector<float> y(rows * y_stride, -9.0f), expected = y;
        RUN(device, embedding_forward, from(y, width), y_stride, table, ids, 1, rows - 1, width);
        for (std::int64_t row = 0; row < rows - 1; ++row)
            std::copy_n(table.begin() + ids[row] * width, width, expected.begin() + row * y_stride + width);
        CHECK(same_bits(y, expected));
    }
}

DEVICE_TEST("embedding backward of many rows, whatever their ids") {
    struct Size {
        std::int64_t rows, vocabulary, width;
    };
    // The last two: more entries than a block of the GPU holds, and more than there are rows.
    for (const auto& [rows, vocabulary, width] :
         {Size{513, 1, 5}, Size{3000, 7, 33}, Size{4099, 256, 40}, Size{9000, 1001, 17}, Size{700, 1001, 65}})
        for (const std::int32_t different : {1, 3, static_cast<std::int32_t>(vocabulary)}) {
            if (different > vocabulary) continue;
            const std::int64_t stride = 2 * width;
            const std::vector<float> dy = uniform(rows * stride, 2), before = uniform(vocabulary * width, 4);
            std::vector<std::int32_t> ids = integers(rows * 2, 3, different);
            for (std::int32_t& id : ids) id = static_cast<std::int32_t>(vocabulary) - 1 - id;
            std::vector<float> dtable = before, workspace = workspace_for(device, rows, vocabulary, width);
            RUN(device, embedding_backward, dtable, workspace, from(dy, width), stride, from(ids, 1), 2, rows,
                vocabulary, width);
            std::vector<double> expected = widened(before);
            for (std::int64_t row = 0; row < rows; ++row)
                for (std::int64_t i = 0; i < width; ++i)
                    expected[ids[2 * row + 1] * width + i] += dy[row * stride + width + i];
            CAPTURE(rows);
            CAPTURE(vocabulary);
            CAPTURE(different);
            CHECK(relative_error(dtable, expected) < 1e-5);
        }
}

DEVICE_TEST("embedding backward of no rows changes nothing") {
    const std::vector<float> before = uniform(3 * 8, 1);
    std::vector<float> dtable = before, workspace;
    const std::vector<float> dy;
    const std::vector<std::int32_t> ids;
    RUN(device, embedding_backward, dtable, workspace, dy, 8, ids, 1, 0, 3, 8);
    CHECK(same_bits(dtable, before));
}

DEVICE_TEST("embedding backward sums each entry in the order of rows") {
    const std::vector<float> dy = {1e8f, 1.0f, -1e8f, 1.0f};
    const std::vector<std::int32_t> ids = {0, 0, 0, 0};
    std::vector<float> dtable = {0}, workspace = workspace_for(device, 4, 1, 1);
    RUN(device, embedding_backward, dtable, workspace, dy, 1, ids, 1, 4, 1, 1);
    CHECK(dtable[0] == 1.0f);
}

DEVICE_TEST("embedding backward of a few rows per entry has the bits of a plain loop") {
    struct Size {
        std::int64_t rows, vocabulary;
    };
    const std::int64_t width = 37;
    for (const auto& [rows, vocabulary] : {Size{512, 9}, Size{900, 160}, Size{1500, 600}}) {
        const std::vector<float> dy = uniform(rows * width, 2);
        // Four rows that follow each other share an id now and then.
        const std::vector<std::int32_t> runs = integers(rows, 3, static_cast<std::int32_t>(vocabulary));
        std::vector<std::int32_t> ids;
        for (std::int64_t row = 0; row < rows; ++row) ids.push_back(runs[row / 2 + row % 2 * (row % 3)]);
        std::vector<float> dtable(vocabulary * width, 0.5f),
            expected = dtable, workspace = workspace_for(device, rows, vocabulary, width);
        RUN(device, embedding_backward, dtable, workspace, dy, width, ids, 1, rows, vocabulary, width);
        for (std::int64_t row = 0; row < rows; ++row)
            for (std::int64_t i = 0; i < width; ++i) expected[ids[row] * width + i] += dy[row * width + i];
        CAPTURE(rows);
        CHECK(same_bits(dtable, expected));
    }
}

DEVICE_TEST("embedding does not depend on the number of threads") {
    CHECK(same_for_any_threads([&] {
        const std::vector<float> dy = uniform(1001 * 129, 2);
        const std::vector<std::int32_t> ids = integers(1001, 3, 25);
        std::vector<float> dtable(25 * 129, 0.5f), workspace = workspace_for(device, 1001, 25, 129);
        RUN(device, embedding_backward, dtable, workspace, dy, 129, ids, 1, 1001, 25, 129);
        return dtable;
    }));
}

CUDA_TEST("embedding in bf16 rounds the table's rows and sums gradients in float") {
    for (const std::int64_t rows : {1, 40, 700, 2100})
        for (const std::int64_t width : {8, 37, 64}) {
            const std::int64_t vocabulary = 19, stride = width + 8;
            const std::vector<float> table = uniform(vocabulary * width, 1);
            const std::vector<bf16> dy = to_bf16(uniform(rows * stride, 2));
            const std::vector<std::int32_t> ids = integers(rows, 3, vocabulary);
            std::vector<bf16> y(dy.size(), bf16{7}), expected = y;
            std::vector<float> dtable(table.size(), 0.5f),
                workspace = workspace_for(Device::cuda, rows, vocabulary, width);
            RUN_CUDA(embedding_forward, y, stride, table, ids, 1, rows, width);
            RUN_CUDA(embedding_backward, dtable, workspace, dy, stride, ids, 1, rows, vocabulary, width);
            for (std::int64_t row = 0; row < rows; ++row)
                for (std::int64_t i = 0; i < width; ++i)
                    expected[row * stride + i] = nearest_bf16(table[ids[row] * width + i]);
            const std::vector<float> before(table.size(), 0.5f);
            CAPTURE(rows);
            CAPTURE(width);
            CHECK(same_bits(y, expected));
            CHECK(relative_error(dtable, gradient(before, to_floats(dy), stride, ids, 1, rows, width)) <
                  1e-5);
        }
}
