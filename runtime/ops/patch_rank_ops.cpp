#include "runtime/ops/patch_rank_ops.h"

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

NextPatches create_next_patches(Tape& tape, const PatchRanks& order, std::int64_t count,
                                std::int64_t guidance_rows, bool with_mask) {
    const auto numbers = [&](std::int64_t rows, Element element) {
        return tape.create(rows, 1, false, element);
    };
    return {with_mask
                ? tape.create(guidance_rows * order.ranks.rows(), order.ranks.width(), false, Element::u8)
                : Tensor(),
            numbers(count, Element::i64),
            {numbers(guidance_rows * count, Element::i32), numbers(guidance_rows * count, Element::i32)}};
}

NextPatches next_patches(Tape& tape, const PatchRanks& order, const Tensor& sequence_ids, std::int64_t n,
                         std::int64_t guidance_rows, std::int64_t chunk, bool with_mask) {
    const std::int64_t M = order.ranks.rows();
    const NextPatches next = create_next_patches(tape, order, M * n, guidance_rows, with_mask);
    LAUNCH(tape, next_patches, with_mask ? tape.mutable_value<std::uint8_t>(next.mask) : nullptr,
           tape.mutable_value<std::int64_t>(next.sequence_ids),
           tape.mutable_value<std::int32_t>(next.rows.patches),
           tape.mutable_value<std::int32_t>(next.rows.parents),
           tape.mutable_value<std::int32_t>(order.hidden), tape.value<std::int32_t>(order.ranks),
           tape.value<std::int64_t>(sequence_ids), M, order.ranks.width(), n, guidance_rows, chunk);
    return next;
}
