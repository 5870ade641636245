#include "models/text/text_encoder.h"

#include "runtime/device/profile.h"
#include "runtime/ops/ops.h"
#include "runtime/ops/token_ops.h"

namespace {

constexpr float epsilon = 1e-5f;

}  // namespace

TextEncoder::TextEncoder(const TextConfig& config, Backend backend)
    : TextEncoder(config, backend, own_parameters_, "") {}

TextEncoder::TextEncoder(const TextConfig& config, Backend backend, Parameters& parameters,
                         const std::string& prefix)
    : config_(config), backend_(backend) {
    const std::int64_t W = config.width;
    const VitBlockForm form{epsilon, true, config.mlp_ratio, Init::normal, config.quick_gelu};
    const auto add = [&](const char* name, std::vector<std::int64_t> shape, Init init) {
        return &parameters.add(prefix + name, std::move(shape), init);
    };
    // CLIP starts its embeddings at 0.02, below what the first blocks add: every feature is then nearly the average of
    // the words so far, and one word of a caption is learned late or never by a small encoder.
    tokens_ = add("token_embedding.weight", {config.vocab_size, W}, Init::unit_normal);
    positions_ = add("positional_embedding", {config.context_length, W}, Init::normal);
    for (std::int64_t i = 0; i < config.layers; ++i)
        blocks_.emplace_back(parameters, prefix + "blocks." + std::to_string(i), W, config.heads, form);
    norm_weight_ = add("norm.weight", {W}, Init::ones);
    norm_bias_ = add("norm.bias", {W}, Init::zeros);
}

Tensor TextEncoder::forward(Tape& tape, const Tensor& ids) const {
    Tensor x = add_positions(tape, embedding(tape, ids, *tokens_, config_.vocab_size), *positions_);
    for (const VitBlock& block : blocks_) {
        const ProfileRange range("text block", static_cast<int>(&block - blocks_.data()));
        x = block.forward(tape, x, config_.context_length, true, {});
    }
    return layernorm_f32(tape, x, *norm_weight_, *norm_bias_, epsilon);
}
