#include "models/nat/transformer.h"

#include <algorithm>
#include <stdexcept>
#include <utility>

#include "runtime/base/error.h"
#include "runtime/device/profile.h"
#include "runtime/ops/ops.h"
#include "runtime/ops/row_ops.h"
#include "runtime/tensor/random.h"

namespace {

constexpr float embedding_epsilon = 1e-6f, epsilon = 1e-5f;

// Masked tokens of a chunk's images: the ids with [MASK] in them, patch by patch; the trunk's outputs at the
// patches with masked tokens, and for each masked token its index among the tokens of these patches and its
// code.
struct HiddenTokens {
    std::vector<std::int32_t> ids, patches, places, codes;
};

// Places of an image's tokens in the order of patches, raster order again where a patch is one token.
std::vector<std::size_t> raster_of_places(const NatConfig& config) {
    const std::int64_t side = config.img_size, p = config.patch_size;
    std::vector<std::size_t> raster;
    for (std::int64_t patch = 0; patch < config.patches(); ++patch)
        for (std::int64_t token = 0; token < p * p; ++token) {
            const std::int64_t row = patch / (side / p) * p + token / p,
                               column = patch % (side / p) * p + token % p;
            raster.push_back(static_cast<std::size_t>(row * side + column));
        }
    return raster;
}

HiddenTokens hide(const NatConfig& config, const NatBatch& batch) {
    HiddenTokens hidden;
    const std::vector<std::size_t> raster = raster_of_places(config);
    const auto per_patch = static_cast<std::size_t>(config.patch_tokens());
    const auto sequence = static_cast<std::size_t>(config.sequence()),
               first = static_cast<std::size_t>(config.context_places());
    for (std::size_t m = 0; m < batch.samples.size(); ++m)
        for (std::size_t place = 0; place < raster.size(); ++place) {
            const std::size_t t = m * raster.size() + raster[place];
            hidden.ids.push_back(batch.mask[t] != 0 ? config.mask_id() : batch.tokens[t]);
            if (batch.mask[t] == 0) continue;
            const auto row = static_cast<std::int32_t>(m * sequence + first + place / per_patch);
            if (hidden.patches.empty() || hidden.patches.back() != row) hidden.patches.push_back(row);
            hidden.places.push_back(
                static_cast<std::int32_t>((hidden.patches.size() - 1) * per_patch + place % per_patch));
            hidden.codes.push_back(batch.tokens[t]);
        }
    return hidden;
}

template <class T>
Tensor on_device(Tape& tape, std::int64_t rows, std::int64_t width, std::span<const T> values) {
    const Tensor tensor = tape.create(rows, width, false, element_of<T>);
    copy_to_tensor(tape, tensor, values.data(), values.size_bytes());
    return tensor;
}

NatBatch part_of(const NatBatch& batch, std::int64_t begin, std::int64_t count) {
    // Of values that are there for every image, or for none.
    const auto part = [&]<class T>(std::span<const T> values) {
        const std::size_t each = values.size() / batch.samples.size();
        return values.subspan(static_cast<std::size_t>(begin) * each, static_cast<std::size_t>(count) * each);
    };
    return {part(batch.tokens),
            {part(batch.contexts.ids), part(batch.contexts.features)},
            part(batch.mask),
            part(batch.samples)};
}

}  // namespace

NatTransformer::NatTransformer(const NatConfig& config, Backend backend)
    : config_(config), backend_(backend) {
    const std::int64_t D = config.embed_dim, K = config.codebook_size;
    const auto add = [&](const std::string& name, std::vector<std::int64_t> shape, Init init) {
        return &parameters_.add(name, std::move(shape), init);
    };
    // First, since its gradients are the last to be final.
    if (config.text_encoder) {
        own_encoder_ =
            std::make_unique<TextEncoder>(*config.text_encoder, backend, parameters_, "text_encoder.");
        encoder_ = own_encoder_.get();
    }
    words_ = add("token_emb.word_embeddings.weight", {K + 1, D}, Init::normal);
    positions_ = add("token_emb.position_embeddings.weight", {config.patches(), D}, Init::normal);
    embedding_norm_weight_ = add("token_emb.LayerNorm.weight", {D}, Init::ones);
    embedding_norm_bias_ = add("token_emb.LayerNorm.bias", {D}, Init::zeros);
    if (config.patch_size > 1) {
        merge_weight_ = add("patch_merge.weight", {D, config.patch_tokens() * D}, Init::normal);
        merge_bias_ = add("patch_merge.bias", {D}, Init::zeros);
    }
    if (config.takes_texts()) {
        text_weight_ = add("context_embed.weight", {D, config.clip_dim}, Init::normal);
        text_bias_ = add("context_embed.bias", {D}, Init::zeros);
    } else {
        contexts_ = add("context_embed.word_embeddings.weight", {config.num_classes, D}, Init::normal);
        context_position_ = add("context_embed.position_embeddings.weight", {1, D}, Init::normal);
        context_norm_weight_ = add("context_embed.LayerNorm.weight", {D}, Init::ones);
        context_norm_bias_ = add("context_embed.LayerNorm.bias", {D}, Init::zeros);
    }
    const VitBlockForm form{epsilon, config.qkv_bias, config.mlp_ratio, Init::normal};
    const auto block = [&](const std::string& name) {
        return VitBlock(parameters_, name, D, config.num_heads, form);
    };
    for (std::int64_t i = 0; i < config.depth / 2; ++i)
        in_blocks_.push_back(block("in_blocks." + std::to_string(i)));
    mid_block_ = std::make_unique<VitBlock>(block("mid_block"));
    for (std::int64_t i = 0; i < config.depth / 2; ++i) {
        const std::string name = "out_blocks." + std::to_string(i);
        OutBlock& out = out_blocks_.emplace_back(OutBlock{block(name), nullptr, nullptr});
        if (!config.skip) continue;
        out.skip_weight = add(name + ".skip_linear.weight", {D, 2 * D}, Init::normal);
        out.skip_bias = add(name + ".skip_linear.bias", {D}, Init::zeros);
    }
    norm_weight_ = add("norm.weight", {D}, Init::ones);
    norm_bias_ = add("norm.bias", {D}, Init::zeros);
    head_bias_ = add("mlm_layer.bias", {1, 1, K + 1}, Init::zeros);
    head_weight_ = add("mlm_layer.fc.weight", {config.patch_tokens() * D, D}, Init::normal);
    head_fc_bias_ = add("mlm_layer.fc.bias", {config.patch_tokens() * D}, Init::zeros);
    head_norm_weight_ = add("mlm_layer.ln.weight", {D}, Init::ones);
    head_norm_bias_ = add("mlm_layer.ln.bias", {D}, Init::zeros);
}

std::int64_t NatTransformer::default_chunk() const {
    return std::max<std::int64_t>(1, tokens_at_once(backend_) / config_.sequence());
}

void NatTransformer::use_encoder(const TextEncoder& encoder) {
    const TextConfig& text = encoder.config();
    if (config_.text_encoder) fail_usage("the transformer has a text encoder of its own");
    if (!config_.takes_texts()) fail_usage("the transformer takes classes, no texts");
    if (text.width != config_.clip_dim || text.context_length != config_.num_clip_token)
        fail_usage("the text encoder makes {} features of width {}, the transformer takes {} of {}",
                   text.context_length, text.width, config_.num_clip_token, config_.clip_dim);
    encoder_ = &encoder;
}

Tensor NatTransformer::text_features(Tape& tape, const NatContexts& contexts, std::int64_t B) const {
    if (!contexts.features.empty())
        return on_device(tape, B * config_.num_clip_token, config_.clip_dim, contexts.features);
    if (encoder_ == nullptr) throw std::logic_error("NatTransformer: texts without a text encoder");
    const Tensor ids = on_device(tape, B, config_.num_clip_token, contexts.ids);
    if (own_encoder_) return own_encoder_->forward(tape, ids);
    const bool recording = tape.recording();
    tape.set_recording(false);
    const Tensor features = encoder_->forward(tape, ids);
    tape.set_recording(recording);
    return features;
}

Tensor NatTransformer::embed_contexts(Tape& tape, const NatContexts& contexts, std::int64_t B) const {
    const ProfileRange range("contexts", 0);
    if (config_.takes_texts())
        return to_f32(tape, linear(tape, text_features(tape, contexts, B), *text_weight_, text_bias_));
    const Tensor classes =
        embedding(tape, on_device(tape, B, 1, contexts.ids), *contexts_, config_.num_classes);
    return layernorm_f32(tape, add_positions(tape, classes, *context_position_), *context_norm_weight_,
                         *context_norm_bias_, embedding_epsilon);
}

Tensor NatTransformer::embedded(Tape& tape, const Tensor& ids, const Tensor& contexts,
                                const Tensor& sequence_ids, const NatPass& rule) const {
    Tensor words = embedding(tape, ids, *words_, config_.codebook_size + 1);
    if (merge_weight_ != nullptr) words = linear(tape, words, *merge_weight_, merge_bias_);
    const Tensor tokens = layernorm_f32(tape, add_positions(tape, words, *positions_),
                                        *embedding_norm_weight_, *embedding_norm_bias_, embedding_epsilon);
    const DropoutRule dropped{rule.dropout, random_key(rule.seed, "dropout/token_emb"), rule.step,
                              rule.dropout > 0 ? sequence_ids.node() : -1};
    return prepend_tokens(tape, contexts, dropout(tape, tokens, dropped), tokens.rows() / config_.patches());
}

Tensor NatTransformer::trunk(Tape& tape, Tensor x, const Tensor& sequence_ids, const NatPass& rule,
                             GradientReadyListener* listener) const {
    const std::int64_t length = config_.sequence();
    int number = 0;
    NormedSum state{std::move(x), {}};
    // `next`: the block that reads the result as it is, if there is one.
    const auto run = [&](const VitBlock& block, const VitBlock* next) {
        const auto forward = [&tape, &block, number = number++, length](auto from, const auto... norm) {
            const ProfileRange range("block", number);
            return block.forward(tape, std::move(from), length, false, {}, norm...);
        };
        if (rule.recompute) {
            const auto alone = [forward](const Tensor& from) { return forward(from); };
            state = {recompute(tape, state.sum, sequence_ids, alone), {}};
        } else {
            const Norm norm = next != nullptr ? next->norm1() : Norm();
            state = forward(std::move(state), next != nullptr ? &norm : nullptr);
        }
    };
    std::vector<Tensor> skips;
    for (std::size_t i = 0; i < in_blocks_.size(); ++i) {
        announce_ready(tape, listener, in_blocks_[i].behind_norm1().offset);
        run(in_blocks_[i], i + 1 < in_blocks_.size() ? &in_blocks_[i + 1] : mid_block_.get());
        skips.push_back(state.sum);
    }
    const auto after = [&](std::size_t out) {
        return config_.skip || out == out_blocks_.size() ? nullptr : &out_blocks_[out].block;
    };
    announce_ready(tape, listener, mid_block_->behind_norm1().offset);
    run(*mid_block_, after(0));
    for (std::size_t i = 0; i < out_blocks_.size(); ++i) {
        const OutBlock& out = out_blocks_[i];
        announce_ready(tape, listener, out.block.behind_norm1().offset);
        if (config_.skip) {
            state.sum = to_f32(tape, linear(tape, join_columns(tape, state.sum, skips.back()),
                                            *out.skip_weight, out.skip_bias));
        }
        skips.pop_back();
        run(out.block, after(i + 1));
    }
    return state.sum;
}

Tensor NatTransformer::head_hidden(Tape& tape, const Tensor& x) const {
    const Tensor normed = layernorm(tape, x, *norm_weight_, *norm_bias_, epsilon);
    return to_f32(tape, linear_gelu(tape, normed, *head_weight_, *head_fc_bias_));
}

Tensor NatTransformer::forward(Tape& tape, const Tensor& ids, const Tensor& contexts,
                               const NatPass& rule) const {
    if (tape.recording()) throw std::logic_error("NatTransformer::forward is not differentiable");
    const std::int64_t side = config_.img_size, p = config_.patch_size;
    const Tensor in_patches = p > 1 ? ids_to_patches(tape, ids, side, p) : ids;
    const Tensor x = trunk(tape, embedded(tape, in_patches, contexts, {}, rule), {}, rule, nullptr);
    const Tensor of_patches =
        head_hidden(tape, drop_first_tokens(tape, x, config_.sequence(), config_.context_places()));
    const Tensor hidden = p > 1 ? patches_to_raster(tape, of_patches, side, p) : of_patches;
    return tied_logits(tape, layernorm_f32(tape, hidden, *head_norm_weight_, *head_norm_bias_, epsilon),
                       *words_, *head_bias_, config_.codebook_size);
}

void NatTransformer::loss(Tape& tape, const NatBatch& batch, const SmoothedLoss& rule, const Tensor& total,
                          const NatPass& pass, std::int64_t chunk, GradientReadyListener* listener,
                          const std::function<void(double share)>& progress) const {
    const auto images = static_cast<std::int64_t>(batch.samples.size());
    tape.arena().loop((images + chunk - 1) / chunk, [&](std::int64_t i) {
        const std::int64_t begin = i * chunk, count = std::min(chunk, images - begin);
        const NatBatch part =
            tape.planning()
                ? NatBatch{{}, batch.contexts, {}, batch.samples.first(static_cast<std::size_t>(count))}
                : part_of(batch, begin, count);
        // A backward pass takes twice as long as the forward pass before it.
        const auto report = [&](double part_done) {
            if (progress && !tape.planning())
                progress((static_cast<double>(begin) + part_done * static_cast<double>(count)) /
                         static_cast<double>(images));
        };
        report(0);
        const std::size_t mark = tape.mark();
        chunk_loss(tape, part, rule, total, pass, begin + count == images ? listener : nullptr);
        report(1.0 / 3);
        if (tape.recording()) tape.backward(mark);
    });
}

void NatTransformer::chunk_loss(Tape& tape, const NatBatch& batch, const SmoothedLoss& rule,
                                const Tensor& total, const NatPass& pass,
                                GradientReadyListener* listener) const {
    const auto M = static_cast<std::int64_t>(batch.samples.size()), N = config_.tokens();
    const HiddenTokens hidden = tape.planning() ? HiddenTokens() : hide(config_, batch);
    const std::int64_t P = config_.patches(), p2 = config_.patch_tokens(),
                       n = tape.planning() ? M * N : static_cast<std::int64_t>(hidden.codes.size()),
                       hiding = tape.planning() ? M * P : static_cast<std::int64_t>(hidden.patches.size());
    const Tensor ids = on_device<std::int32_t>(tape, M * P, p2, hidden.ids),
                 patches = on_device<std::int32_t>(tape, hiding, 1, hidden.patches),
                 places = on_device<std::int32_t>(tape, n, 1, hidden.places),
                 codes = on_device<std::int32_t>(tape, n, 1, hidden.codes),
                 sequence_ids = on_device<std::int64_t>(tape, M, 1, batch.samples);
    const Tensor contexts = embed_contexts(tape, batch.contexts, M),
                 x = trunk(tape, embedded(tape, ids, contexts, sequence_ids, pass), sequence_ids, pass,
                           listener);
    announce_ready(tape, listener, norm_weight_->offset);
    Tensor compared = head_hidden(tape, select_rows(tape, x, patches, config_.embed_dim));
    if (p2 > 1) compared = select_rows(tape, compared, places, config_.embed_dim);
    compared = layernorm(tape, compared, *head_norm_weight_, *head_norm_bias_, epsilon);
    tied_cross_entropy(tape, compared, codes, *words_, *head_bias_, config_.codebook_size, rule, total);
}
