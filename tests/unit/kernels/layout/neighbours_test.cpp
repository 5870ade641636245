#include "kernels/layout/neighbours.h"

#include <doctest/doctest.h>

#include "tests/unit/kernels/bf16_check.h"
#include "tests/unit/kernels/kernel_check.h"

using namespace kernel_check;

namespace {

// Places of patches among the selected ones, and these, about half of all.
struct Selection {
    explicit Selection(std::int64_t patches) : rows(static_cast<std::size_t>(patches), -1) {
        const std::vector<std::int32_t> bits = integers(patches, 3, 2);
        for (std::int64_t i = 0; i < patches; ++i)
            if (bits[i] != 0 || i == patches / 2) {
                rows[i] = static_cast<std::int32_t>(selected.size());
                selected.push_back(static_cast<std::int32_t>(i));
            }
    }
    std::vector<std::int32_t> rows, selected;
};

// Token of x that condition j of patch `index` shows, or -1.
std::int64_t source(std::int64_t index, std::int64_t j, const NeighbourShape& shape) {
    const std::int64_t L = shape.side * shape.side, m = index / L;
    std::int64_t row = index % L / shape.side, column = index % shape.side;
    if (j == 1) --row;
    if (j == 2) ++column;
    if (j == 3) ++row;
    if (j == 4) --column;
    if (row < 0 || row >= shape.side || column < 0 || column >= shape.side) return -1;
    return m * (shape.prefix + L) + shape.prefix + row * shape.side + column;
}

}  // namespace

DEVICE_TEST("conditions are a patch's own output and its neighbours', zero beyond the border") {
    for (const std::int64_t M : {1, 3, 40})
        for (const std::int64_t side : {1, 2, 5})
            for (const std::int64_t n : {1, 2, 5})
                for (const std::int64_t D : {1, 5, 64, 129}) {
                    const NeighbourShape shape{side, 6, n, D};
                    const std::int64_t L = side * side, T = shape.prefix + L;
                    const Selection selection(M * L);
                    const auto K = static_cast<std::int64_t>(selection.selected.size());
                    const std::vector<float> x = uniform(M * T * D, 1), dy = uniform(K * n * D, 2);
                    std::vector<float> y(dy.size(), NAN), joined = y, dx(x.size(), NAN),
                                                          y_expected(dy.size(), 0.0f),
                                                          joined_expected = y_expected;
                    std::vector<double> dx_expected(x.size(), 0.0);
                    RUN(device, gather_neighbours, y, x, selection.selected, K, shape);
                    RUN(device, gather_neighbours_backward, dx, dy, selection.rows, M, shape);
                    RUN(device, join_neighbours, joined, dy, selection.selected, K, shape);
                    const std::vector<float> attended = uniform(M * T * D, 3);
                    std::vector<float> rows = y, attended_rows = y, attended_expected = y;
                    RUN(device, gather_neighbour_rows, rows, attended_rows, x, attended, selection.selected,
                        K, shape);
                    RUN(device, gather_neighbours, attended_expected, attended, selection.selected, K, shape);
                    for (std::int64_t k = 0; k < K; ++k)
                        for (std::int64_t j = 0; j < n; ++j) {
                            const std::int64_t from = source(selection.selected[k], j, shape);
                            for (std::int64_t i = 0; i < D && from >= 0; ++i) {
                                y_expected[(k * n + j) * D + i] = x[from * D + i];
                                joined_expected[(k * n + j) * D + i] = dy[(k * n + j) * D + i];
                                dx_expected[from * D + i] += dy[(k * n + j) * D + i];
                            }
                        }
                    CAPTURE(M);
                    CAPTURE(side);
                    CAPTURE(n);
                    CAPTURE(D);
                    CHECK(same_bits(y, y_expected));
                    CHECK(same_bits(joined, joined_expected));
                    CHECK(same_bits(rows, y_expected));
                    CHECK(same_bits(attended_rows, attended_expected));
                    CHECK(relative_error(dx, dx_expected) < 1e-6);
                }
}

CUDA_TEST("conditions in bf16 are copied, and their gradients summed in float") {
    for (const std::int64_t n : {1, 5})
        for (const std::int64_t D : {5, 8, 136}) {
            const NeighbourShape shape{3, 2, n, D};
            const std::int64_t M = 7, T = shape.prefix + 9;
            const Selection selection(M * 9);
            const auto K = static_cast<std::int64_t>(selection.selected.size());
            const std::vector<bf16> x = to_bf16(uniform(M * T * D, 1)), dy = to_bf16(uniform(K * n * D, 2));
            const std::vector<float> wide_x = to_floats(x), wide_dy = to_floats(dy);
            std::vector<bf16> y(dy.size()), joined = y, dx(x.size());
            std::vector<float> y_expected(dy.size()), joined_expected = y_expected, dx_expected(x.size());
            RUN_CUDA(gather_neighbours, y, x, selection.selected, K, shape);
            RUN_CUDA(gather_neighbours_backward, dx, dy, selection.rows, M, shape);
            RUN_CUDA(join_neighbours, joined, dy, selection.selected, K, shape);
            std::vector<float> rows(dy.size(), NAN);
            std::vector<bf16> attended_rows = y;
            RUN_CUDA(gather_neighbour_rows, rows, attended_rows, wide_x, x, selection.selected, K, shape);
            RUN(Device::cpu, gather_neighbours, y_expected, wide_x, selection.selected, K, shape);
            RUN(Device::cpu, gather_neighbours_backward, dx_expected, wide_dy, selection.rows, M, shape);
            RUN(Device::cpu, join_neighbours, joined_expected, wide_dy, selection.selected, K, shape);
            CAPTURE(n);
            CAPTURE(D);
            CHECK(same_bits(y, to_bf16(y_expected)));
            CHECK(same_bits(joined, to_bf16(joined_expected)));
            CHECK(same_bits(rows, y_expected));
            CHECK(same_bits(attended_rows, y));
            CHECK(same_bits(dx, to_bf16(dx_expected)));
        }
}
