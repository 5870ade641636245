#include "runtime/feature_ops.h"

#include <stdexcept>

#include "runtime/gradients.h"
#include "runtime/launch.h"

namespace {

void require(bool fits, const char* what) {
    if (!fits) throw std::logic_error(what);
}

}  // namespace

Tensor groupnorm(Tape& tape, const Tensor& x, std::int64_t positions, const Parameter& weight,
                 const Parameter& bias, std::int64_t groups, float epsilon, Activation activation) {
    const std::int64_t C = x.width();
    require(positions > 0 && x.rows() % positions == 0, "groupnorm: x is not of whole maps");
    require(C % groups == 0 && weight.count == C && bias.count == C,
            "groupnorm: its groups, weight or bias do not fit the channels");
    const GroupNormShape shape{x.rows() / positions, positions, C, groups};
    const Tensor y = tape.create(x.rows(), C, true, tape.element(x.node())),
                 mean = tape.create(shape.images, groups, false),
                 rstd = tape.create(shape.images, groups, false);
    {
        const Tensor workspace = scratch(tape, SIZE_ON(tape.device(), groupnorm_forward_workspace, shape));
        LAUNCH(tape, groupnorm_forward, tape.data(y), tape.value(mean), tape.value(rstd),
               tape.value(workspace), tape.data(x), weight.value, bias.value, shape, epsilon, activation);
    }
    if (!tape.recording()) return y;
    tape.record({x.node(), y.node()}, {x.node(), mean.node(), rstd.node()},
                [&tape, x = x.node(), y = y.node(), mean = mean.node(), rstd = rstd.node(), weight = &weight,
                 bias = &bias, shape, activation] {
                    if (!tape.has_gradient(y)) return;
                    write_gradient(tape, x, [&](auto target) {
                        const Tensor workspace =
                            scratch(tape, SIZE_ON(tape.device(), groupnorm_backward_workspace, shape));
                        LAUNCH(tape, groupnorm_backward, target(), weight->gradient, bias->gradient,
                               tape.value(workspace), tape.gradient_data(y), tape.data(x), weight->value,
                               bias->value, tape.value(mean), tape.value(rstd), shape, activation);
                    });
                });
    return y;
}
