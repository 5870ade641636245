// Sizes of the level in one kernel, for which no GPU is needed.
#include "kernels/level/mar_level.h"

#include "kernels/level/mar_level_layout.h"

namespace cuda {

using namespace mar_level_detail;

bool mar_level_has_shape(const MarLevelShape& shape) {
    return shape.width == shape.heads * head_dim && shape.heads >= 1 && shape.width <= most_width &&
           shape.blocks >= 1 && shape.length() <= most_length;
}

std::size_t mar_level_shared_bytes(const MarLevelShape& shape) {
    const SharedLayout layout = shared_layout(static_cast<int>(shape.width));
    const int bytes = 2 * (layout.normed + layout.update + layout.attention + layout.stage) +
                      4 * layout.partial + layout.weights + state_words * 8;
    return static_cast<std::size_t>(bytes);
}

std::int64_t mar_level_packed_elements(const MarLevelShape& shape) {
    const std::int64_t slabs =
        shape.blocks * mar_level_ranks(shape) * slab_start(slab_count, static_cast<int>(shape.width));
    return (4 * level_layout(shape.length(), shape.width, shape.inputs).count + slabs) / 2;
}

}  // namespace cuda
