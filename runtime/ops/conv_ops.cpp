#include "runtime/ops/conv_ops.h"

#include <stdexcept>

#include "kernels/conv/conv2d.h"
#include "runtime/ops/gradients.h"
#include "runtime/ops/ops.h"
#include "runtime/ops/tape_launch.h"

namespace {

void backward_input(Tape& tape, NodeId x, NodeId y, const Parameter* weight, const Conv2dShape& shape) {
    if (!tape.has_gradient(y) || !tape.differentiable(x)) return;
    write_gradient(tape, x, [&](auto target) {
        const Tensor workspace =
            scratch(tape, SIZE_ON(tape.device(), conv2d_backward_input_workspace, shape));
        LAUNCH(tape, conv2d_backward_input, target(), tape.mutable_value(workspace), tape.gradient_data(y),
               tape.kernel_weight(*weight), shape);
    });
}

void backward_weight(Tape& tape, NodeId x, NodeId y, const Parameter* weight, const Parameter* bias,
                     const Conv2dShape& shape) {
    if (!tape.has_gradient(y)) return;
    const Tensor workspace = scratch(tape, SIZE_ON(tape.device(), conv2d_backward_weight_workspace, shape));
    LAUNCH(tape, conv2d_backward_weight, tape.product_sum(weight->gradient), bias ? bias->gradient : nullptr,
           tape.mutable_value(workspace), tape.gradient_data(y), tape.data(x), shape);
}

Conv2dShape shape_of(const Tensor& x, MapSize size, const Parameter& weight, const Parameter* bias,
                     std::int64_t stride, MapSize padding) {
    require(weight.shape.size() == 4, "conv2d: the weight is not [N, C, kernel_height, kernel_width]");
    const std::int64_t pixels = size.height * size.width, N = weight.shape[0], C = weight.shape[1];
    const MapSize kernel{weight.shape[2], weight.shape[3]};
    require(pixels > 0 && x.rows() % pixels == 0, "conv2d: x is not a batch of maps of this size");
    require(x.width() == C, "conv2d: x has other channels than the weight");
    require(bias == nullptr || bias->count == N, "conv2d: the bias is not [N]");
    require(stride > 0 && padding.height >= 0 && padding.height < kernel.height && padding.width >= 0 &&
                padding.width < kernel.width,
            "conv2d: a padding as wide as the kernel");
    require(
        size.height + 2 * padding.height >= kernel.height && size.width + 2 * padding.width >= kernel.width,
        "conv2d: the map is smaller than the kernel");
    return {x.rows() / pixels, size.height,  size.width, C, N, kernel.height, kernel.width, stride,
            padding.height,    padding.width};
}

// y, of x in the activation type.
Tensor convolve(Tape& tape, const Tensor& x, const Parameter& weight, const Parameter* bias, bool relu,
                const Conv2dShape& shape) {
    const Tensor y = activation(tape, shape.out_rows(), shape.N),
                 workspace = scratch(tape, SIZE_ON(tape.device(), conv2d_forward_workspace, shape));
    LAUNCH(tape, conv2d_forward, tape.mutable_data(y), tape.mutable_value(workspace), tape.data(x),
           tape.kernel_weight(weight), tape.constant(bias), relu, shape);
    return y;
}

}  // namespace

MapSize convolved(MapSize size, MapSize kernel, std::int64_t stride, MapSize padding) {
    return {(size.height + 2 * padding.height - kernel.height) / stride + 1,
            (size.width + 2 * padding.width - kernel.width) / stride + 1};
}

Tensor conv2d(Tape& tape, const Tensor& input, MapSize size, const Parameter& weight, const Parameter* bias,
              std::int64_t stride, std::int64_t padding) {
    const Conv2dShape shape = shape_of(input, size, weight, bias, stride, {padding, padding});
    const Tensor x = as_activation(tape, input), y = convolve(tape, x, weight, bias, false, shape);
    tape.on_backward(y, {x.node()}, {x.node()},
                     [&tape, x = x.node(), y = y.node(), weight = &weight, bias, shape] {
                         backward_weight(tape, x, y, weight, bias, shape);
                         backward_input(tape, x, y, weight, shape);
                     });
    return y;
}

Tensor frozen_conv2d(Tape& tape, const Tensor& input, MapSize size, const Parameter& weight,
                     const Parameter* bias, std::int64_t stride, std::int64_t padding) {
    const Conv2dShape shape = shape_of(input, size, weight, bias, stride, {padding, padding});
    const Tensor x = as_activation(tape, input), y = convolve(tape, x, weight, bias, false, shape);
    tape.on_backward(y, {x.node()}, {}, [&tape, x = x.node(), y = y.node(), weight = &weight, shape] {
        backward_input(tape, x, y, weight, shape);
    });
    return y;
}

Tensor rectified_conv2d(Tape& tape, const Tensor& input, MapSize size, const Parameter& weight,
                        const Parameter* bias, std::int64_t stride, MapSize padding) {
    const Conv2dShape shape = shape_of(input, size, weight, bias, stride, padding);
    return convolve(tape, as_activation(tape, input), weight, bias, true, shape);
}
