// Why so: a draw needs one number per channel and row, a few dozen rows at a time; a plain loop does not show in a
// profile.
#include "kernels/sampling/uniform.h"

namespace cpu {

void uniform_by_sequence(float* values, const std::int64_t* sequence_ids, std::int64_t rows,
                         std::int64_t channels, const PhiloxKey* key) {
    for (std::int64_t i = 0; i < channels * rows; ++i)
        values[i] = uniform_of(static_cast<std::uint32_t>(i / rows), sequence_ids[i % rows], *key);
}

}  // namespace cpu
