// Why so: a draw needs one number per row, a few dozen rows at a time; a plain loop is far from any profile.
#include "kernels/sampling/uniform.h"

namespace cpu {

void uniform_by_path(float* values, const std::int64_t* paths, std::int64_t rows, std::uint32_t channel,
                     PhiloxKey key) {
    for (std::int64_t row = 0; row < rows; ++row) {
        const auto path = static_cast<std::uint64_t>(paths[row]);
        values[row] = unit_float(philox(
            {channel, static_cast<std::uint32_t>(path), static_cast<std::uint32_t>(path >> 32), 0}, key)[0]);
    }
}

}  // namespace cpu
