#include "runtime/ops/token_ops.h"

#include <stdexcept>

#include "kernels/layout/gather.h"
#include "kernels/layout/sequence.h"
#include "kernels/layout/token_patches.h"
#include "kernels/linear/matmul.h"
#include "kernels/linear/reduce.h"
#include "kernels/loss/cross_entropy.h"
#include "runtime/device/launch.h"
#include "runtime/ops/gradients.h"
#include "runtime/ops/ops.h"

namespace {

// The parameter in the precision of `x`: fp32 inputs have fp32 weights in either precision.
Data weight_for(const Tape& tape, const Tensor& x, const Parameter& parameter) {
    if (tape.element(x.node()) == Element::f32) return {parameter.value, Element::f32};
    return tape.weight(parameter);
}

}  // namespace

// Of a whole sequence as one wide row behind no tokens, kernels/layout/sequence.h adds the positions.
Tensor add_positions(Tape& tape, const Tensor& x, const Parameter& positions) {
    const std::int64_t width = positions.count, elements = tape.elements(x.node()), M = elements / width;
    require(M * width == elements, "add_positions: x is not of their length");
    const Tensor y = tape.create(M * positions.shape[0], positions.shape[1], true);
    const auto none = [](const Data& like) { return Data{nullptr, like.element}; };
    LAUNCH(tape, level_sequence_forward, tape.value(y), tape.data(x), none(tape.data(x)), positions.value, M,
           1, width);
    if (tape.recording())
        tape.record(
            {x.node(), y.node()}, {},
            [&tape, x = x.node(), y = y.node(), positions = &positions, M, width, none] {
                if (!tape.has_gradient(y)) return;
                require(!tape.begin_gradient(x), "add_positions: x feeds nothing else");
                const Tensor workspace =
                    scratch(tape, SIZE_ON(tape.device(), level_sequence_backward_workspace, M, 1, width));
                LAUNCH(tape, level_sequence_backward, tape.gradient_data(x), none(tape.gradient_data(x)),
                       positions->gradient, tape.value(workspace), tape.gradient(y), M, 1, width);
            });
    return y;
}

Tensor prepend_token(Tape& tape, const Tensor& first, const Tensor& tokens) {
    const std::int64_t M = first.rows(), D = first.width(), rest = tokens.rows() / M * D, all = rest + D;
    require(tokens.width() == D && tokens.rows() % M == 0, "prepend_token: tokens do not fit the first ones");
    const Tensor y = tape.create(M + tokens.rows(), D, true);
    LAUNCH(tape, copy_rows, tape.value(y), all, tape.value(first), D, M, D);
    LAUNCH(tape, copy_rows, tape.value(y) + D, all, tape.value(tokens), rest, M, rest);
    if (tape.recording())
        tape.record({first.node(), tokens.node(), y.node()}, {},
                    [&tape, first = first.node(), tokens = tokens.node(), y = y.node(), M, D, rest, all] {
                        if (!tape.has_gradient(y)) return;
                        const bool shared = tape.begin_gradient(first) | tape.begin_gradient(tokens);
                        require(!shared, "prepend_token: its inputs feed nothing else");
                        LAUNCH(tape, copy_rows, tape.gradient(first), D, tape.gradient(y), all, M, D);
                        LAUNCH(tape, copy_rows, tape.gradient(tokens), rest, tape.gradient(y) + D, all, M,
                               rest);
                    });
    return y;
}

Tensor drop_first_token(Tape& tape, const Tensor& x, std::int64_t length) {
    const std::int64_t M = x.rows() / length, D = x.width(), rest = (length - 1) * D;
    const Tensor y = tape.create(M * (length - 1), D, false);
    LAUNCH(tape, copy_rows, tape.value(y), rest, tape.value(x) + D, length * D, M, rest);
    return y;
}

Tensor join_columns(Tape& tape, const Tensor& a, const Tensor& b) {
    const std::int64_t rows = a.rows(), D = a.width();
    require(b.rows() == rows && b.width() == D, "join_columns: its inputs are of different shapes");
    const Tensor y = activation(tape, rows, 2 * D);
    std::int64_t column = 0;
    for (const Tensor& input : {a, b}) {
        const Tensor x = as_activation(tape, input);
        LAUNCH(tape, copy_rows, tape.data(y) + column, 2 * D, tape.data(x), D, rows, D);
        if (tape.recording())
            tape.record({x.node(), y.node()}, {}, [&tape, x = x.node(), y = y.node(), rows, D, column] {
                if (!tape.has_gradient(y)) return;
                write_gradient(tape, x, [&](auto target) {
                    LAUNCH(tape, copy_rows, target(), D, tape.gradient_data(y) + column, 2 * D, rows, D);
                });
            });
        column += D;
    }
    return y;
}

Tensor select_rows(Tape& tape, const Tensor& x, const Tensor& index, std::int64_t width) {
    require(x.width() % width == 0, "select_rows: a row of x is no number of rows of this width");
    const Tensor y = tape.create(index.rows(), width, true, tape.element(x.node()));
    LAUNCH(tape, gather_rows, tape.data(y), tape.data(x), tape.value<std::int32_t>(index), index.rows(),
           width);
    if (tape.recording())
        tape.record({x.node(), y.node()}, {index.node()},
                    [&tape, x = x.node(), y = y.node(), index = index.node(), width] {
                        if (!tape.has_gradient(y)) return;
                        require(!tape.begin_gradient(x), "select_rows: x feeds nothing else");
                        if (tape.planning()) return;
                        fill_on_device(
                            tape.device(), tape.gradient_data(x).address, 0,
                            static_cast<std::size_t>(tape.elements(x)) * element_size(tape.element(x)),
                            tape.stream());
                        LAUNCH(tape, scatter_rows, tape.gradient_data(x), tape.gradient_data(y),
                               tape.value<std::int32_t>(index), tape.rows(index), width);
                    });
    return y;
}

Tensor ids_to_patches(Tape& tape, const Tensor& ids, std::int64_t side, std::int64_t patch) {
    const TokenGrid grid{ids.rows(), side, patch};
    require(ids.width() == side * side, "ids_to_patches: ids of another grid");
    const Tensor y = tape.create(grid.tokens() / (patch * patch), patch * patch, false, Element::i32);
    LAUNCH(tape, ids_to_patches, tape.value<std::int32_t>(y), tape.value<std::int32_t>(ids), grid);
    return y;
}

Tensor patches_to_raster(Tape& tape, const Tensor& x, std::int64_t side, std::int64_t patch) {
    const std::int64_t tokens = x.rows() * patch * patch, width = x.width() / (patch * patch);
    const TokenGrid grid{tokens / (side * side), side, patch};
    require(grid.tokens() == tokens && width * patch * patch == x.width(),
            "patches_to_raster: patches of another grid");
    const Tensor y = tape.create(tokens, width, false);
    LAUNCH(tape, patches_to_raster, tape.value(y), tape.value(x), grid, width);
    return y;
}

Tensor tied_logits(Tape& tape, const Tensor& x, const Parameter& table, const Parameter& bias,
                   std::int64_t vocabulary) {
    const std::int64_t n = x.rows(), D = x.width();
    require(table.shape.back() == D && table.shape[0] >= vocabulary,
            "tied_logits: x is not as wide as the table");
    const Tensor logits = tape.create(n, vocabulary, false, tape.element(x.node()));
    LAUNCH(tape, linear_forward, tape.data(logits), vocabulary, tape.data(x), D, weight_for(tape, x, table),
           weight_for(tape, x, bias), n, vocabulary, D);
    return logits;
}

void tied_cross_entropy(Tape& tape, const Tensor& x, const Tensor& targets, const Parameter& table,
                        const Parameter& bias, std::int64_t vocabulary, const SmoothedLoss& rule,
                        const Tensor& total) {
    const std::int64_t n = x.rows(), D = x.width();
    if (tape.recording()) require(!tape.begin_gradient(x.node()), "tied_cross_entropy: x feeds nothing else");
    const Tensor logits = tied_logits(tape, x, table, bias, vocabulary), losses = tape.create(n, 1, false);
    if (tape.recording()) {
        const Tensor workspace = scratch(tape, SIZE_ON(tape.device(), column_sum_workspace, vocabulary));
        LAUNCH(tape, cross_entropy_forward_backward, tape.value(losses), tape.data(logits),
               tape.value<std::int32_t>(targets), 1, n, vocabulary, rule.scale, rule.smoothing);
        LAUNCH(tape, column_sum_accumulate, bias.gradient, tape.value(workspace), tape.data(logits),
               vocabulary, n, vocabulary);
        LAUNCH(tape, linear_backward_input, tape.gradient_data(x.node()), D, tape.data(logits), vocabulary,
               weight_for(tape, x, table), n, vocabulary, D);
    } else {
        LAUNCH(tape, cross_entropy_forward, tape.value(losses), tape.data(logits),
               tape.value<std::int32_t>(targets), 1, n, vocabulary, rule.smoothing);
    }
    LAUNCH(tape, sum_accumulate, tape.value<double>(total), tape.value(losses), n, 1.0);
}
