#include "runtime/ops/ops.h"

#include <algorithm>
#include <array>
#include <stdexcept>
#include <vector>

#include "kernels/attention/attention.h"
#include "kernels/attention/rotary.h"
#include "kernels/layout/embedding.h"
#include "kernels/layout/gather.h"
#include "kernels/layout/sequence.h"
#include "kernels/linear/matmul.h"
#include "kernels/linear/matmul_bf16.h"
#include "kernels/linear/reduce.h"
#include "kernels/loss/cross_entropy.h"
#include "kernels/pointwise/gated_silu.h"
#include "kernels/pointwise/gelu.h"
#include "kernels/pointwise/quick_gelu.h"
#include "kernels/pointwise/residual.h"
#include "runtime/ops/gradients.h"
#include "runtime/ops/tape_launch.h"

namespace {

// Backward of a product whose weight's rows start at `weight` and number N.
void linear_backward(Tape& tape, NodeId x, NodeId y, const Parameter* weight, const Parameter* bias) {
    const std::int64_t K = weight->inner(), rows = tape.elements(x) / K, N = tape.elements(y) / rows;
    {
        const Tensor workspace = scratch(tape, SIZE_ON(tape.device(), linear_backward_weight_workspace, N));
        LAUNCH(tape, linear_backward_weight, tape.product_sum(weight->gradient),
               bias ? bias->gradient : nullptr, tape.mutable_value(workspace), tape.gradient_data(y), N,
               tape.data(x), K, rows, N, K);
    }
    if (!tape.differentiable(x)) return;
    if (tape.begin_gradient(x) == GradientWrite::accumulate)
        LAUNCH(tape, linear_backward_input_accumulate, tape.mutable_gradient_data(x), K,
               tape.gradient_data(y), N, tape.weight(*weight, N, PackedFor::backward), rows, N, K);
    else
        LAUNCH(tape, linear_backward_input, tape.mutable_gradient_data(x), K, tape.gradient_data(y), N,
               tape.weight(*weight, N, PackedFor::backward), rows, N, K);
}

Tensor linear_rows(Tape& tape, const Tensor& input, const Parameter& weight, const Parameter* bias,
                   std::int64_t N) {
    const Tensor x = as_activation(tape, input);
    const std::int64_t K = weight.inner(), groups = x.width() / K;
    require(x.width() == groups * K, "linear: x is not as wide as the weight");
    const Tensor y = activation(tape, x.rows(), groups * N);
    LAUNCH(tape, linear_forward, tape.mutable_data(y), N, tape.data(x), K, tape.weight(weight, N),
           tape.constant(bias), x.rows() * groups, N, K);
    tape.on_backward(y, {x.node()}, {x.node()}, [&tape, x = x.node(), y = y.node(), weight = &weight, bias] {
        linear_backward(tape, x, y, weight, bias);
    });
    return y;
}

}  // namespace

Tensor linear(Tape& tape, const Tensor& x, const Parameter& weight, const Parameter* bias) {
    require(x.width() == weight.inner(), "linear: x is not as wide as the weight");
    return linear_rows(tape, x, weight, bias, weight.shape[0]);
}

Tensor linear_tokens(Tape& tape, const Tensor& x, const Parameter& weight, const Parameter* bias) {
    return linear_rows(tape, x, weight, bias, weight.shape[0]);
}

Tensor linear_pair(Tape& tape, const Tensor& x, const Parameter& first, const Parameter& second) {
    require(second.offset == first.offset + static_cast<std::size_t>(first.count),
            "linear_pair: weights lie apart");
    require(x.width() == first.inner(), "linear_pair: x is not as wide as the weights");
    return linear_rows(tape, x, first, nullptr, first.shape[0] + second.shape[0]);
}

Tensor linear_gelu(Tape& tape, const Tensor& x, const Parameter& weight, const Parameter& bias) {
    const std::int64_t N = weight.shape[0], K = x.width();
    const Tensor y = activation(tape, x.rows(), N);
    // gelu's input is for the backward pass alone.
    const Tensor before = tape.recording() ? activation(tape, x.rows(), N) : Tensor();
    LAUNCH(tape, linear_gelu_forward, tape.mutable_data(y),
           before ? tape.mutable_data(before) : ElementPointer(), tape.data(x), tape.weight(weight, N),
           tape.constant(bias), x.rows(), N, K);
    tape.on_backward(
        y, {x.node(), before.node()}, {x.node(), before.node()},
        [&tape, x = x.node(), y = y.node(), before = before.node(), weight = &weight, bias = &bias] {
            tape.inherit_gradient(before, y);
            LAUNCH(tape, gelu_backward, tape.mutable_gradient_data(before), tape.gradient_data(y),
                   tape.data(before), tape.elements(y));
            linear_backward(tape, x, before, weight, bias);
        });
    return y;
}

Tensor quick_gelu(Tape& tape, const Tensor& x) {
    const Tensor y = activation(tape, x.rows(), x.width());
    LAUNCH(tape, quick_gelu_forward, tape.mutable_data(y), tape.data(x), tape.elements(y.node()));
    tape.on_backward(y, {x.node()}, {x.node()}, [&tape, x = x.node(), y = y.node()] {
        write_gradient(tape, x, [&](auto target) {
            LAUNCH(tape, quick_gelu_backward, target(), tape.gradient_data(y), tape.data(x),
                   tape.elements(y));
        });
    });
    return y;
}

Tensor gated_silu(Tape& tape, const Tensor& gate_up) {
    const std::int64_t rows = gate_up.rows(), hidden = gate_up.width() / 2;
    const Tensor y = activation(tape, rows, hidden);
    LAUNCH(tape, gated_silu_forward, tape.mutable_data(y), tape.data(gate_up), rows, hidden);
    tape.on_backward(y, {gate_up.node()}, {gate_up.node()},
                     [&tape, x = gate_up.node(), y = y.node(), rows, hidden] {
                         write_gradient(tape, x, [&](auto target) {
                             LAUNCH(tape, gated_silu_backward, target(), tape.gradient_data(y), tape.data(x),
                                    rows, hidden);
                         });
                     });
    return y;
}

RotaryTable::RotaryTable(Device device, std::int64_t grid, std::int64_t head_dim)
    : rows_(1 + grid * grid),
      half_(head_dim / 2),
      memory_(device, static_cast<std::size_t>(2 * rows_ * half_) * sizeof(float)) {
    std::vector<float> table(static_cast<std::size_t>(2 * rows_ * half_));
    cpu::rotary_table(table.data(), table.data() + rows_ * half_, grid, head_dim);
    copy_to_device(device, memory_.data(), table.data(), table.size() * sizeof(float));
}

void rotary(Tape& tape, const Tensor& qkv, const RotaryTable& table, std::int64_t length, std::int64_t heads,
            std::int64_t first_position) {
    const std::int64_t sequences = qkv.rows() / length, head_dim = qkv.width() / (3 * heads);
    LAUNCH(tape, rotary_forward, tape.mutable_data(qkv), table.cosine(), table.sine(), sequences, length,
           heads, head_dim, first_position);
    tape.on_backward(
        qkv, {}, {},
        [&tape, qkv = qkv.node(), table = &table, sequences, length, heads, head_dim, first_position] {
            tape.begin_gradient(qkv);  // turned in place: in a copy, if it is another node's as well
            LAUNCH(tape, rotary_backward, tape.mutable_gradient_data(qkv), table->cosine(), table->sine(),
                   sequences, length, heads, head_dim, first_position);
        });
}

Tensor attention(Tape& tape, const Tensor& qkv, std::int64_t length, std::int64_t heads, bool causal,
                 const DropoutRule& dropout) {
    const std::int64_t width = qkv.width() / 3;
    const AttentionShape shape{qkv.rows() / length, length, heads, width / heads, causal};
    const auto rule = [&tape](const DropoutRule& d) {
        return AttentionDropout{d.probability, d.key, d.step,
                                d.probability > 0 ? tape.value<std::int64_t>(d.sequence_ids) : nullptr};
    };
    const Tensor y = tape.create(qkv.rows(), width, true, tape.element(qkv.node())),
                 log_sum_exp = tape.create(qkv.rows(), heads, false);
    LAUNCH(tape, attention_forward, tape.mutable_data(y), tape.mutable_value(log_sum_exp), tape.data(qkv),
           shape, rule(dropout));
    const auto backward = [&tape, qkv = qkv.node(), y = y.node(), log_sum_exp = log_sum_exp.node(), shape,
                           dropout, rule] {
        write_gradient(tape, qkv, [&](auto target) {
            LAUNCH(tape, attention_backward, target(), tape.gradient_data(y), tape.data(y),
                   tape.value(log_sum_exp), tape.data(qkv), shape, rule(dropout));
        });
    };
    tape.on_backward(
        y, {qkv.node()},
        {qkv.node(), y.node(), log_sum_exp.node(), dropout.probability > 0 ? dropout.sequence_ids : -1},
        backward);
    return y;
}

Tensor embedding(Tape& tape, const Tensor& ids, const Parameter& table, std::int64_t vocabulary) {
    const std::int64_t rows = ids.rows() * ids.width(), width = table.shape.back();
    const Tensor y = activation(tape, ids.rows(), ids.width() * width);
    LAUNCH(tape, embedding_forward, tape.mutable_data(y), width, table.value, tape.value<std::int32_t>(ids),
           1, rows, width);
    tape.on_backward(
        y, {}, {ids.node()},
        [&tape, y = y.node(), ids = ids.node(), table = &table, rows, width, vocabulary] {
            const Tensor workspace =
                scratch(tape, SIZE_ON(tape.device(), embedding_backward_workspace, rows, vocabulary, width));
            LAUNCH(tape, embedding_backward, table->gradient, tape.mutable_value(workspace),
                   tape.gradient_data(y), width, tape.value<std::int32_t>(ids), 1, rows, vocabulary, width);
        });
    return y;
}

Tensor level_sequence(Tape& tape, const Tensor& condition, const Tensor& tokens, const Parameter& positions,
                      std::int64_t length) {
    const std::int64_t M = condition.rows(), D = condition.width();
    require(tokens.rows() == M * (length - 1) && tokens.width() == D,
            "level_sequence: tokens do not fit the condition");
    const Tensor y = tape.create(M * length, D, true);
    LAUNCH(tape, level_sequence_forward, tape.mutable_value(y), tape.data(condition), tape.data(tokens),
           positions.value, M, length, D);
    tape.on_backward(y, {condition.node(), tokens.node()}, {},
                     [&tape, condition = condition.node(), tokens = tokens.node(), y = y.node(),
                      positions = &positions, M, length, D] {
                         for (const NodeId input : {condition, tokens})
                             begin_sole_gradient(tape, input, "level_sequence: its inputs feed nothing else");
                         const Tensor workspace = scratch(
                             tape, SIZE_ON(tape.device(), level_sequence_backward_workspace, M, length, D));
                         LAUNCH(tape, level_sequence_backward, tape.mutable_gradient_data(condition),
                                tape.mutable_gradient_data(tokens), positions->gradient,
                                tape.mutable_value(workspace), tape.gradient(y), M, length, D);
                     });
    return y;
}

Tensor pixel_sequence(Tape& tape, const Tensor& projected, const Tensor& values,
                      std::span<const Parameter* const> codebooks) {
    const Tensor condition = converted(tape, projected, Element::f32);
    const std::int64_t N = condition.rows(), W = condition.width();
    const auto C = static_cast<std::int64_t>(codebooks.size());
    const Tensor y = tape.create(N * C, W, true);
    LAUNCH(tape, copy_rows, tape.mutable_value(y), C * W, tape.value(condition), W, N, W);
    for (std::int64_t c = 0; c + 1 < C; ++c) {
        const Parameter& codebook = *codebooks[static_cast<std::size_t>(c)];
        LAUNCH(tape, embedding_forward, tape.mutable_value(y) + (c + 1) * W, C * W, codebook.value,
               tape.value<std::int32_t>(values) + c, C, N, W);
    }
    tape.on_backward(
        y, {condition.node()}, {values.node()},
        [&tape, condition = condition.node(), y = y.node(), values = values.node(),
         codebooks = codebooks.data(), N, W, C] {
            begin_sole_gradient(tape, condition, "pixel_sequence: its condition feeds nothing else");
            LAUNCH(tape, copy_rows, tape.mutable_gradient(condition), W, tape.gradient(y), C * W, N, W);
            for (std::int64_t c = 0; c + 1 < C; ++c) {
                const std::int64_t V = codebooks[c]->shape[0];
                const Tensor workspace =
                    scratch(tape, SIZE_ON(tape.device(), embedding_backward_workspace, N, V, W));
                LAUNCH(tape, embedding_backward, codebooks[c]->gradient, tape.mutable_value(workspace),
                       tape.gradient(y) + (c + 1) * W, C * W, tape.value<std::int32_t>(values) + c, C, N, V,
                       W);
            }
        });
    return y;
}

Tensor channel_logits(Tape& tape, const Tensor& x, std::int64_t channels, std::int64_t channel,
                      const Parameter& codebook, const Parameter& bias) {
    const std::int64_t W = x.width(), N = x.rows() / channels, V = codebook.shape[0];
    const Tensor logits = tape.create(N, V, false, tape.activation());
    LAUNCH(tape, linear_forward, tape.mutable_data(logits), V, tape.data(x) + channel * W, channels * W,
           tape.weight(codebook, V), tape.constant(bias), N, V, W);
    return logits;
}

void pixel_cross_entropy(Tape& tape, const Tensor& x, const Tensor& values,
                         std::span<const Parameter* const> codebooks,
                         std::span<const Parameter* const> biases, std::span<const float> scales,
                         const Tensor& totals) {
    const auto C = static_cast<std::int64_t>(codebooks.size());
    const std::int64_t N = x.rows() / C, W = x.width();
    if (tape.recording()) begin_sole_gradient(tape, x.node(), "pixel_cross_entropy: x feeds nothing else");
    for (std::int64_t c = 0; c < C; ++c) {
        const Parameter& codebook = *codebooks[static_cast<std::size_t>(c)];
        const Parameter& bias = *biases[static_cast<std::size_t>(c)];
        const std::int64_t V = codebook.shape[0];
        const Tensor logits = channel_logits(tape, x, C, c, codebook, bias),
                     losses = tape.create(N, 1, false);
        if (tape.recording()) {
            const Tensor workspace =
                scratch(tape, SIZE_ON(tape.device(), linear_backward_weight_workspace, V));
            LAUNCH(tape, cross_entropy_forward_backward, tape.mutable_value(losses),
                   tape.mutable_data(logits), tape.value<std::int32_t>(values) + c, C, N, V,
                   scales[static_cast<std::size_t>(c)]);
            LAUNCH(tape, linear_backward_weight, tape.product_sum(codebook.gradient), bias.gradient,
                   tape.mutable_value(workspace), tape.data(logits), V, tape.data(x) + c * W, C * W, N, V, W);
            LAUNCH(tape, linear_backward_input, tape.mutable_gradient_data(x.node()) + c * W, C * W,
                   tape.data(logits), V, tape.weight(codebook, V, PackedFor::backward), N, V, W);
        } else {
            LAUNCH(tape, cross_entropy_forward, tape.mutable_value(losses), tape.data(logits),
                   tape.value<std::int32_t>(values) + c, C, N, V);
        }
        LAUNCH(tape, sum_accumulate, tape.mutable_value<double>(totals) + c, tape.value(losses), N, 1.0);
    }
}

Tensor as_activation(Tape& tape, const Tensor& x) {
    return converted(tape, x, tape.activation());
}

Tensor to_f32(Tape& tape, const Tensor& x) {
    return converted(tape, x, Element::f32);
}

void add_tensor(Tape& tape, const Tensor& destination, const Tensor& source) {
    LAUNCH(tape, residual_backward_accumulate, tape.mutable_value(destination), tape.value(source),
           tape.elements(source.node()));
}

void copy_to_tensor(Tape& tape, const Tensor& destination, const void* host, std::size_t bytes) {
    if (tape.planning()) return;
    copy_to_device(tape.device(), tape.mutable_data(destination).address, host, bytes, tape.stream());
}

void copy_from_tensor(Tape& tape, void* host, const Tensor& source, std::size_t bytes) {
    if (tape.planning()) return;
    copy_from_device(tape.device(), host, tape.data(source).address, bytes, tape.stream());
}

void zero_tensor(Tape& tape, const Tensor& tensor) {
    if (tape.planning()) return;
    const std::size_t bytes =
        static_cast<std::size_t>(tape.elements(tensor.node())) * element_size(tape.element(tensor.node()));
    fill_on_device(tape.device(), tape.mutable_data(tensor).address, 0, bytes, tape.stream());
}
