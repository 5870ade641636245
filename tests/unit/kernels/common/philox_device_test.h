#pragma once

#include <cstdint>

#include "kernels/common/philox.h"
#include "kernels/common/stream.h"

namespace cuda {

// words, numbers [count, 4]: philox on the device for counters and keys [count], and unit_float of the words.
void philox_words(Stream stream, std::uint32_t* words, float* numbers, const PhiloxCounter* counters,
                  const PhiloxKey* keys, std::int64_t count);

}  // namespace cuda
