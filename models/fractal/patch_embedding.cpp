#include "models/fractal/patch_embedding.h"

#include "runtime/ops/image_ops.h"
#include "runtime/ops/ops.h"

PatchEmbedding::PatchEmbedding(Parameters& parameters, const std::string& prefix, const FractalConfig& config,
                               std::size_t level)
    : vocabulary_(config.vocabulary), width_(config.embed_dim_list[level]) {
    const std::int64_t p = config.patch_size(level);
    std::int64_t inputs = config.channels * p * p;
    if (config.of_codes()) {
        code_table_ =
            &parameters.add(prefix + ".code_emb.weight", {vocabulary_, config.code_width()}, Init::normal);
        inputs *= config.code_width();
    }
    weight_ = &parameters.add(prefix + ".patch_emb.weight", {width_, inputs}, Init::xavier);
    bias_ = &parameters.add(prefix + ".patch_emb.bias", {width_}, Init::zeros);
}

Tensor PatchEmbedding::inputs(Tape& tape, const Tensor& patches) const {
    if (code_table_ == nullptr) return as_activation(tape, patches);
    return embedding(tape, float_to_codes(tape, patches), *code_table_, vocabulary_);
}

Tensor PatchEmbedding::forward(Tape& tape, const Tensor& patches) const {
    return linear(tape, inputs(tape, patches), *weight_, bias_);
}

PackedLinear PatchEmbedding::pack_for_sampling(Tape& tape) const {
    return pack_linear(tape, *weight_, bias_, width_);
}
