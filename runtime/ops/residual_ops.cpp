#include "runtime/ops/residual_ops.h"

#include "kernels/norm/layernorm.h"
#include "kernels/norm/rmsnorm.h"
#include "kernels/pointwise/dropout.h"
#include "kernels/pointwise/residual.h"
#include "runtime/ops/gradients.h"

namespace {

Dropout element_dropout(const Tape& tape, const DropoutRule& rule, NodeId x) {
    if (rule.probability == 0) return {0, {}, 0, nullptr, tape.elements(x)};
    return {rule.probability, rule.key, rule.step, tape.value<std::int64_t>(rule.sequence_ids),
            tape.elements(x) / tape.rows(rule.sequence_ids)};
}

// y = norm(x), with the values saved for its backward pass.
struct LayerNorm {
    Tensor y, mean, rstd;
};
struct RmsNorm {
    Tensor y, rstd;
};

LayerNorm layernorm_outputs(Tape& tape, const Tensor& x, Element element) {
    return {tape.create(x.rows(), x.width(), true, element), tape.create(x.rows(), 1, false),
            tape.create(x.rows(), 1, false)};
}

RmsNorm rmsnorm_outputs(Tape& tape, const Tensor& x) {
    return {activation(tape, x.rows(), x.width()), tape.create(x.rows(), 1, false)};
}

void record_layernorm(Tape& tape, const Tensor& input, const LayerNorm& norm, const Parameter& weight,
                      const Parameter& bias) {
    tape.on_backward(
        norm.y, {input.node()}, {input.node(), norm.mean.node(), norm.rstd.node()},
        [&tape, x = input.node(), y = norm.y.node(), mean = norm.mean.node(), rstd = norm.rstd.node(),
         weight = &weight, bias = &bias] {
            const std::int64_t rows = tape.rows(x), width = tape.width(x);
            const Tensor workspace =
                scratch(tape, SIZE_ON(tape.device(), layernorm_backward_workspace, width));
            if (tape.begin_gradient(x) == GradientWrite::accumulate)
                LAUNCH(tape, layernorm_backward_accumulate, tape.mutable_gradient(x), weight->gradient,
                       bias->gradient, tape.mutable_value(workspace), tape.gradient_data(y), tape.value(x),
                       weight->value, tape.value(mean), tape.value(rstd), rows, width);
            else
                LAUNCH(tape, layernorm_backward, tape.mutable_gradient(x), weight->gradient, bias->gradient,
                       tape.mutable_value(workspace), tape.gradient_data(y), tape.value(x), weight->value,
                       tape.value(mean), tape.value(rstd), rows, width);
        });
}

void record_rmsnorm(Tape& tape, const Tensor& input, const RmsNorm& norm, const Parameter& weight) {
    tape.on_backward(norm.y, {input.node()}, {input.node(), norm.rstd.node()},
                     [&tape, x = input.node(), y = norm.y.node(), rstd = norm.rstd.node(), weight = &weight] {
                         const std::int64_t rows = tape.rows(x), width = tape.width(x);
                         const Tensor workspace =
                             scratch(tape, SIZE_ON(tape.device(), rmsnorm_backward_workspace, width));
                         if (tape.begin_gradient(x) == GradientWrite::accumulate)
                             LAUNCH(tape, rmsnorm_backward_accumulate, tape.mutable_gradient(x),
                                    weight->gradient, tape.mutable_value(workspace), tape.gradient_data(y),
                                    tape.value(x), weight->value, tape.value(rstd), rows, width);
                         else
                             LAUNCH(tape, rmsnorm_backward, tape.mutable_gradient(x), weight->gradient,
                                    tape.mutable_value(workspace), tape.gradient_data(y), tape.value(x),
                                    weight->value, tape.value(rstd), rows, width);
                     });
}

void record_residual(Tape& tape, const Tensor& input, const Tensor& joined, const Tensor& sum,
                     const DropoutRule& dropout) {
    const bool drops = dropout.probability > 0;
    const auto backward = [&tape, x = input.node(), branch = joined.node(), y = sum.node(), dropout, drops] {
        if (drops) {
            write_gradient(tape, branch, [&](auto target) {
                auto source = [&] { return tape.gradient_data(y); };
                const bool converts = tape.element(branch) != tape.element(y);
                if (converts) convert(tape, target, source, tape.elements(y));
                LAUNCH(tape, dropout_backward, target(), converts ? target() : source(),
                       tape.rows(dropout.sequence_ids), element_dropout(tape, dropout, y));
            });
        } else {
            pass_gradient(tape, branch, y);
        }
        pass_gradient(tape, x, y);
    };
    tape.on_backward(sum, {input.node(), joined.node()}, {drops ? dropout.sequence_ids : -1}, backward);
}

Tensor layernorm_as(Tape& tape, const Tensor& x, const Parameter& weight, const Parameter& bias,
                    float epsilon, Element element) {
    const LayerNorm norm = layernorm_outputs(tape, x, element);
    LAUNCH(tape, layernorm_forward, tape.mutable_data(norm.y), tape.mutable_value(norm.mean),
           tape.mutable_value(norm.rstd), tape.value(x), weight.value, bias.value, x.rows(), x.width(),
           epsilon);
    record_layernorm(tape, x, norm, weight, bias);
    return norm.y;
}

}  // namespace

Tensor layernorm(Tape& tape, const Tensor& x, const Parameter& weight, const Parameter& bias, float epsilon) {
    return layernorm_as(tape, x, weight, bias, epsilon, tape.activation());
}

Tensor layernorm_f32(Tape& tape, const Tensor& x, const Parameter& weight, const Parameter& bias,
                     float epsilon) {
    return layernorm_as(tape, x, weight, bias, epsilon, Element::f32);
}

Tensor rmsnorm(Tape& tape, const Tensor& x, const Parameter& weight, float epsilon) {
    const RmsNorm norm = rmsnorm_outputs(tape, x);
    LAUNCH(tape, rmsnorm_forward, tape.mutable_data(norm.y), tape.mutable_value(norm.rstd), tape.value(x),
           weight.value, x.rows(), x.width(), epsilon);
    record_rmsnorm(tape, x, norm, weight);
    return norm.y;
}

Tensor dropout(Tape& tape, const Tensor& x, const DropoutRule& rule) {
    if (rule.probability == 0) return x;
    const Tensor y = tape.create(x.rows(), x.width(), true, tape.element(x.node()));
    LAUNCH(tape, dropout_forward, tape.mutable_data(y), tape.data(x), tape.rows(rule.sequence_ids),
           element_dropout(tape, rule, y.node()));
    tape.on_backward(y, {x.node()}, {rule.sequence_ids}, [&tape, x = x.node(), y = y.node(), rule] {
        write_gradient(tape, x, [&](auto target) {
            LAUNCH(tape, dropout_backward, target(), tape.gradient_data(y), tape.rows(rule.sequence_ids),
                   element_dropout(tape, rule, y));
        });
    });
    return y;
}

Tensor residual(Tape& tape, const Tensor& x, const Tensor& branch, const DropoutRule& dropout) {
    const Tensor sum = tape.create(x.rows(), x.width(), true);
    if (dropout.probability > 0)
        LAUNCH(tape, residual_dropout_forward, tape.mutable_value(sum), tape.value(x), tape.data(branch),
               tape.rows(dropout.sequence_ids), element_dropout(tape, dropout, sum.node()));
    else
        LAUNCH(tape, residual_forward, tape.mutable_value(sum), tape.value(x), tape.data(branch),
               tape.elements(sum.node()));
    record_residual(tape, x, branch, sum, dropout);
    return sum;
}

NormedSum residual_layernorm(Tape& tape, const Tensor& x, const Tensor& branch, const DropoutRule& dropout,
                             const Parameter& weight, const Parameter& bias, float epsilon) {
    if (dropout.probability > 0) {
        const Tensor sum = residual(tape, x, branch, dropout);
        return {sum, layernorm(tape, sum, weight, bias, epsilon)};
    }
    const Tensor sum = tape.create(x.rows(), x.width(), true);
    const LayerNorm norm = layernorm_outputs(tape, sum, tape.activation());
    LAUNCH(tape, residual_layernorm_forward, tape.mutable_value(sum), tape.mutable_data(norm.y),
           tape.mutable_value(norm.mean), tape.mutable_value(norm.rstd), tape.value(x), tape.data(branch),
           weight.value, bias.value, sum.rows(), sum.width(), epsilon);
    record_residual(tape, x, branch, sum, dropout);
    record_layernorm(tape, sum, norm, weight, bias);
    return {sum, norm.y};
}

NormedSum residual_rmsnorm(Tape& tape, const Tensor& x, const Tensor& branch, const DropoutRule& dropout,
                           const Parameter& weight, float epsilon) {
    if (dropout.probability > 0) {
        const Tensor sum = residual(tape, x, branch, dropout);
        return {sum, rmsnorm(tape, sum, weight, epsilon)};
    }
    const Tensor sum = tape.create(x.rows(), x.width(), true);
    const RmsNorm norm = rmsnorm_outputs(tape, sum);
    LAUNCH(tape, residual_rmsnorm_forward, tape.mutable_value(sum), tape.mutable_data(norm.y),
           tape.mutable_value(norm.rstd), tape.value(x), tape.data(branch), weight.value, sum.rows(),
           sum.width(), epsilon);
    record_residual(tape, x, branch, sum, dropout);
    record_rmsnorm(tape, sum, norm, weight);
    return {sum, norm.y};
}
