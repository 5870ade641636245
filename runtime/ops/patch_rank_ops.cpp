#include "runtime/ops/patch_rank_ops.h"

#include "kernels/sampling/patch_ranks.h"
#include "runtime/ops/sampling_ops.h"
#include "runtime/ops/tape_launch.h"

void random_ranks(Tape& tape, const PatchRanks& order, const Tensor& sequence_ids, const Tensor& key) {
    LAUNCH(tape, random_ranks, tape.mutable_value<std::int32_t>(order.ranks),
           tape.mutable_value<std::int32_t>(order.hidden), tape.value<std::int64_t>(sequence_ids),
           order.ranks.rows(), order.ranks.width(), key_address(tape, key));
}

void raster_ranks(Tape& tape, const PatchRanks& order) {
    LAUNCH(tape, raster_ranks, tape.mutable_value<std::int32_t>(order.ranks),
           tape.mutable_value<std::int32_t>(order.hidden), order.ranks.rows(), order.ranks.width());
}

void hidden_mask(Tape& tape, const Tensor& mask, const PatchRanks& order) {
    LAUNCH(tape, hidden_mask, tape.mutable_value<std::uint8_t>(mask), tape.value<std::int32_t>(order.ranks),
           tape.value<std::int32_t>(order.hidden), order.ranks.rows(), order.ranks.width(),
           mask.rows() / order.ranks.rows());
}

void chosen_patches(Tape& tape, const Tensor& index, const Tensor& child_sequence_ids,
                    const PatchRanks& order, const Tensor& sequence_ids) {
    const std::int64_t M = order.ranks.rows();
    LAUNCH(tape, chosen_patches, tape.mutable_value<std::int32_t>(index),
           tape.mutable_value<std::int64_t>(child_sequence_ids),
           tape.mutable_value<std::int32_t>(order.hidden), tape.value<std::int32_t>(order.ranks),
           tape.value<std::int64_t>(sequence_ids), M, order.ranks.width(), index.rows() / M);
}

ChildRows child_rows(Tape& tape, const Tensor& index, std::int64_t M, std::int64_t L,
                     std::int64_t guidance_rows) {
    const std::int64_t count = index.rows();
    ChildRows rows{tape.create(guidance_rows * count, 1, false, Element::i32),
                   tape.create(guidance_rows * count, 1, false, Element::i32)};
    LAUNCH(tape, child_rows, tape.mutable_value<std::int32_t>(rows.patches),
           tape.mutable_value<std::int32_t>(rows.parents), tape.value<std::int32_t>(index), count, M, L,
           guidance_rows);
    return rows;
}
