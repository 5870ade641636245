#include "runtime/ops/gradients.h"

#include "kernels/layout/gather.h"

void pass_gradient(Tape& tape, NodeId to, NodeId from) {
    if (tape.share_gradient(to, from)) return;
    const std::int64_t count = tape.elements(from);
    const auto source = [&] { return tape.gradient_data(from); };
    if (tape.element(to) != tape.element(from))
        write_gradient(tape, to, [&](auto target) { convert(tape, target, source, count); });
    else if (tape.begin_gradient(to) == GradientWrite::accumulate)
        LAUNCH(tape, residual_backward_accumulate, tape.mutable_gradient_data(to), source(), count);
    else
        LAUNCH(tape, copy_rows, tape.mutable_gradient_data(to), count, source(), count, 1, count);
}

Tensor converted(Tape& tape, const Tensor& x, Element element) {
    if (tape.element(x.node()) == element) return x;
    const bool differentiable = tape.differentiable(x.node());
    const Tensor y = tape.create(x.rows(), x.width(), differentiable, element);
    convert(
        tape, [&] { return tape.mutable_data(y); }, [&] { return tape.data(x); }, tape.elements(x.node()));
    if (differentiable)
        tape.on_backward(y, {x.node()}, {},
                         [&tape, x = x.node(), y = y.node()] { pass_gradient(tape, x, y); });
    return y;
}
