#include "kernels/layout/token_patches.h"

#include <doctest/doctest.h>

#include <numeric>

#include "tests/unit/kernels/kernel_check.h"

using namespace kernel_check;

DEVICE_TEST("ids of a grid, patch by patch") {
    const TokenGrid grid{2, 4, 2};
    std::vector<std::int32_t> x(32), y(32, -1);
    std::iota(x.begin(), x.end(), 0);
    RUN(device, ids_to_patches, y, x, grid);
    const std::vector<std::int32_t> first = {0, 1, 4, 5, 2, 3, 6, 7, 8, 9, 12, 13, 10, 11, 14, 15};
    for (std::size_t i = 0; i < 32; ++i) CHECK(y[i] == first[i % 16] + (i < 16 ? 0 : 16));
}

DEVICE_TEST("patches_to_raster puts rows back where ids_to_patches took them from") {
    for (const TokenGrid& grid : {TokenGrid{3, 6, 3}, {1, 4, 4}, {2, 5, 1}, {5, 32, 2}})
        for (const std::int64_t width : {1, 5, 64}) {
            const std::int64_t count = grid.tokens();
            std::vector<std::int32_t> ids(static_cast<std::size_t>(count)), moved = ids;
            std::iota(ids.begin(), ids.end(), 0);
            RUN(device, ids_to_patches, moved, ids, grid);
            std::vector<float> x(static_cast<std::size_t>(count * width)), y(x.size(), NAN),
                expected(x.size());
            for (std::int64_t i = 0; i < count; ++i)
                for (std::int64_t c = 0; c < width; ++c) {
                    x[static_cast<std::size_t>(i * width + c)] =
                        static_cast<float>(moved[static_cast<std::size_t>(i)] * 100 + c);
                    expected[static_cast<std::size_t>(i * width + c)] = static_cast<float>(i * 100 + c);
                }
            RUN(device, patches_to_raster, y, x, grid, width);
            CHECK(same_bits(y, expected));
        }
}
