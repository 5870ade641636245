// Differentiable operations: each op calls the kernels of the tape's device (launch.h) and, while the tape
// records, records a closure that calls their backward kernels.
//
// A tensor is [rows, width]; rows of several sequences follow each other (sequence-major). Its elements are
// activations, in the tape's precision (fp32 or bf16) unless stated otherwise; the residual stream (outputs
// of the token sequences, residual and layernorm_f32, inputs of norms) is always fp32. Parameter gradients
// accumulate. Shapes that do not fit throw std::logic_error; nothing else is thrown.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "kernels/common/philox.h"
#include "runtime/ops/residual_ops.h"
#include "runtime/tensor/parameters.h"
#include "runtime/tensor/tape.h"

// y [rows, N] = x [rows, K] W^T + b; W [N, K] (or [N, K, 1, 1], a 1 x 1 convolution of maps), b [N] or null.
Tensor linear(Tape& tape, const Tensor& x, const Parameter& weight, const Parameter* bias);
// The same for each of the tokens that lie side by side in a row: x [rows, G K] -> [rows, G N].
Tensor linear_tokens(Tape& tape, const Tensor& x, const Parameter& weight, const Parameter* bias);
// [x W1^T, x W2^T] side by side in one product; the two weights [N, K] must lie next to each other
// (Parameters::add).
Tensor linear_pair(Tape& tape, const Tensor& x, const Parameter& first, const Parameter& second);
// gelu(x W^T + b), exact.
Tensor linear_gelu(Tape& tape, const Tensor& x, const Parameter& weight, const Parameter& bias);
// x / (1 + e^(-1.702 x)).
Tensor quick_gelu(Tape& tape, const Tensor& x);

// silu(a) * b for rows that hold a then b: [rows, 2 H] -> [rows, H].
Tensor gated_silu(Tape& tape, const Tensor& gate_up);
// Cosines and sines of the 2-D rotary embedding for the condition token and a grid of grid x grid tokens: two
// tables [1 + grid^2, head_dim / 2].
struct RotaryTable {
    RotaryTable(Device device, std::int64_t grid, std::int64_t head_dim);
    const float* cosine() const { return reinterpret_cast<const float*>(memory_.data()); }
    const float* sine() const { return cosine() + rows_ * half_; }

  private:
    std::int64_t rows_, half_;
    Memory memory_;
};
// Rotates q and k of qkv [sequences * length, 3 D] in place; the first token has table row `first_position`.
void rotary(Tape& tape, const Tensor& qkv, const RotaryTable& table, std::int64_t length, std::int64_t heads,
            std::int64_t first_position);
// softmax(q k^T / sqrt(head_dim)) v per sequence and head: qkv [sequences * length, 3 D] -> [sequences *
// length, D].
Tensor attention(Tape& tape, const Tensor& qkv, std::int64_t length, std::int64_t heads, bool causal,
                 const DropoutRule& dropout);
// Rows of a table [vocabulary, D] by `ids` int32 [rows, n], side by side: [rows, n D]; the table starts with
// `table` and may go on in adjacent parameters.
Tensor embedding(Tape& tape, const Tensor& ids, const Parameter& table, std::int64_t vocabulary);
// [condition, tokens...] + positions: condition [M, D] and tokens [M * (length - 1), D] -> [M * length, D].
Tensor level_sequence(Tape& tape, const Tensor& condition, const Tensor& tokens, const Parameter& positions,
                      std::int64_t length);
// [condition, codebook_0[v_0], codebook_1[v_1], ...] for pixels with values int32 [N, C]: condition [N, W] ->
// [N * C, W]; the last channel's value is the input of no output and is left out.
Tensor pixel_sequence(Tape& tape, const Tensor& condition, const Tensor& values,
                      std::span<const Parameter* const> codebooks);

// Logits of one channel, x[:, channel] . codebook^T + bias, for x [N * C, W]: [N, 256]. Not recorded.
Tensor channel_logits(Tape& tape, const Tensor& x, std::int64_t channels, std::int64_t channel,
                      const Parameter& codebook, const Parameter& bias);
// Cross-entropy of all channels of x [N * C, W] against values int32 [N, C], tied codebooks. Adds the sum
// over pixels of channel c to totals[c] (double [1, C]). While recording, the gradient of sum_c scales[c] *
// (that sum) is left in x and in the parameters at once: the logits of one channel at a time are stored, and
// only during this call.
void pixel_cross_entropy(Tape& tape, const Tensor& x, const Tensor& values,
                         std::span<const Parameter* const> codebooks,
                         std::span<const Parameter* const> biases, std::span<const float> scales,
                         const Tensor& totals);

// x itself or, if the tape's activations are bf16 and x is fp32, a copy in bf16.
Tensor as_activation(Tape& tape, const Tensor& x);
// x itself or, if it is bf16, a copy in fp32: the input type of norms.
Tensor to_f32(Tape& tape, const Tensor& x);
// destination += source. Not recorded.
void add_tensor(Tape& tape, const Tensor& destination, const Tensor& source);
// Copies to and from the host.
void copy_to_tensor(Tape& tape, const Tensor& destination, const void* host, std::size_t bytes);
void copy_from_tensor(Tape& tape, void* host, const Tensor& source, std::size_t bytes);
// The host's values in `rows` rows.
template <class T>
Tensor device_copy(Tape& tape, const std::vector<T>& values, std::int64_t rows) {
    const Tensor tensor =
        tape.create(rows, static_cast<std::int64_t>(values.size()) / rows, false, element_of<T>);
    copy_to_tensor(tape, tensor, values.data(), values.size() * sizeof(T));
    return tensor;
}
void zero_tensor(Tape& tape, const Tensor& tensor);
