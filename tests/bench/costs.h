// Bytes and operations of the kernels that hold products, by the formulas of their headers: every operand
// moves once. `a` and `w`: bytes of an activation and of a weight.
#pragma once

#include "kernels/level/mar_level.h"
#include "tests/bench/kernels.h"

Cost linear_cost(const LinearShape& shape, double a, double w);
Cost linear_gelu_cost(const LinearShape& shape, double a, double w);  // also writes gelu's input
Cost packed_linear_cost(const LinearShape& shape, double a);
Cost conv2d_cost(const Conv2dShape& shape, double a, double w);
Cost attention_cost(const AttentionShape& shape, double a);
Cost attention_decode_cost(const DecodeShape& shape, double a);

Cost mar_level_cost(const MarLevelShape& shape, double a);

// One pass over the weights for all rows: R = draws, or with guidance 2 draws.
Cost pixel_sample_cost(const PixelSamplerShape& shape, std::int64_t draws, std::int64_t rows, double a);
// Weights that one pass reads.
double pixel_sample_weights(const PixelSamplerShape& shape);
