// The masked-token transformer: a context, which is a class or the features of a text, and the tokens of an
// image, some of them masked, are the input of a U-ViT; the logits at the masked positions are inner products
// of its outputs and the codes' embeddings.
//
// Source: Ni et al., "Revisiting Non-Autoregressive Transformers for Efficient Image Synthesis" (2024, arXiv
// 2406.05478), section 3 and its release; Bao et al., "All are Worth Words" (2023, arXiv 2209.12152), whose
// text-to-image model embeds every feature of the text by one linear map.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "models/nat/config.h"
#include "models/text/text_encoder.h"
#include "models/transformer/vit_block.h"
#include "runtime/ops/token_ops.h"
#include "runtime/tensor/gradient_listener.h"
#include "runtime/tensor/parameters.h"
#include "runtime/tensor/tape.h"

// Settings of one pass, besides its inputs.
struct NatPass {
    float dropout = 0;       // of the tokens' embeddings
    bool recompute = false;  // keep only each block's input for the backward pass
    std::uint64_t seed = 0;
    std::uint32_t step = 0;
};

// What B images are conditioned on, on the host.
struct NatContexts {
    // Classes, or no_class(), [B]; of texts, ids for the text encoder, [B, num_clip_token].
    std::span<const std::int32_t> ids;
    // Features of texts, in place of their ids: fp32 [B, num_clip_token, clip_dim].
    std::span<const float> features = {};
};

// A batch of B images of N tokens, on the host.
struct NatBatch {
    std::span<const std::int32_t> tokens;  // [B, N], the codes, also where they are hidden
    NatContexts contexts;
    std::span<const std::uint8_t> mask;     // [B, N], 1: hidden, and predicted; at least one of each image
    std::span<const std::int64_t> samples;  // [B], ids of the images, for dropout
};

class NatTransformer {
  public:
    NatTransformer(const NatConfig& config, Backend backend);
    NatTransformer(const NatTransformer&) = delete;

    const NatConfig& config() const { return config_; }
    Backend backend() const { return backend_; }
    Parameters& parameters() { return parameters_; }
    const Parameters& parameters() const { return parameters_; }

    // The encoder of its texts' ids: its own, or the one of use_encoder(), which is not trained with it and must
    // stay; null if there is none, as for a model of classes.
    const TextEncoder* encoder() const { return encoder_; }
    // Throws UsageError for an encoder whose features the model does not take.
    void use_encoder(const TextEncoder& encoder);

    // The places of the sequence that B contexts are: fp32 [B * context_places(), D]. Differentiable, but for the
    // part of an encoder that is not the model's own.
    Tensor embed_contexts(Tape& tape, const NatContexts& contexts, std::int64_t B) const;

    // Logits fp32 [B * N, K] of all tokens, in raster order: ids int32 [B, N], mask_id() where hidden;
    // contexts as embed_contexts() gives them. Not differentiable; no synchronisation with the host. The head
    // is computed in fp32 in either precision.
    Tensor forward(Tape& tape, const Tensor& ids, const Tensor& contexts, const NatPass& rule) const;

    // Adds the cross-entropy at the hidden tokens of the batch to `total` (double [1, 1]), `chunk` images at
    // a time. While the tape records, the gradient of loss.scale * (that sum) is added to the parameters'
    // gradients, and nothing stays on the tape. While planning, only the length of `samples` is read, and
    // whether there are features; the plan holds for all masks. `listener`, null while planning, is called when
    // gradients are final.
    // `progress`, not called while planning, receives the share of the batch that is done.
    void loss(Tape& tape, const NatBatch& batch, const SmoothedLoss& rule, const Tensor& total,
              const NatPass& pass, std::int64_t chunk, GradientReadyListener* listener = nullptr,
              const std::function<void(double share)>& progress = {}) const;

    // Images of about 2,048 places of the sequence on the CPU, whose activations stay in its larger caches;
    // 65,536 on the GPU, enough to occupy it.
    std::int64_t default_chunk() const;

  private:
    // A block behind the middle, and how its input and the output of a block before the middle become one.
    struct OutBlock {
        VitBlock block;
        const Parameter *skip_weight, *skip_bias;
    };

    Tensor text_features(Tape& tape, const NatContexts& contexts, std::int64_t B) const;
    // ids [M * patches, p^2], patch by patch.
    Tensor embedded(Tape& tape, const Tensor& ids, const Tensor& contexts, const Tensor& sequence_ids,
                    const NatPass& rule) const;
    // `sequence_ids`: kept for recomputation, or none.
    Tensor trunk(Tape& tape, Tensor x, const Tensor& sequence_ids, const NatPass& rule,
                 GradientReadyListener* listener) const;
    void chunk_loss(Tape& tape, const NatBatch& batch, const SmoothedLoss& rule, const Tensor& total,
                    const NatPass& pass, GradientReadyListener* listener) const;
    // From outputs of the trunk to the inputs of the logits' product, except for the last norm: fp32 [n, D],
    // of patches [n, D p^2].
    Tensor head_hidden(Tape& tape, const Tensor& x) const;

    NatConfig config_;
    Backend backend_;
    Parameters parameters_;
    const Parameter *words_, *positions_, *embedding_norm_weight_, *embedding_norm_bias_, *norm_weight_,
        *norm_bias_, *head_bias_, *head_weight_, *head_fc_bias_, *head_norm_weight_, *head_norm_bias_;
    const Parameter *merge_weight_ = nullptr, *merge_bias_ = nullptr;  // of a patch's embeddings
    // Of classes, or of texts: null where they are not the model's contexts.
    const Parameter *contexts_ = nullptr, *context_position_ = nullptr, *context_norm_weight_ = nullptr,
                    *context_norm_bias_ = nullptr, *text_weight_ = nullptr, *text_bias_ = nullptr;
    std::unique_ptr<TextEncoder> own_encoder_;
    const TextEncoder* encoder_ = nullptr;
    std::vector<VitBlock> in_blocks_;
    std::unique_ptr<VitBlock> mid_block_;
    std::vector<OutBlock> out_blocks_;
};
