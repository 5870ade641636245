#include "models/nat/checkpoint.h"

#include <charconv>
#include <cmath>

#include "runtime/base/error.h"

namespace {

constexpr std::string_view words = "token_emb.word_embeddings.weight",
                           positions = "token_emb.position_embeddings.weight",
                           contexts = "context_embed.word_embeddings.weight",
                           hidden_layer = "mid_block.mlp.fc1.weight", merge = "patch_merge.weight";

std::uint32_t parse_fingerprint(const std::string& text, const std::string& path) {
    std::uint32_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, 16);
    if (error != std::errc() || end != text.data() + text.size())
        fail("{}: its tokenizer is given as \"{}\", expected a hexadecimal number", path, text);
    return value;
}

// [rows, columns] of a tensor of a published file.
std::pair<std::int64_t, std::int64_t> matrix(const TensorFile& file, std::string_view name) {
    const auto& shape = file.shape(name);
    if (shape.size() != 2 || shape[0] < 1 || shape[1] < 1)
        fail("{}: {} is no matrix", file.path().string(), name);
    return {shape[0], shape[1]};
}

// Everything but the heads, which are left at 0.
NatConfig config_of_shapes(const TensorFile& file) {
    NatConfig config;
    const auto [rows, width] = matrix(file, words);
    config.codebook_size = rows - 1;
    config.embed_dim = width;
    config.num_classes = matrix(file, contexts).first;
    config.mlp_ratio = matrix(file, hidden_layer).first / width;
    if (file.contains(merge))
        config.patch_size = std::llround(std::sqrt(static_cast<double>(matrix(file, merge).second / width)));
    config.img_size =
        config.patch_size * std::llround(std::sqrt(static_cast<double>(matrix(file, positions).first)));
    config.depth = 0;
    while (file.contains(fmt::format("in_blocks.{}.norm1.weight", config.depth / 2))) config.depth += 2;
    config.qkv_bias = file.contains("mid_block.attn.qkv.bias");
    config.skip = file.contains("out_blocks.0.skip_linear.weight");
    config.num_heads = 0;
    return config;
}

// Configuration from the tensors' shapes, with the number of heads of the preset that they fit.
NatConfig infer_config(const TensorFile& file) {
    NatConfig config = config_of_shapes(file);
    for (const NatPreset& preset : nat_presets()) {
        NatConfig fitting = preset.config;
        fitting.num_classes = config.num_classes;
        fitting.num_heads = 0;
        if (fitting != config) continue;
        config.num_heads = preset.config.num_heads;
        config.validate(file.path().string());
        return config;
    }
    fail_usage(
        "{}: a masked-token transformer of width {}, depth {}, {} codes, {}x{} tokens, which is no preset's: "
        "its shapes do not tell the number of heads, --config FILE says it",
        file.path().string(), config.embed_dim, config.depth, config.codebook_size, config.img_size,
        config.img_size);
}

}  // namespace

void write_metadata(CheckpointWriter& writer, const NatMetadata& metadata) {
    write_metadata(writer, nat_kind, to_json(metadata.config), metadata);
    if (metadata.tokenizer) writer.set("tokenizer", fmt::format("{:08x}", *metadata.tokenizer));
}

bool holds_nat(const TensorFile& file) {
    return model_kind(file) == nat_kind;
}

NatMetadata read_nat_metadata(const TensorFile& file, const std::optional<NatConfig>& config) {
    const std::string path = file.path().string();
    NatMetadata metadata;
    require_kind(file, nat_kind);
    if (!has_format(file, nat_kind)) {
        if (!holds_nat(file)) fail("{}: not a masked-token transformer", path);
        metadata.config = config ? *config : infer_config(file);
        return metadata;
    }
    read_metadata(file, metadata, [&](const std::string& json, const std::string& source) {
        metadata.config = parse_nat_config(json, source);
    });
    if (file.metadata().contains("tokenizer"))
        metadata.tokenizer = parse_fingerprint(file.metadata("tokenizer"), path);
    if (config && *config != metadata.config)
        fail_usage(
            "{}: is of another model than --preset or --config says; without them it says itself which",
            path);
    return metadata;
}

NatConfig nat_preset_for(const TensorFile& file, std::string_view name) {
    NatConfig config = nat_preset(name).config;
    if (file.contains(contexts)) config.num_classes = matrix(file, contexts).first;
    config.validate(file.path().string());
    return config;
}

void require_tokenizer(const TensorFile& file, const NatMetadata& metadata, std::uint32_t fingerprint,
                       std::string_view whose) {
    if (metadata.tokenizer && *metadata.tokenizer != fingerprint)
        fail("{}: predicts the codes of the tokenizer {:08x}, expected {:08x}, the one of {}",
             file.path().string(), *metadata.tokenizer, fingerprint, whose);
}

std::unique_ptr<NatTransformer> load_nat(const TensorFile& file, const NatConfig& config, Backend backend,
                                         std::optional<WeightChoice> choice) {
    auto model = std::make_unique<NatTransformer>(config, backend);
    load_weights(file, model->parameters(), backend, choice);
    return model;
}
