// Common to ops: checks of arguments; the target of a gradient, whether it overwrites or accumulates, and its
// type.
#pragma once

#include <cstdint>
#include <stdexcept>

#include "kernels/pointwise/convert.h"
#include "kernels/pointwise/residual.h"
#include "runtime/ops/tape_launch.h"
#include "runtime/tensor/tape.h"

// Check of a caller's arguments. Throws std::logic_error unless `fits`.
inline void require(bool fits, const char* what) {
    if (!fits) throw std::logic_error(what);
}

// Begins the gradient of a node with no other consumer; `what` names the op and the input. Throws
// std::logic_error if the gradient already holds a sum.
inline void begin_sole_gradient(Tape& tape, NodeId node, const char* what) {
    require(tape.begin_gradient(node) == GradientWrite::overwrite, what);
}

// A temporary [1, floats].
inline Tensor scratch(Tape& tape, std::int64_t floats) {
    return tape.create(1, floats, false);
}

// A tensor of the tape's precision that gradients flow into.
inline Tensor activation(Tape& tape, std::int64_t rows, std::int64_t width) {
    return tape.create(rows, width, true, tape.activation());
}

// y = x, one of them float and the other bf16; y(), x() are called when the tape runs.
template <class Y, class X>
void convert(Tape& tape, Y y, X x, std::int64_t count) {
    if (tape.planning()) return;
    const ElementPointer to = y();
    const ConstElementPointer from = x();
    if (to.element == Element::bf16)
        LAUNCH(tape, round_to_bf16, static_cast<bf16*>(to.address), static_cast<const float*>(from.address),
               count);
    else
        LAUNCH(tape, widen_bf16, static_cast<float*>(to.address), static_cast<const bf16*>(from.address),
               count);
}

// Begins the gradient of `node` and calls `overwrite(target)` to fill target(): the gradient itself, or a
// temporary one that is then added to it.
template <class Overwrite>
void write_gradient(Tape& tape, NodeId node, Overwrite overwrite) {
    if (tape.begin_gradient(node) == GradientWrite::overwrite) {
        overwrite([&] { return tape.mutable_gradient_data(node); });
        return;
    }
    const Tensor part = tape.create(tape.rows(node), tape.width(node), false, tape.element(node));
    overwrite([&] { return tape.mutable_data(part); });
    LAUNCH(tape, residual_backward_accumulate, tape.mutable_gradient_data(node), tape.data(part),
           tape.elements(node));
}

// The gradient of `from` is added to that of `to`, without a copy if possible.
void pass_gradient(Tape& tape, NodeId to, NodeId from);

// x with elements of another type; the gradient is converted back.
Tensor converted(Tape& tape, const Tensor& x, Element element);
