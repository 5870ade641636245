#include "models/nat/halton_order.h"

#include <cstddef>

namespace {

// floor(n phi(i)), where phi(i) is i with its digits of this base mirrored behind the point. In whole numbers:
// a fraction that is rounded may lie in the cell before.
std::int64_t scaled_inverse(std::int64_t i, std::int64_t base, std::int64_t n) {
    std::int64_t mirrored = 0, denominator = 1;
    for (; i > 0; i /= base) {
        mirrored = mirrored * base + i % base;
        denominator *= base;
    }
    return n * mirrored / denominator;
}

}  // namespace

HaltonOrder halton_order(std::int64_t side) {
    HaltonOrder order;
    std::vector<bool> known(static_cast<std::size_t>(side * side));
    // Ends: 2^a 3^b consecutive points have one in each of 2^a x 3^b boxes, and with 2^a, 3^b >= 2 side every
    // cell contains a box.
    while (order.cells.size() < known.size()) {
        ++order.points;
        const std::int64_t cell =
            scaled_inverse(order.points, 2, side) * side + scaled_inverse(order.points, 3, side);
        if (known[static_cast<std::size_t>(cell)]) continue;
        known[static_cast<std::size_t>(cell)] = true;
        order.cells.push_back(static_cast<std::int32_t>(cell));
    }
    return order;
}

std::vector<std::int32_t> halton_ranks(std::int64_t side) {
    const std::vector<std::int32_t> cells = halton_order(side).cells;
    std::vector<std::int32_t> ranks(cells.size());
    for (std::size_t i = 0; i < cells.size(); ++i)
        ranks[static_cast<std::size_t>(cells[i])] = static_cast<std::int32_t>(i);
    return ranks;
}
