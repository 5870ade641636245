#include "models/fractal/mar_level.h"

#include <utility>

#include "runtime/device/profile.h"

namespace {

constexpr float epsilon = 1e-6f;

}  // namespace

MarLevel::MarLevel(Parameters& parameters, const std::string& prefix, const FractalConfig& config,
                   std::size_t level)
    : prefix_tokens_(config.conditions(level) + (config.guides(level) ? 1 : 0)),
      length_(prefix_tokens_ + config.tokens(level)),
      width_(config.embed_dim_list[level]),
      neighbours_{config.img_size_list[level] / config.patch_size(level), prefix_tokens_,
                  config.conditions(level + 1), width_},
      mask_token_(&parameters.add(prefix + ".mask_token", {1, 1, width_}, Init::normal)),
      positions_(&parameters.add(prefix + ".pos_embed_learned", {1, length_, width_}, Init::normal)),
      patch_embedding_(parameters, prefix, config, level) {
    const std::int64_t D = width_, C = config.channels;
    const bool guided = config.guides(level);
    const auto add = [&](const std::string& name, std::vector<std::int64_t> shape, Init init) {
        return &parameters.add(prefix + "." + name, std::move(shape), init);
    };
    patch_norm_weight_ = add("patch_emb_ln.weight", {D}, Init::ones);
    patch_norm_bias_ = add("patch_emb_ln.bias", {D}, Init::zeros);
    condition_weight_ = add("cond_emb.weight", {D, config.condition_width(level)}, Init::xavier);
    condition_bias_ = add("cond_emb.bias", {D}, Init::zeros);
    if (guided) {
        pixel_weight_ = add("pix_proj.weight", {D, C}, Init::xavier);
        pixel_bias_ = add("pix_proj.bias", {D}, Init::zeros);
    }
    for (std::int64_t i = 0; i < config.num_blocks_list[level]; ++i)
        blocks_.emplace_back(parameters, prefix + ".blocks." + std::to_string(i), D,
                             config.num_heads_list[level]);
    norm_weight_ = add("norm.weight", {D}, Init::ones);
    norm_bias_ = add("norm.bias", {D}, Init::zeros);
    if (guided)
        guiding_level_ = std::make_unique<PixelLevel>(
            parameters, prefix + ".guiding_pixel_loss", config, config.condition_width(level),
            FractalConfig::guiding_width, FractalConfig::guiding_blocks, FractalConfig::guiding_heads);
}

MarLevel::Prefix MarLevel::prefix(Tape& tape, const Tensor& conditions, const Tensor& guiding_pixel) const {
    return {linear_tokens(tape, conditions, *condition_weight_, condition_bias_),
            guiding_level_ ? linear(tape, guiding_pixel, *pixel_weight_, pixel_bias_) : Tensor()};
}

Tensor MarLevel::forward(Tape& tape, const Tensor& patches, const Prefix& prefix, const Tensor& mask,
                         const Tensor& sequence_ids, const PassRule& rule,
                         GradientReadyListener* listener) const {
    const Tensor tokens = patch_embedding_.forward(tape, patches);
    const Tensor sequence =
        masked_sequence(tape, prefix.guide, prefix.conditions, tokens, mask, *mask_token_, *positions_);
    NormedSum x{layernorm_f32(tape, sequence, *patch_norm_weight_, *patch_norm_bias_, epsilon), {}};
    const Norm last{norm_weight_, norm_bias_, epsilon};
    for (std::size_t i = 0; i < blocks_.size(); ++i) {
        const VitBlock& block = blocks_[i];
        announce_ready(tape, listener, block.behind_norm1().offset);
        const Norm next = i + 1 < blocks_.size() ? blocks_[i + 1].norm1() : last;
        const auto run = [&tape, &block, number = static_cast<int>(i), length = length_,
                          dropout = BlockDropout{rule.dropout, rule.seed, rule.step, sequence_ids.node()}](
                             auto input, const auto... following) {
            const ProfileRange range("block", number);
            return block.forward(tape, std::move(input), length, false, dropout, following...);
        };
        if (rule.recompute)
            x = {recompute(tape, x.sum, sequence_ids, [run](const Tensor& input) { return run(input); }), {}};
        else
            x = run(std::move(x), &next);
    }
    return x.normed ? x.normed : layernorm(tape, x.sum, *norm_weight_, *norm_bias_, epsilon);
}
