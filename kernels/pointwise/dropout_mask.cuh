// The dropout mask of dropout.h, eight elements at a time, for the device's kernels that apply it. Two Philox
// counters give the eight words of a chunk; none is drawn twice, since chunks start at multiples of 8 within
// their sequence.
#pragma once

#include <cmath>
#include <cstdint>

#include "kernels/common/chunk.cuh"
#include "kernels/pointwise/dropout.h"

namespace cuda {

// A Dropout as the kernels read it; sequence_ids is device memory.
struct DropoutMask {
    PhiloxKey key;
    std::uint32_t step;
    std::uint32_t threshold;  // a word below it falls: unit_float(word) >= probability as one comparison
    float scale;              // of the kept elements
    const std::int64_t* sequence_ids;
};

inline DropoutMask mask_of(const Dropout& dropout) {
    return {dropout.key, dropout.step,
            static_cast<std::uint32_t>(std::ceil(dropout.probability * 0x1p24f)) << 8,
            1.0f / (1.0f - dropout.probability), dropout.sequence_ids};
}

// 0 or mask.scale for the elements from number `first`, a multiple of 8, of a sequence.
__device__ inline Chunk dropout_factors(const DropoutMask& mask, std::int64_t sequence, std::int64_t first) {
    const auto id = static_cast<std::uint64_t>(mask.sequence_ids[sequence]);
    const auto counter = static_cast<std::uint32_t>(first / 4);
    Chunk factors;
#pragma unroll
    for (int half = 0; half < 2; ++half) {
        const auto words = philox({counter + static_cast<std::uint32_t>(half), static_cast<std::uint32_t>(id),
                                   static_cast<std::uint32_t>(id >> 32), mask.step},
                                  mask.key);
#pragma unroll
        for (int i = 0; i < 4; ++i)
            factors[4 * half + i] = words[static_cast<std::size_t>(i)] >= mask.threshold ? mask.scale : 0.0f;
    }
    return factors;
}

}  // namespace cuda
