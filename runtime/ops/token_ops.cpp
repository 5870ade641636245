#include "runtime/ops/token_ops.h"

#include <stdexcept>

#include "kernels/layout/gather.h"
#include "kernels/layout/sequence.h"
#include "kernels/layout/token_patches.h"
#include "kernels/linear/matmul.h"
#include "kernels/linear/matmul_bf16.h"
#include "kernels/linear/reduce.h"
#include "kernels/loss/cross_entropy.h"
#include "runtime/ops/gradients.h"
#include "runtime/ops/ops.h"
#include "runtime/ops/tape_launch.h"

namespace {

// The table and its bias in the precision of `x`: on a GPU, fp32 inputs have fp32 weights in either
// precision.
bool wider(const Tape& tape, const Tensor& x) {
    return tape.element(x.node()) != tape.activation();
}
WeightPointer table_for(const Tape& tape, const Tensor& x, const Parameter& table, std::int64_t N,
                        PackedFor product) {
    if (wider(tape, x)) return {table.value, Element::f32};
    return tape.weight(table, N, product);
}
ConstElementPointer bias_for(const Tape& tape, const Tensor& x, const Parameter& bias) {
    if (wider(tape, x)) return {bias.value, Element::f32};
    return tape.constant(bias);
}

}  // namespace

// Of a whole sequence as one wide row behind no tokens, kernels/layout/sequence.h adds the positions.
Tensor add_positions(Tape& tape, const Tensor& x, const Parameter& positions) {
    const std::int64_t width = positions.count, elements = tape.elements(x.node()), M = elements / width;
    require(M * width == elements, "add_positions: x is not of their length");
    const Tensor y = tape.create(M * positions.shape[0], positions.shape[1], true);
    const auto none = [](Element element) { return ElementPointer{nullptr, element}; };
    LAUNCH(tape, level_sequence_forward, tape.mutable_value(y), tape.data(x), none(tape.element(x.node())),
           positions.value, M, 1, width);
    tape.on_backward(
        y, {x.node()}, {}, [&tape, x = x.node(), y = y.node(), positions = &positions, M, width, none] {
            begin_sole_gradient(tape, x, "add_positions: x feeds nothing else");
            const Tensor workspace =
                scratch(tape, SIZE_ON(tape.device(), level_sequence_backward_workspace, M, 1, width));
            LAUNCH(tape, level_sequence_backward, tape.mutable_gradient_data(x), none(tape.element(x)),
                   positions->gradient, tape.mutable_value(workspace), tape.gradient(y), M, 1, width);
        });
    return y;
}

Tensor tied_logits(Tape& tape, const Tensor& x, const Parameter& table, const Parameter& bias,
                   std::int64_t vocabulary) {
    const std::int64_t n = x.rows(), D = x.width();
    require(table.shape.back() == D && table.shape[0] >= vocabulary,
            "tied_logits: x is not as wide as the table");
    const Tensor logits = tape.create(n, vocabulary, false, tape.element(x.node()));
    LAUNCH(tape, linear_forward, tape.mutable_data(logits), vocabulary, tape.data(x), D,
           table_for(tape, x, table, vocabulary, PackedFor::forward), bias_for(tape, x, bias), n, vocabulary,
           D);
    return logits;
}

void tied_cross_entropy(Tape& tape, const Tensor& x, const Tensor& targets, const Parameter& table,
                        const Parameter& bias, std::int64_t vocabulary, const SmoothedLoss& rule,
                        const Tensor& total) {
    const std::int64_t n = x.rows(), D = x.width();
    if (tape.recording()) begin_sole_gradient(tape, x.node(), "tied_cross_entropy: x feeds nothing else");
    const Tensor logits = tied_logits(tape, x, table, bias, vocabulary), losses = tape.create(n, 1, false);
    if (tape.recording()) {
        const Tensor workspace = scratch(tape, SIZE_ON(tape.device(), column_sum_workspace, vocabulary));
        LAUNCH(tape, cross_entropy_forward_backward, tape.mutable_value(losses), tape.mutable_data(logits),
               tape.value<std::int32_t>(targets), 1, n, vocabulary, rule.scale, rule.smoothing);
        LAUNCH(tape, column_sum_accumulate, bias.gradient, tape.mutable_value(workspace), tape.data(logits),
               vocabulary, n, vocabulary);
        LAUNCH(tape, linear_backward_input, tape.mutable_gradient_data(x.node()), D, tape.data(logits),
               vocabulary, table_for(tape, x, table, vocabulary, PackedFor::backward), n, vocabulary, D);
    } else {
        LAUNCH(tape, cross_entropy_forward, tape.mutable_value(losses), tape.data(logits),
               tape.value<std::int32_t>(targets), 1, n, vocabulary, rule.smoothing);
    }
    LAUNCH(tape, sum_accumulate, tape.mutable_value<double>(total), tape.value(losses), n, 1.0);
}

void cross_entropy(Tape& tape, const Tensor& logits, const Tensor& targets, const SmoothedLoss& rule,
                   const Tensor& total) {
    const std::int64_t n = logits.rows(), vocabulary = logits.width(), count = n * vocabulary;
    const Tensor losses = tape.create(n, 1, false);
    if (tape.recording()) {
        begin_sole_gradient(tape, logits.node(), "cross_entropy: the logits feed nothing else");
        LAUNCH(tape, copy_rows, tape.mutable_gradient_data(logits.node()), count, tape.data(logits), count, 1,
               count);
        LAUNCH(tape, cross_entropy_forward_backward, tape.mutable_value(losses),
               tape.mutable_gradient_data(logits.node()), tape.value<std::int32_t>(targets), 1, n, vocabulary,
               rule.scale, rule.smoothing);
    } else {
        LAUNCH(tape, cross_entropy_forward, tape.mutable_value(losses), tape.data(logits),
               tape.value<std::int32_t>(targets), 1, n, vocabulary, rule.smoothing);
    }
    LAUNCH(tape, sum_accumulate, tape.mutable_value<double>(total), tape.value(losses), n, 1.0);
}
