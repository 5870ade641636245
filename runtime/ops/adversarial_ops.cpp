#include "runtime/ops/adversarial_ops.h"

#include <stdexcept>

#include "kernels/conv/conv2d.h"
#include "kernels/layout/gather.h"
#include "kernels/linear/reduce.h"
#include "kernels/loss/adaptive_weight.h"
#include "kernels/loss/feature_distance.h"
#include "kernels/loss/l1_loss.h"
#include "kernels/pointwise/leaky_relu.h"
#include "runtime/ops/gradients.h"
#include "runtime/ops/ops.h"
#include "runtime/ops/tape_launch.h"

namespace {

Tensor double_scratch(Tape& tape, std::int64_t count) {
    return tape.create(1, count, false, Element::f64);
}

// *squared_norm (double) += that of the weight's gradient from the gradient of y.
template <class Place>
void add_squared_norm(Tape& tape, NodeId y, const Tensor& input, const Conv2dShape& shape,
                      Place squared_norm) {
    const Tensor d_weight = scratch(tape, shape.weights());
    zero_tensor(tape, d_weight);
    {
        const Tensor workspace =
            scratch(tape, SIZE_ON(tape.device(), conv2d_backward_weight_workspace, shape));
        LAUNCH(tape, conv2d_backward_weight, tape.product_sum(tape.mutable_value(d_weight)),
               static_cast<float*>(nullptr), tape.mutable_value(workspace), tape.gradient_data(y),
               tape.data(input), shape);
    }
    const Tensor workspace = double_scratch(tape, SIZE_ON(tape.device(), squared_norm_workspace));
    LAUNCH(tape, squared_norm_accumulate, squared_norm(), tape.mutable_value<double>(workspace),
           tape.value(d_weight), shape.weights());
}

}  // namespace

Tensor leaky_relu(Tape& tape, const Tensor& x, float slope) {
    require(slope >= 0 && slope < 1, "leaky_relu: a slope outside of [0, 1)");
    const Tensor y = tape.create(x.rows(), x.width(), true, tape.element(x.node()));
    LAUNCH(tape, leaky_relu_forward, tape.mutable_data(y), tape.data(x), slope, tape.elements(y.node()));
    tape.on_backward(y, {x.node()}, {y.node()}, [&tape, x = x.node(), y = y.node(), slope] {
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
        LAUNCH(tape, l1_loss_accumulate, tape.mutable_value<double>(total),
               tape.mutable_value<double>(workspace), tape.data(x), tape.value(target), count);
    }
    if (tape.recording())
        write_gradient(tape, x.node(), [&](auto gradient) {
            LAUNCH(tape, l1_loss_backward, gradient(), tape.data(x), tape.value(target), scale, count);
        });
}

void feature_distance(Tape& tape, const Tensor& x, const Tensor& target, const Parameter& weight,
                      double factor, float scale, const Tensor& total) {
    require(target.rows() == x.rows() && target.width() == x.width() && weight.count == x.width(),
            "feature_distance: a target of another shape, or a weight of other channels");
    {
        const Tensor workspace = double_scratch(tape, SIZE_ON(tape.device(), feature_distance_workspace));
        LAUNCH(tape, feature_distance_accumulate, tape.mutable_value<double>(total),
               tape.mutable_value<double>(workspace), tape.data(x), tape.data(target), weight.value, factor,
               x.rows(), x.width());
    }
    if (tape.recording())
        write_gradient(tape, x.node(), [&](auto gradient) {
            LAUNCH(tape, feature_distance_backward, gradient(), tape.data(x), tape.data(target), weight.value,
                   scale * static_cast<float>(factor), x.rows(), x.width());
        });
}

void adversarial_loss(Tape& tape, const Tensor& logits, AdversarialTerm term, float scale,
                      const Tensor& total) {
    const std::int64_t count = tape.elements(logits.node());
    {
        const Tensor workspace = double_scratch(tape, SIZE_ON(tape.device(), adversarial_loss_workspace));
        LAUNCH(tape, adversarial_loss_accumulate, tape.mutable_value<double>(total),
               tape.mutable_value<double>(workspace), tape.data(logits), term, count);
    }
    if (tape.recording())
        write_gradient(tape, logits.node(), [&](auto gradient) {
            LAUNCH(tape, adversarial_loss_backward, gradient(), tape.data(logits), term, scale, count);
        });
}

Tensor detached(Tape& tape, const Tensor& x, bool differentiable) {
    const Tensor y = tape.create(x.rows(), x.width(), differentiable, tape.element(x.node()));
    const std::int64_t count = tape.elements(x.node());
    LAUNCH(tape, copy_rows, tape.mutable_data(y), count, tape.data(x), count, 1, count);
    return y;
}

void add_adaptive_gradient(Tape& tape, const Tensor& y, const Tensor& other, const Tensor& input,
                           MapSize size, const Parameter& weight, float factor, const Tensor& lambda) {
    require(tape.has_gradient(y.node()) && tape.has_gradient(other.node()),
            "add_adaptive_gradient: a tensor without gradient");
    require(weight.shape.size() == 4 && weight.shape[2] % 2 == 1 && weight.shape[1] == input.width() &&
                weight.shape[0] == y.width() && input.rows() == y.rows() && other.rows() == y.rows() &&
                other.width() == y.width(),
            "add_adaptive_gradient: y is not the convolution of its input");
    const std::int64_t kernel = weight.shape[2];
    const Conv2dShape shape{y.rows() / (size.height * size.width),
                            size.height,
                            size.width,
                            input.width(),
                            y.width(),
                            kernel,
                            kernel,
                            1,
                            kernel / 2,
                            kernel / 2};
    const Tensor norms = double_scratch(tape, 2);
    zero_tensor(tape, norms);
    add_squared_norm(tape, y.node(), input, shape, [&] { return tape.mutable_value<double>(norms); });
    add_squared_norm(tape, other.node(), input, shape, [&] { return tape.mutable_value<double>(norms) + 1; });
    LAUNCH(tape, adaptive_weight, tape.mutable_value(lambda), tape.value<double>(norms), factor);
    tape.begin_gradient(y.node());  // there is one: shared ones are copied
    LAUNCH(tape, add_weighted, tape.mutable_gradient_data(y.node()), tape.gradient_data(other.node()),
           tape.value(lambda), tape.elements(y.node()));
}
