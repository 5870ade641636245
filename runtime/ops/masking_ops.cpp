#include "runtime/ops/masking_ops.h"

#include <stdexcept>

#include "kernels/layout/gather.h"
#include "kernels/layout/masked_sequence.h"
#include "runtime/device/launch.h"
#include "runtime/ops/gradients.h"
#include "runtime/ops/ops.h"

Tensor masked_sequence(Tape& tape, const Tensor& guide, const Tensor& conditions, const Tensor& tokens,
                       const Tensor& mask, const Parameter& mask_token, const Parameter& positions) {
    const std::int64_t D = tokens.width(), M = mask.rows();
    const bool guided = static_cast<bool>(guide);
    const MaskedSequenceShape shape{M, mask.width(), conditions.width() / D, guided, D};
    require(conditions.rows() == M && tokens.rows() == M * shape.L && (!guided || guide.rows() == M),
            "masked_sequence: its inputs are of different numbers of sequences");
    require(positions.count == shape.length() * D, "masked_sequence: positions of another length");
    const Tensor y = tape.create(M * shape.length(), D, true);
    LAUNCH(tape, masked_sequence_forward, tape.value(y), guided ? tape.data(guide) : Data(),
           tape.data(conditions), tape.data(tokens), tape.value<std::uint8_t>(mask), mask_token.value,
           positions.value, shape);
    if (!tape.recording()) return y;
    const auto backward = [&tape, guide = guide.node(), conditions = conditions.node(),
                           tokens = tokens.node(), mask = mask.node(), y = y.node(), mask_token = &mask_token,
                           positions = &positions, shape] {
        if (!tape.has_gradient(y)) return;
        bool shared = tape.begin_gradient(conditions) | tape.begin_gradient(tokens);
        if (shape.guided) shared |= tape.begin_gradient(guide);
        require(!shared, "masked_sequence: its inputs feed nothing else");
        const Tensor workspace =
            tape.create(1, SIZE_ON(tape.device(), masked_sequence_backward_workspace, shape), false);
        LAUNCH(tape, masked_sequence_backward, shape.guided ? tape.gradient_data(guide) : Data(),
               tape.gradient_data(conditions), tape.gradient_data(tokens), mask_token->gradient,
               positions->gradient, tape.value(workspace), tape.gradient(y), tape.value<std::uint8_t>(mask),
               shape);
    };
    if (guided)
        tape.record({guide.node(), conditions.node(), tokens.node(), y.node()}, {mask.node()}, backward);
    else
        tape.record({conditions.node(), tokens.node(), y.node()}, {mask.node()}, backward);
    return y;
}

Tensor neighbour_conditions(Tape& tape, const Tensor& x, const Tensor& selected, const Tensor& rows,
                            const NeighbourShape& shape) {
    const std::int64_t K = selected.rows(), T = shape.prefix + shape.side * shape.side;
    require(x.width() == shape.D && x.rows() % T == 0, "neighbour_conditions: x is not of this shape");
    const Tensor y = tape.create(K, shape.n * shape.D, true, tape.element(x.node()));
    LAUNCH(tape, gather_neighbours, tape.data(y), tape.data(x), tape.value<std::int32_t>(selected), K, shape);
    if (tape.recording())
        tape.record({x.node(), y.node()}, {rows.node()},
                    [&tape, x = x.node(), y = y.node(), rows = rows.node(), T, shape] {
                        if (!tape.has_gradient(y)) return;
                        require(!tape.begin_gradient(x), "neighbour_conditions: x feeds nothing else");
                        LAUNCH(tape, gather_neighbours_backward, tape.gradient_data(x), tape.gradient_data(y),
                               tape.value<std::int32_t>(rows), tape.rows(x) / T, shape);
                    });
    return y;
}

Tensor first_condition(Tape& tape, const Tensor& conditions, std::int64_t width) {
    const std::int64_t M = conditions.rows(), all = conditions.width();
    const Tensor y = tape.create(M, width, true, tape.element(conditions.node()));
    LAUNCH(tape, copy_rows, tape.data(y), width, tape.data(conditions), all, M, width);
    if (tape.recording())
        tape.record({conditions.node(), y.node()}, {},
                    [&tape, conditions = conditions.node(), y = y.node(), M, all, width] {
                        if (!tape.has_gradient(y)) return;
                        require(tape.begin_gradient(conditions),
                                "first_condition: another use of all conditions comes after it");
                        LAUNCH(tape, add_rows, tape.gradient_data(conditions), all, tape.gradient_data(y),
                               width, M, width);
                    });
    return y;
}

Tensor gather_rows(Tape& tape, const Tensor& x, const Tensor& index) {
    const Tensor y = tape.create(index.rows(), x.width(), false, tape.element(x.node()));
    LAUNCH(tape, gather_rows, tape.data(y), tape.data(x), tape.value<std::int32_t>(index), index.rows(),
           x.width());
    return y;
}

void scatter_rows(Tape& tape, const Tensor& destination, const Tensor& x, const Tensor& index) {
    LAUNCH(tape, scatter_rows, tape.data(destination), tape.data(x), tape.value<std::int32_t>(index),
           index.rows(), x.width());
}
