// Why so: each step over K loads two vectors of weights and eight broadcast activations for 16 multiply-adds,
// which occupies both multiply-add units of a core while weights arrive at 16 bytes a cycle, the bandwidth of
// the L2 cache. A level's weights exceed that cache and are read from L3 or memory at every token: they are
// prefetched in software, across page boundaries, at which the hardware prefetcher stops. Traded away: memory
// for a second copy of the weights while sampling.
#include "kernels/linear/packed_linear.h"

#include <algorithm>
#include <array>
#include <utility>

#include "kernels/common/partition.h"
#include "kernels/common/vector.h"

namespace cpu {
namespace {

constexpr int panel = packed_panel;
static_assert(panel == 2 * lanes);
constexpr std::int64_t steps_ahead = 24;  // prefetch distance over K

struct PanelProduct {
    float* y;  // first row and column, rows `y_stride` apart
    std::int64_t y_stride;
    const float* x;  // [rows, K]
    const float* weights;
    std::int64_t K, columns;
    bool accumulate;
};

// A block of accumulators: up to 8 x 2 registers, or 4 x 2 where there are only 16 of them. There one or two rows
// have blocks of four registers, without which each sum would wait for the one before it.
constexpr int block_rows = register_count / 4;
constexpr int vectors_of(int rows) {
    return rows <= 2 ? std::min(panel / register_lanes, 4) : 2;
}
static_assert(panel % (2 * register_lanes) == 0 && packed_rows % block_rows == 0);

template <int Rows>
void store_sums(const PanelProduct& p, const Register (&sum)[Rows][vectors_of(Rows)]) {
    constexpr int vectors = vectors_of(Rows), block_columns = vectors * register_lanes;
    float* y = p.y;
    if (p.columns >= block_columns) {
        for (int r = 0; r < Rows; ++r, y += p.y_stride) {
            for (int v = 0; v < vectors; ++v) {
                Register old = {};
                if (p.accumulate) old = load_register(y + v * register_lanes);
                store_register(y + v * register_lanes, old + sum[r][v]);
            }
        }
        return;
    }
    float values[Rows][block_columns];
    for (int r = 0; r < Rows; ++r)
        for (int v = 0; v < vectors; ++v) store_register(&values[r][v * register_lanes], sum[r][v]);
    for (int r = 0; r < Rows; ++r, y += p.y_stride)
        for (int n = 0; n < p.columns; ++n) y[n] = (p.accumulate ? y[n] : 0.0f) + values[r][n];
}

// The first columns of what is left of a panel. The sum over k runs in one order for every number of rows.
template <int Rows>
void multiply_block(const PanelProduct& p) {
    constexpr int vectors = vectors_of(Rows);
    const float* weight = p.weights;
    Register sum[Rows][vectors], b[vectors];
    for (int v = 0; v < vectors; ++v) {
        b[v] = load_register(weight + v * register_lanes);
        for (int r = 0; r < Rows; ++r) sum[r][v] = b[v];
    }
    weight += panel;
    for (std::int64_t k = 0; k < p.K; ++k, weight += panel) {
        for (int v = 0; v < vectors; ++v) {
            b[v] = load_register(weight + v * register_lanes);
            __builtin_prefetch(weight + steps_ahead * panel + v * register_lanes);
        }
        for (int r = 0; r < Rows; ++r) {
            const float a = p.x[r * p.K + k];
            for (int v = 0; v < vectors; ++v) sum[r][v] += a * b[v];
        }
    }
    store_sums<Rows>(p, sum);
}

template <int... Index>
constexpr auto functions_by_rows(std::integer_sequence<int, Index...>) {
    return std::array{multiply_block<Index + 1>...};
}
constexpr auto multiply_rows = functions_by_rows(std::make_integer_sequence<int, block_rows>{});

// `rows` <= packed_rows
void multiply_panel(const PanelProduct& panel_product, int rows) {
    for (int row = 0; row < rows; row += block_rows) {
        PanelProduct block = panel_product;
        block.y += row * block.y_stride;
        block.x += row * block.K;
        const int block_size = std::min(block_rows, rows - row),
                  block_columns = vectors_of(block_size) * register_lanes;
        const auto multiply = multiply_rows[static_cast<std::size_t>(block_size - 1)];
        for (; block.columns > 0; block.columns -= block_columns) {
            multiply(block);
            block.y += block_columns;
            block.weights += block_columns;
        }
    }
}

}  // namespace

std::int64_t packed_linear_elements(std::int64_t N, std::int64_t K) {
    return (N + panel - 1) / panel * panel * (K + 1);
}

void pack_linear(float* packed, const float* weight, const float* bias, std::int64_t N, std::int64_t K) {
    const std::int64_t panels = (N + panel - 1) / panel;
    for_each_task(panels, N * K, [=](std::int64_t index) {
        float* target = packed + index * (K + 1) * panel;
        std::fill_n(target, (K + 1) * panel, 0.0f);
        const std::int64_t first = index * panel;
        for (std::int64_t n = first; n < std::min(N, first + panel); ++n) {
            float* column = target + (n - first);
            if (bias != nullptr) column[0] = bias[n];
            for (std::int64_t k = 0; k < K; ++k) column[(k + 1) * panel] = weight[n * K + k];
        }
    });
}

void packed_linear_tile(float* y, const float* x, const float* packed, int rows, std::int64_t N,
                        std::int64_t K, bool accumulate) {
    for (std::int64_t column = 0; column < N; column += panel)
        multiply_panel({y + column, N, x, packed + column * (K + 1), K,
                        std::min<std::int64_t>(panel, N - column), accumulate},
                       rows);
}

void packed_linear_forward(float* y, const float* x, const float* packed, std::int64_t rows, std::int64_t N,
                           std::int64_t K) {
    constexpr std::int64_t operations_per_element = 8;  // multiply-adds in the time of moving an element
    for_each_task((N + panel - 1) / panel, rows * N * K / operations_per_element, [=](std::int64_t index) {
        const std::int64_t column = index * panel;
        for (std::int64_t row = 0; row < rows; row += packed_rows) {
            multiply_panel({y + row * N + column, N, x + row * K, packed + column * (K + 1), K,
                            std::min<std::int64_t>(panel, N - column), false},
                           static_cast<int>(std::min<std::int64_t>(packed_rows, rows - row)));
        }
    });
}

}  // namespace cpu
