#include "runtime/ops/row_ops.h"

#include "kernels/layout/gather.h"
#include "kernels/layout/token_patches.h"
#include "runtime/ops/gradients.h"
#include "runtime/ops/ops.h"
#include "runtime/ops/tape_launch.h"

Tensor drop_last_token(Tape& tape, const Tensor& x, std::int64_t length) {
    const std::int64_t sequences = x.rows() / length, width = x.width();
    const Tensor y = tape.create(sequences * (length - 1), width, false);
    LAUNCH(tape, copy_rows, tape.mutable_value(y), (length - 1) * width, tape.value(x), length * width,
           sequences, (length - 1) * width);
    return y;
}

Tensor take_token(Tape& tape, const Tensor& x, std::int64_t t, std::int64_t length) {
    const std::int64_t sequences = x.rows() / length, width = x.width();
    const Tensor y = tape.create(sequences, width, false);
    LAUNCH(tape, copy_rows, tape.mutable_value(y), width, tape.value(x) + t * width, length * width,
           sequences, width);
    return y;
}

void take_row(Tape& tape, const Tensor& destination, const Tensor& x, std::int64_t row) {
    LAUNCH(tape, copy_rows, tape.mutable_data(destination), x.width(), tape.data(x) + row * x.width(),
           x.width(), 1, x.width());
}

Tensor drop_first_tokens(Tape& tape, const Tensor& x, std::int64_t length, std::int64_t dropped) {
    const std::int64_t M = x.rows() / length, D = x.width(), rest = (length - dropped) * D;
    const Tensor y = tape.create(M * (length - dropped), D, false);
    LAUNCH(tape, copy_rows, tape.mutable_value(y), rest, tape.value(x) + dropped * D, length * D, M, rest);
    return y;
}

Tensor prepend_tokens(Tape& tape, const Tensor& first, const Tensor& tokens, std::int64_t sequences) {
    const std::int64_t M = sequences, D = first.width(), head = first.rows() / M * D,
                       rest = tokens.rows() / M * D, all = head + rest;
    require(tokens.width() == D && tokens.rows() % M == 0 && first.rows() % M == 0,
            "prepend_tokens: tokens do not fit the first ones");
    const Tensor y = tape.create(first.rows() + tokens.rows(), D, true);
    LAUNCH(tape, copy_rows, tape.mutable_value(y), all, tape.value(first), head, M, head);
    LAUNCH(tape, copy_rows, tape.mutable_value(y) + head, all, tape.value(tokens), rest, M, rest);
    tape.on_backward(y, {first.node(), tokens.node()}, {},
                     [&tape, first = first.node(), tokens = tokens.node(), y = y.node(), M, head, rest, all] {
                         for (const NodeId input : {first, tokens})
                             begin_sole_gradient(tape, input, "prepend_tokens: its inputs feed nothing else");
                         LAUNCH(tape, copy_rows, tape.mutable_gradient(first), head, tape.gradient(y), all, M,
                                head);
                         LAUNCH(tape, copy_rows, tape.mutable_gradient(tokens), rest, tape.gradient(y) + head,
                                all, M, rest);
                     });
    return y;
}

Tensor join_columns(Tape& tape, const Tensor& a, const Tensor& b) {
    const std::int64_t rows = a.rows(), D = a.width();
    require(b.rows() == rows && b.width() == D, "join_columns: its inputs are of different shapes");
    const Tensor y = activation(tape, rows, 2 * D);
    std::int64_t column = 0;
    for (const Tensor& input : {a, b}) {
        const Tensor x = as_activation(tape, input);
        LAUNCH(tape, copy_rows, tape.mutable_data(y) + column, 2 * D, tape.data(x), D, rows, D);
        tape.on_backward(y, {x.node()}, {}, [&tape, x = x.node(), y = y.node(), rows, D, column] {
            write_gradient(tape, x, [&](auto target) {
                LAUNCH(tape, copy_rows, target(), D, tape.gradient_data(y) + column, 2 * D, rows, D);
            });
        });
        column += D;
    }
    return y;
}

Tensor first_condition(Tape& tape, const Tensor& conditions, std::int64_t width) {
    const std::int64_t M = conditions.rows(), all = conditions.width();
    const Tensor y = tape.create(M, width, true, tape.element(conditions.node()));
    LAUNCH(tape, copy_rows, tape.mutable_data(y), width, tape.data(conditions), all, M, width);
    tape.on_backward(y, {conditions.node()}, {},
                     [&tape, conditions = conditions.node(), y = y.node(), M, all, width] {
                         require(tape.begin_gradient(conditions) == GradientWrite::accumulate,
                                 "first_condition: another use of all conditions comes after it");
                         LAUNCH(tape, add_rows, tape.mutable_gradient_data(conditions), all,
                                tape.gradient_data(y), width, M, width);
                     });
    return y;
}

Tensor gather_rows(Tape& tape, const Tensor& x, const Tensor& index) {
    const Tensor y = tape.create(index.rows(), x.width(), false, tape.element(x.node()));
    gather_rows(tape, y, x, index);
    return y;
}

void gather_rows(Tape& tape, const Tensor& destination, const Tensor& x, const Tensor& index) {
    LAUNCH(tape, gather_rows, tape.mutable_data(destination), tape.data(x), tape.value<std::int32_t>(index),
           index.rows(), x.width());
}

void scatter_rows(Tape& tape, const Tensor& destination, const Tensor& x, const Tensor& index) {
    LAUNCH(tape, scatter_rows, tape.mutable_data(destination), tape.data(x), tape.value<std::int32_t>(index),
           index.rows(), x.width());
}

Tensor select_rows(Tape& tape, const Tensor& x, const Tensor& index, std::int64_t width) {
    require(x.width() % width == 0, "select_rows: a row of x is no number of rows of this width");
    const Tensor y = tape.create(index.rows(), width, true, tape.element(x.node()));
    LAUNCH(tape, gather_rows, tape.mutable_data(y), tape.data(x), tape.value<std::int32_t>(index),
           index.rows(), width);
    tape.on_backward(
        y, {x.node()}, {index.node()}, [&tape, x = x.node(), y = y.node(), index = index.node(), width] {
            begin_sole_gradient(tape, x, "select_rows: x feeds nothing else");
            if (tape.planning()) return;
            fill_on_device(tape.device(), tape.mutable_gradient_data(x).address, 0,
                           static_cast<std::size_t>(tape.elements(x)) * element_size(tape.element(x)),
                           tape.stream());
            LAUNCH(tape, scatter_rows, tape.mutable_gradient_data(x), tape.gradient_data(y),
                   tape.value<std::int32_t>(index), tape.rows(index), width);
        });
    return y;
}

Tensor ids_to_patches(Tape& tape, const Tensor& ids, std::int64_t side, std::int64_t patch) {
    const TokenGrid grid{ids.rows(), side, patch};
    require(ids.width() == side * side, "ids_to_patches: ids of another grid");
    const Tensor y = tape.create(grid.tokens() / (patch * patch), patch * patch, false, Element::i32);
    LAUNCH(tape, ids_to_patches, tape.mutable_value<std::int32_t>(y), tape.value<std::int32_t>(ids), grid);
    return y;
}

Tensor patches_to_raster(Tape& tape, const Tensor& x, std::int64_t side, std::int64_t patch) {
    const std::int64_t tokens = x.rows() * patch * patch, width = x.width() / (patch * patch);
    const TokenGrid grid{tokens / (side * side), side, patch};
    require(grid.tokens() == tokens && width * patch * patch == x.width(),
            "patches_to_raster: patches of another grid");
    const Tensor y = tape.create(tokens, width, false);
    LAUNCH(tape, patches_to_raster, tape.mutable_value(y), tape.value(x), grid, width);
    return y;
}
