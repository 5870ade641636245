// What holds for one pass over a model, besides its inputs.
#pragma once

#include <cstdint>

struct PassRule {
    float dropout = 0;
    bool recompute = false;  // keep only each block's input for the backward pass
    std::uint64_t seed = 0;
    std::uint32_t step = 0;
};
