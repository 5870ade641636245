// Vectors to codes of a codebook and back (kernels/layout/nearest_code.h, kernels/layout/quantise.h).
#pragma once

#include "runtime/tensor/parameters.h"
#include "runtime/tensor/tape.h"

// Codes int32 [M, 1] of the vectors z [M, C]; codebook [K, C]. Not recorded.
Tensor nearest_code(Tape& tape, const Tensor& z, const Parameter& codebook);

// The vectors z [M, C] replaced by their codebook rows, in float whatever z is; `codes` as nearest_code gives
// them. Adds sum (codebook[code] - z)^2 to `total` (double [1, 1]). While recording, leaves the gradient of
// scale * (1 + beta) * total, of which beta belongs to the codebook, and passes on that of the result as if
// it were z. Throws std::logic_error for shapes that do not fit.
Tensor quantise(Tape& tape, const Tensor& z, const Tensor& codes, const Parameter& codebook, float beta,
                float scale, const Tensor& total);
