#include "models/transformer/vit_block.h"

#include "runtime/tensor/random.h"

VitBlock::VitBlock(Parameters& parameters, const std::string& prefix, std::int64_t width, std::int64_t heads,
                   const VitBlockForm& form)
    : prefix_(prefix), heads_(heads), epsilon_(form.epsilon), quick_gelu_(form.quick_gelu) {
    const std::int64_t D = width, hidden = form.mlp_ratio * D;
    const auto add = [&](const char* name, std::vector<std::int64_t> shape, Init init) {
        return &parameters.add(prefix + "." + name, std::move(shape), init);
    };
    norm1_weight_ = add("norm1.weight", {D}, Init::ones);
    norm1_bias_ = add("norm1.bias", {D}, Init::zeros);
    qkv_weight_ = add("attn.qkv.weight", {3 * D, D}, form.weights);
    if (form.qkv_bias) qkv_bias_ = add("attn.qkv.bias", {3 * D}, Init::zeros);
    proj_weight_ = add("attn.proj.weight", {D, D}, form.weights);
    proj_bias_ = add("attn.proj.bias", {D}, Init::zeros);
    norm2_weight_ = add("norm2.weight", {D}, Init::ones);
    norm2_bias_ = add("norm2.bias", {D}, Init::zeros);
    fc1_weight_ = add("mlp.fc1.weight", {hidden, D}, form.weights);
    fc1_bias_ = add("mlp.fc1.bias", {hidden}, Init::zeros);
    fc2_weight_ = add("mlp.fc2.weight", {D, hidden}, form.weights);
    fc2_bias_ = add("mlp.fc2.bias", {D}, Init::zeros);
}

Tensor VitBlock::forward(Tape& tape, const Tensor& x, std::int64_t length, bool causal,
                         const BlockDropout& dropout) const {
    return forward(tape, NormedSum{x, {}}, length, causal, dropout, nullptr).sum;
}

NormedSum VitBlock::forward(Tape& tape, NormedSum x, std::int64_t length, bool causal,
                            const BlockDropout& dropout, const Norm* next) const {
    const Tensor sum = x.sum;
    const Tensor attended = attend(tape, std::move(x), length, causal, dropout);
    return finish(tape, sum, attended, dropout, next);
}

DropoutRule VitBlock::drop(const BlockDropout& dropout, const char* where) const {
    return {dropout.probability, random_key(dropout.seed, "dropout/" + prefix_ + "." + where), dropout.step,
            dropout.sequence_ids};
}

Tensor VitBlock::attend(Tape& tape, NormedSum x, std::int64_t length, bool causal,
                        const BlockDropout& dropout) const {
    if (!x.normed) x.normed = layernorm(tape, x.sum, *norm1_weight_, *norm1_bias_, epsilon_);
    const Tensor qkv = linear(tape, x.normed, *qkv_weight_, qkv_bias_);
    x.normed = {};
    return attention(tape, qkv, length, heads_, causal, drop(dropout, "attn"));
}

NormedSum VitBlock::finish(Tape& tape, const Tensor& x, const Tensor& attended, const BlockDropout& dropped,
                           const Norm* next) const {
    const auto [h, normed] =
        residual_layernorm(tape, x, linear(tape, attended, *proj_weight_, proj_bias_),
                           drop(dropped, "attn.proj"), *norm2_weight_, *norm2_bias_, epsilon_);
    const Tensor hidden = quick_gelu_ ? quick_gelu(tape, linear(tape, normed, *fc1_weight_, fc1_bias_))
                                      : linear_gelu(tape, normed, *fc1_weight_, *fc1_bias_);
    const Tensor branch =
        linear(tape, dropout(tape, hidden, drop(dropped, "mlp.fc1")), *fc2_weight_, fc2_bias_);
    if (next == nullptr) return {residual(tape, h, branch, drop(dropped, "mlp.fc2")), {}};
    return residual_layernorm(tape, h, branch, drop(dropped, "mlp.fc2"), *next->weight, *next->bias,
                              next->epsilon);
}

PixelSamplerBlock VitBlock::weights() const {
    return {norm1_weight_->value, norm1_bias_->value, qkv_weight_->value,   qkv_bias_->value,
            proj_weight_->value,  proj_bias_->value,  norm2_weight_->value, norm2_bias_->value,
            fc1_weight_->value,   fc1_bias_->value,   fc2_weight_->value,   fc2_bias_->value};
}
