#include "models/fractal/ar_level.h"

#include "runtime/device/profile.h"
#include "runtime/ops/row_ops.h"
#include "runtime/ops/sampling_ops.h"

namespace {

constexpr float layernorm_epsilon = 1e-6f, rmsnorm_epsilon = 1e-5f;

}  // namespace

ArLevel::ArLevel(Parameters& parameters, const std::string& prefix, const FractalConfig& config,
                 std::size_t level, Device device)
    : length_(config.tokens(level)),
      width_(config.embed_dim_list[level]),
      hidden_(config.gated_width(level)),
      heads_(config.num_heads_list[level]),
      rotary_(device, config.img_size_list[level] / config.patch_size(level), width_ / heads_),
      positions_(&parameters.add(prefix + ".pos_embed_learned", {1, length_ + 1, width_}, Init::normal)),
      patch_embedding_(parameters, prefix, config, level) {
    const std::int64_t D = width_, hidden = hidden_;
    const auto add = [&](const std::string& name, std::vector<std::int64_t> shape, Init init,
                         bool adjacent = false) {
        return &parameters.add(prefix + "." + name, std::move(shape), init, adjacent);
    };
    patch_norm_weight_ = add("patch_emb_ln.weight", {D}, Init::ones);
    patch_norm_bias_ = add("patch_emb_ln.bias", {D}, Init::zeros);
    condition_weight_ = add("cond_emb.weight", {D, config.condition_width(level)}, Init::xavier);
    condition_bias_ = add("cond_emb.bias", {D}, Init::zeros);
    for (std::int64_t i = 0; i < config.num_blocks_list[level]; ++i) {
        const std::string name = "blocks." + std::to_string(i) + ".";
        Block block;
        block.wqkv = add(name + "attention.wqkv.weight", {3 * D, D}, Init::xavier);
        block.wo = add(name + "attention.wo.weight", {D, D}, Init::xavier);
        block.w1 = add(name + "feed_forward.w1.weight", {hidden, D}, Init::xavier);
        block.w3 = add(name + "feed_forward.w3.weight", {hidden, D}, Init::xavier, true);
        block.w2 = add(name + "feed_forward.w2.weight", {D, hidden}, Init::xavier);
        block.attention_norm = add(name + "attention_norm.weight", {D}, Init::ones);
        block.ffn_norm = add(name + "ffn_norm.weight", {D}, Init::ones);
        block.attention_purpose = "dropout/" + prefix + "." + name + "attention";
        block.feed_forward_purpose = "dropout/" + prefix + "." + name + "feed_forward";
        blocks_.push_back(std::move(block));
    }
    norm_weight_ = add("norm.weight", {D}, Init::ones);
    norm_bias_ = add("norm.bias", {D}, Init::zeros);
}

Tensor ArLevel::forward(Tape& tape, const Tensor& patches, const Tensor& condition,
                        const Tensor& sequence_ids, const PassRule& rule,
                        GradientReadyListener* listener) const {
    const Tensor tokens = patch_embedding_.forward(tape, drop_last_token(tape, patches, length_));
    const Tensor first = linear(tape, condition, *condition_weight_, condition_bias_);
    Tensor x = level_sequence(tape, first, tokens, *positions_, length_);
    x = layernorm_f32(tape, x, *patch_norm_weight_, *patch_norm_bias_, layernorm_epsilon);
    for (const Block& block : blocks_) {
        announce_ready(tape, listener, block.wqkv->offset);
        const int number = static_cast<int>(&block - blocks_.data());
        const auto run = [this, &tape, &block, number, sequence_ids = sequence_ids.node(),
                          rule](const Tensor& input) {
            const ProfileRange range("block", number);
            return block_forward(tape, block, input, sequence_ids, rule);
        };
        x = rule.recompute ? recompute(tape, x, sequence_ids, run) : run(x);
    }
    return layernorm(tape, x, *norm_weight_, *norm_bias_, layernorm_epsilon);
}

Tensor ArLevel::block_forward(Tape& tape, const Block& block, const Tensor& x, NodeId sequence_ids,
                              const PassRule& rule) const {
    const auto dropout = [&](const std::string& purpose) {
        return DropoutRule{rule.dropout, random_key(rule.seed, purpose), rule.step, sequence_ids};
    };
    const Tensor qkv =
        linear(tape, rmsnorm(tape, x, *block.attention_norm, rmsnorm_epsilon), *block.wqkv, nullptr);
    rotary(tape, qkv, rotary_, length_, heads_, 0);
    const Tensor attended = attention(tape, qkv, length_, heads_, true, {});
    const auto [h, normed] =
        residual_rmsnorm(tape, x, linear(tape, attended, *block.wo, nullptr),
                         dropout(block.attention_purpose), *block.ffn_norm, rmsnorm_epsilon);
    return residual(tape, h, feed_forward(tape, block, normed), dropout(block.feed_forward_purpose));
}

Tensor ArLevel::feed_forward(Tape& tape, const Block& block, const Tensor& normed) const {
    const Tensor gate_up = linear_pair(tape, normed, *block.w1, *block.w3);
    return linear(tape, gated_silu(tape, gate_up), *block.w2, nullptr);
}

ArLevel::Cache ArLevel::create_cache(Tape& tape, std::int64_t rows) const {
    Cache cache;
    for (std::size_t i = 0; i < blocks_.size(); ++i) {
        cache.keys.push_back(tape.create(rows, length_ * width_, false, tape.activation()));
        cache.values.push_back(tape.create(rows, length_ * width_, false, tape.activation()));
    }
    return cache;
}

ArLevel::Packed ArLevel::pack_for_sampling(Tape& tape) const {
    Packed packed{patch_embedding_.pack_for_sampling(tape),
                  pack_linear(tape, *condition_weight_, condition_bias_, width_),
                  {}};
    for (const Block& block : blocks_)
        packed.blocks.push_back({pack_linear(tape, *block.wqkv, nullptr, 3 * width_),
                                 pack_linear(tape, *block.wo, nullptr, width_),
                                 pack_linear(tape, *block.w1, nullptr, 2 * hidden_),
                                 pack_linear(tape, *block.w2, nullptr, width_)});
    return packed;
}

Tensor ArLevel::step(Tape& tape, std::int64_t t, const Tensor& condition, const Tensor& previous_patch,
                     const Packed& packed, const Cache& cache) const {
    const Tensor previous = patch_embedding_.inputs(tape, previous_patch);  // at every step, as planned
    Tensor x = t == 0 ? packed_linear(tape, condition, packed.condition)
                      : packed_linear(tape, previous, packed.patch);
    x = add_position(tape, x, *positions_, t);
    x = layernorm_f32(tape, x, *patch_norm_weight_, *patch_norm_bias_, layernorm_epsilon);
    for (std::size_t i = 0; i < blocks_.size(); ++i) {
        const ProfileRange range("block", static_cast<int>(i));
        const Block& block = blocks_[i];
        const PackedBlock& weights = packed.blocks[i];
        const Tensor qkv =
            packed_linear(tape, rmsnorm(tape, x, *block.attention_norm, rmsnorm_epsilon), weights.wqkv);
        rotary(tape, qkv, rotary_, 1, heads_, t);
        const Tensor attended =
            attention_decode(tape, qkv, cache.keys[i], cache.values[i], heads_, t, length_);
        const auto [h, normed] = residual_rmsnorm(tape, x, packed_linear(tape, attended, weights.wo), {},
                                                  *block.ffn_norm, rmsnorm_epsilon);
        const Tensor gate_up = packed_linear(tape, normed, weights.w13);
        x = residual(tape, h, packed_linear(tape, gated_silu(tape, gate_up), weights.w2), {});
    }
    return layernorm(tape, x, *norm_weight_, *norm_bias_, layernorm_epsilon);
}
