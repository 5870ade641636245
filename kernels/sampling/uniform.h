// Uniform random numbers for the sampler, one per channel and row, keyed by the row's sequence_id. The key is
// read from memory, so that a recorded draw serves every seed.
#pragma once

#include <cstdint>

#include "kernels/common/philox.h"
#include "kernels/common/stream.h"

namespace cpu {

// values [channels, rows] in [0, 1): word 0 of philox({c, low32(sequence_ids[r]), high32(sequence_ids[r]), 0},
// *key), 24 bits.
void uniform_by_sequence(float* values, const std::int64_t* sequence_ids, std::int64_t rows,
                         std::int64_t channels, const PhiloxKey* key);

}  // namespace cpu

namespace cuda {

// The same contracts on the device; pointers and sizes as in stream.h.
void uniform_by_sequence(Stream stream, float* values, const std::int64_t* sequence_ids, std::int64_t rows,
                         std::int64_t channels, const PhiloxKey* key);

}  // namespace cuda
