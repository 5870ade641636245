// Settings of one pass over a model, besides its inputs.
#pragma once

#include <cstdint>

struct PassRule {
    float dropout = 0;
    bool recompute = false;  // keep only each block's input for the backward pass
    // Deviation of the noise that decides which way a guiding pixel's half is rounded, in units of a pixel
    // value: 0.01 in training, as the release has it.
    float jitter = 0;
    std::uint64_t seed = 0;
    std::uint32_t step = 0;
};
