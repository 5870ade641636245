#include "models/fractal/mar_level.h"

#include <utility>

#include "runtime/device/profile.h"
#include "runtime/ops/mar_level_ops.h"

namespace {

constexpr float epsilon = 1e-6f;

}  // namespace

MarLevel::MarLevel(Parameters& parameters, const std::string& prefix, const FractalConfig& config,
                   std::size_t level)
    : inputs_(config.channels * config.patch_size(level) * config.patch_size(level)),
      conditions_(config.conditions(level)),
      heads_(config.num_heads_list[level]),
      of_codes_(config.of_codes()),
      prefix_tokens_(config.conditions(level) + (config.guides(level) ? 1 : 0)),
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

Tensor MarLevel::sequence(Tape& tape, const Tensor& patches, const Prefix& prefix, const Tensor& mask) const {
    const Tensor tokens = patch_embedding_.forward(tape, patches);
    const Tensor x =
        masked_sequence(tape, prefix.guide, prefix.conditions, tokens, mask, *mask_token_, *positions_);
    return layernorm_f32(tape, x, *patch_norm_weight_, *patch_norm_bias_, epsilon);
}

Tensor MarLevel::forward(Tape& tape, const Tensor& patches, const Prefix& prefix, const Tensor& mask,
                         const Tensor& sequence_ids, const PassRule& rule,
                         GradientReadyListener* listener) const {
    NormedSum x{sequence(tape, patches, prefix, mask), {}};
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

MarLevel::LastAttention MarLevel::attend(Tape& tape, const Tensor& patches, const Prefix& prefix,
                                         const Tensor& mask) const {
    NormedSum x{sequence(tape, patches, prefix, mask), {}};
    const std::size_t last = blocks_.size() - 1;
    for (std::size_t i = 0; i < last; ++i) {
        const ProfileRange range("block", static_cast<int>(i));
        const Norm next = blocks_[i + 1].norm1();
        x = blocks_[i].forward(tape, std::move(x), length_, false, {}, &next);
    }
    const ProfileRange range("block", static_cast<int>(last));
    const Tensor sum = x.sum;
    return {sum, blocks_[last].attend(tape, std::move(x), length_, false, {})};
}

Tensor MarLevel::next_conditions(Tape& tape, const LastAttention& last, const Tensor& selected) const {
    const ProfileRange range("block", static_cast<int>(blocks_.size()) - 1);
    const auto [x, attended] = neighbour_rows(tape, last.x, last.attended, selected, neighbours_);
    const Norm norm{norm_weight_, norm_bias_, epsilon};
    return join_neighbours(tape, blocks_.back().finish(tape, x, attended, {}, &norm).normed, selected,
                           neighbours_);
}

MarLevelShape MarLevel::kernel_shape(std::int64_t sequences) const {
    return {sequences,     length_ - prefix_tokens_,
            conditions_,   guiding_level_ != nullptr,
            width_,        static_cast<std::int64_t>(blocks_.size()),
            heads_,        inputs_,
            neighbours_.n, 0};
}

// In one kernel a step takes some 20 us for as many sequences as the device runs at once; as kernels one after
// another 1 to 2 us for each of about 40, whatever the sequences. So up to two turns.
bool MarLevel::fits_one_kernel(const Tape& tape, std::int64_t sequences) const {
    constexpr std::int64_t most_turns = 2;
    return !of_codes_ && sequences <= most_turns * resident_mar_levels(tape, kernel_shape(sequences));
}

Tensor MarLevel::pack_for_sampling(Tape& tape) const {
    std::vector<PixelSamplerBlock> blocks;
    for (const VitBlock& block : blocks_) blocks.push_back(block.weights());
    const auto [patch_weight, patch_bias] = patch_embedding_.weights();
    return pack_mar_level(
        tape,
        {patch_weight, patch_bias, mask_token_->value, positions_->value, patch_norm_weight_->value,
         patch_norm_bias_->value, norm_weight_->value, norm_bias_->value, blocks.data()},
        kernel_shape(0));
}

Tensor MarLevel::sampling_conditions(Tape& tape, const Tensor& patches, const Prefix& prefix,
                                     const Tensor& mask, const Tensor& selected, const Tensor& packed) const {
    return mar_level_in_one_kernel(tape, patches, prefix.conditions, prefix.guide, mask, selected, packed,
                                   kernel_shape(mask.rows()));
}
