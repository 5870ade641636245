#include "runtime/ops/masking_ops.h"

#include <stdexcept>

#include "kernels/layout/gather.h"
#include "kernels/layout/masked_sequence.h"
#include "runtime/ops/gradients.h"
#include "runtime/ops/ops.h"
#include "runtime/ops/tape_launch.h"

Tensor masked_sequence(Tape& tape, const Tensor& guide, const Tensor& conditions, const Tensor& tokens,
                       const Tensor& mask, const Parameter& mask_token, const Parameter& positions) {
    const std::int64_t D = tokens.width(), M = mask.rows();
    const bool guided = static_cast<bool>(guide);
    const MaskedSequenceShape shape{M, mask.width(), conditions.width() / D, guided, D};
    require(conditions.rows() == M && tokens.rows() == M * shape.L && (!guided || guide.rows() == M),
            "masked_sequence: its inputs are of different numbers of sequences");
    require(positions.count == shape.length() * D, "masked_sequence: positions of another length");
    const Tensor y = tape.create(M * shape.length(), D, true);
    LAUNCH(tape, masked_sequence_forward, tape.mutable_value(y), guided ? tape.data(guide) : ElementPointer(),
           tape.data(conditions), tape.data(tokens), tape.value<std::uint8_t>(mask), mask_token.value,
           positions.value, shape);
    const auto backward = [&tape, guide = guide.node(), conditions = conditions.node(),
                           tokens = tokens.node(), mask = mask.node(), y = y.node(), mask_token = &mask_token,
                           positions = &positions, shape] {
        for (const NodeId input : {conditions, tokens, guide})
            if (input >= 0) begin_sole_gradient(tape, input, "masked_sequence: its inputs feed nothing else");
        const Tensor workspace =
            tape.create(1, SIZE_ON(tape.device(), masked_sequence_backward_workspace, shape), false);
        LAUNCH(tape, masked_sequence_backward,
               shape.guided ? tape.mutable_gradient_data(guide) : ElementPointer(),
               tape.mutable_gradient_data(conditions), tape.mutable_gradient_data(tokens),
               mask_token->gradient, positions->gradient, tape.mutable_value(workspace), tape.gradient(y),
               tape.value<std::uint8_t>(mask), shape);
    };
    tape.on_backward(y, {guide.node(), conditions.node(), tokens.node()}, {mask.node()}, backward);
    return y;
}

Tensor neighbour_conditions(Tape& tape, const Tensor& x, const Tensor& selected, const Tensor& rows,
                            const NeighbourShape& shape) {
    const std::int64_t K = selected.rows(), T = shape.prefix + shape.side * shape.side;
    require(x.width() == shape.D && x.rows() % T == 0, "neighbour_conditions: x is not of this shape");
    const Tensor y = tape.create(K, shape.n * shape.D, true, tape.element(x.node()));
    LAUNCH(tape, gather_neighbours, tape.mutable_data(y), tape.data(x), tape.value<std::int32_t>(selected), K,
           shape);
    tape.on_backward(
        y, {x.node()}, {rows.node()}, [&tape, x = x.node(), y = y.node(), rows = rows.node(), T, shape] {
            begin_sole_gradient(tape, x, "neighbour_conditions: x feeds nothing else");
            LAUNCH(tape, gather_neighbours_backward, tape.mutable_gradient_data(x), tape.gradient_data(y),
                   tape.value<std::int32_t>(rows), tape.rows(x) / T, shape);
        });
    return y;
}

NeighbourRows neighbour_rows(Tape& tape, const Tensor& x, const Tensor& attended, const Tensor& selected,
                             const NeighbourShape& shape) {
    const std::int64_t K = selected.rows();
    for (const Tensor& each : {x, attended})
        require(each.width() == shape.D && each.rows() % (shape.prefix + shape.side * shape.side) == 0,
                "neighbour_rows: inputs of another shape");
    NeighbourRows rows{tape.create(K * shape.n, shape.D, false),
                       tape.create(K * shape.n, shape.D, false, tape.element(attended.node()))};
    LAUNCH(tape, gather_neighbour_rows, tape.mutable_value(rows.x), tape.mutable_data(rows.attended),
           tape.value(x), tape.data(attended), tape.value<std::int32_t>(selected), K, shape);
    return rows;
}

Tensor join_neighbours(Tape& tape, const Tensor& rows, const Tensor& selected, const NeighbourShape& shape) {
    const std::int64_t K = selected.rows();
    require(rows.width() == shape.D && rows.rows() == K * shape.n, "join_neighbours: rows of another shape");
    if (shape.n == 1) return rows;  // a patch itself lies within the border
    const Tensor y = tape.create(K, shape.n * shape.D, false, tape.element(rows.node()));
    LAUNCH(tape, join_neighbours, tape.mutable_data(y), tape.data(rows), tape.value<std::int32_t>(selected),
           K, shape);
    return y;
}
