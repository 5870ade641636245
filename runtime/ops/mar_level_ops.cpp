#include "runtime/ops/mar_level_ops.h"

#include "runtime/ops/gradients.h"
#include "runtime/ops/tape_launch.h"

std::int64_t resident_mar_levels(const Tape& tape, const MarLevelShape& shape) {
    if (tape.device() != Device::cuda || tape.activation() != Element::bf16 ||
        !cuda::mar_level_has_shape(shape))
        return 0;
    if (counting_work()) return WorkCount::resident_clusters;
    if constexpr (cuda_backend_built) return cuda::mar_level_resident(shape);
    return 0;
}

Tensor pack_mar_level(Tape& tape, const MarLevelWeights& weights, const MarLevelShape& shape) {
    const Tensor packed = tape.create(1, cuda::mar_level_packed_elements(shape), false, Element::bf16);
    if (!tape.planning())
        LAUNCH_ON_GPU(tape.stream(), mar_level_pack, tape.mutable_value<bf16>(packed), weights, shape);
    return packed;
}

Tensor mar_level_in_one_kernel(Tape& tape, const Tensor& patches, const Tensor& conditions,
                               const Tensor& guide, const Tensor& mask, const Tensor& selected,
                               const Tensor& packed, MarLevelShape shape) {
    shape.drawn = selected.rows();
    const std::int64_t rows = shape.sequences;
    require(patches.rows() == rows * shape.tokens && conditions.rows() == rows && mask.rows() == rows &&
                (!shape.guided || guide.rows() == rows),
            "mar_level: its inputs are of different numbers of sequences");
    const Tensor y = tape.create(shape.drawn, shape.next_conditions * shape.width, false, Element::bf16);
    if (!tape.planning())
        LAUNCH_ON_GPU(tape.stream(), mar_level_forward, tape.mutable_value<bf16>(y), tape.value(patches),
                      tape.value<bf16>(conditions), shape.guided ? tape.value<bf16>(guide) : nullptr,
                      tape.value<std::uint8_t>(mask), tape.value<std::int32_t>(selected),
                      tape.value<bf16>(packed), shape);
    return y;
}
