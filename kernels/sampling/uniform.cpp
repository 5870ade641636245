// Why so: a draw needs one number per channel and row, a few dozen rows at a time; a plain loop does not show in a
// profile.
#include "kernels/sampling/uniform.h"

namespace cpu {

void uniform_by_sequence(float* values, const std::int64_t* sequence_ids, std::int64_t rows,
                         std::int64_t channels, const PhiloxKey* key) {
    for (std::int64_t i = 0; i < channels * rows; ++i) {
        const auto sequence_id = static_cast<std::uint64_t>(sequence_ids[i % rows]);
        values[i] =
            unit_float(philox({static_cast<std::uint32_t>(i / rows), static_cast<std::uint32_t>(sequence_id),
                               static_cast<std::uint32_t>(sequence_id >> 32), 0},
                              *key)[0]);
    }
}

}  // namespace cpu
