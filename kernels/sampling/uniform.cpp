// Why so: a draw needs one number per row, a few dozen rows at a time; a plain loop does not show in a
// profile.
#include "kernels/sampling/uniform.h"

namespace cpu {

void uniform_by_sequence(float* values, const std::int64_t* sequence_ids, std::int64_t rows,
                         std::uint32_t channel, PhiloxKey key) {
    for (std::int64_t row = 0; row < rows; ++row) {
        const auto sequence_id = static_cast<std::uint64_t>(sequence_ids[row]);
        values[row] = unit_float(philox({channel, static_cast<std::uint32_t>(sequence_id),
                                         static_cast<std::uint32_t>(sequence_id >> 32), 0},
                                        key)[0]);
    }
}

}  // namespace cpu
