// A fixed order of the cells of a square grid, in which any number of first ones is spread over all of it: the
// points of the Halton sequence in bases 2 and 3, each in its cell.
//
// Source: Besnier et al., "Halton Scheduler for Masked Generative Image Transformer" (ICLR 2025, arXiv
// 2503.17076), section 3.3.
#pragma once

#include <cstdint>
#include <vector>

struct HaltonOrder {
    std::vector<std::int32_t> cells;  // flat (raster order) indices, each cell once, [side * side]
    std::int64_t points = 0;          // of the sequence, until every cell had one
};
HaltonOrder halton_order(std::int64_t side);

// Of each cell in raster order, its place in that order.
std::vector<std::int32_t> halton_ranks(std::int64_t side);
