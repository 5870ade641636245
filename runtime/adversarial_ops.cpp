#include "runtime/adversarial_ops.h"

#include <stdexcept>

#include "kernels/gather.h"
#include "kernels/l1_loss.h"
#include "kernels/leaky_relu.h"
#include "runtime/gradients.h"
#include "runtime/launch.h"

namespace {

void require(bool fits, const char* what) {
    if (!fits) throw std::logic_error(what);
}

Tensor double_scratch(Tape& tape, std::int64_t count) {
    return tape.create(1, count, false, Element::f64);
}

}  // namespace

Tensor leaky_relu(Tape& tape, const Tensor& x, float slope) {
    require(slope > 0 && slope < 1, "leaky_relu: a slope outside of (0, 1)");
    const Tensor y = tape.create(x.rows(), x.width(), true, tape.element(x.node()));
    LAUNCH(tape, leaky_relu_forward, tape.data(y), tape.data(x), slope, tape.elements(y.node()));
    if (tape.recording())
        tape.record({x.node(), y.node()}, {y.node()}, [&tape, x = x.node(), y = y.node(), slope] {
            if (!tape.has_gradient(y)) return;
            write_gradient(tape, x, [&](auto target) {
                LAUNCH(tape, leaky_relu_backward, target(), tape.gradient_data(y), tape.data(y), slope,
                       tape.elements(y));
            });
        });
    return y;
}

void l1_loss(Tape& tape, const Tensor& x, const Tensor& target, float scale, const Tensor& total) {
    require(target.rows() == x.rows() && target.width() == x.width(), "l1_loss: a target of another shape");
    const std::int64_t count = tape.elements(x.node());
    {
        const Tensor workspace = double_scratch(tape, SIZE_ON(tape.device(), l1_loss_workspace));
        LAUNCH(tape, l1_loss_accumulate, tape.value<double>(total), tape.value<double>(workspace),
               tape.data(x), tape.value(target), count);
    }
    if (tape.recording())
        write_gradient(tape, x.node(), [&](auto gradient) {
            LAUNCH(tape, l1_loss_backward, gradient(), tape.data(x), tape.value(target), scale, count);
        });
}

void adversarial_loss(Tape& tape, const Tensor& logits, AdversarialTerm term, float scale,
                      const Tensor& total) {
    const std::int64_t count = tape.elements(logits.node());
    {
        const Tensor workspace = double_scratch(tape, SIZE_ON(tape.device(), adversarial_loss_workspace));
        LAUNCH(tape, adversarial_loss_accumulate, tape.value<double>(total), tape.value<double>(workspace),
               tape.data(logits), term, count);
    }
    if (tape.recording())
        write_gradient(tape, logits.node(), [&](auto gradient) {
            LAUNCH(tape, adversarial_loss_backward, gradient(), tape.data(logits), term, scale, count);
        });
}

Tensor detached(Tape& tape, const Tensor& x, bool differentiable) {
    const Tensor y = tape.create(x.rows(), x.width(), differentiable, tape.element(x.node()));
    const std::int64_t count = tape.elements(x.node());
    LAUNCH(tape, copy_rows, tape.data(y), count, tape.data(x), count, 1, count);
    return y;
}
