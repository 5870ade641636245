// Uniform random numbers for the sampler, one per row, keyed by the row's sequence_id.
#pragma once

#include <cstdint>

#include "kernels/common/philox.h"
#include "kernels/common/stream.h"

namespace cpu {

// values[r] in [0, 1): word 0 of philox({channel, low32(sequence_ids[r]), high32(sequence_ids[r]), 0}, key),
// 24 bits.
void uniform_by_sequence(float* values, const std::int64_t* sequence_ids, std::int64_t rows,
                         std::uint32_t channel, PhiloxKey key);

}  // namespace cpu

namespace cuda {

// The same contracts on the device; pointers and sizes as in stream.h.
void uniform_by_sequence(Stream stream, float* values, const std::int64_t* sequence_ids, std::int64_t rows,
                         std::uint32_t channel, PhiloxKey key);

}  // namespace cuda
