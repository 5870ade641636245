// Uniform random numbers for the sampler, one per channel and row, keyed by the row's sequence_id. The key is
// read from memory, so that a recorded draw serves every seed.
#pragma once

#include <cstdint>

#include "kernels/common/philox.h"
#include "kernels/common/stream.h"

// In [0, 1): word 0 of philox({channel, low32(sequence_id), high32(sequence_id), 0}, key), 24 bits.
constexpr float uniform_of(std::uint32_t channel, std::int64_t sequence_id, PhiloxKey key) {
    const auto id = static_cast<std::uint64_t>(sequence_id);
    return unit_float(
        philox({channel, static_cast<std::uint32_t>(id), static_cast<std::uint32_t>(id >> 32), 0}, key)[0]);
}

namespace cpu {

// values [channels, rows]: uniform_of each channel and row.
void uniform_by_sequence(float* values, const std::int64_t* sequence_ids, std::int64_t rows,
                         std::int64_t channels, const PhiloxKey* key);

}  // namespace cpu

namespace cuda {

// The same contracts on the device; pointers and sizes as in stream.h.
void uniform_by_sequence(Stream stream, float* values, const std::int64_t* sequence_ids, std::int64_t rows,
                         std::int64_t channels, const PhiloxKey* key);

}  // namespace cuda
