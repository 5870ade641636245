#include "models/nat/checkpoint.h"

#include <cmath>

#include "runtime/base/error.h"

namespace {

constexpr std::string_view words = "token_emb.word_embeddings.weight",
                           positions = "token_emb.position_embeddings.weight",
                           classes = "context_embed.word_embeddings.weight", texts = "context_embed.weight",
                           hidden_layer = "mid_block.mlp.fc1.weight", merge = "patch_merge.weight",
                           text_positions = "text_encoder.positional_embedding",
                           position_ids = "token_emb.position_ids";
constexpr char text_encoder_key[] = "text_encoder";

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
    if (file.contains(texts)) {
        config.num_classes = 1;
        config.clip_dim = matrix(file, texts).second;
        // Without an encoder inside, the shapes say nothing of the number of features.
        if (file.contains(text_positions)) config.num_clip_token = matrix(file, text_positions).first;
    } else {
        config.num_classes = matrix(file, classes).first;
    }
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
        fitting.text_encoder = std::nullopt;
        if (fitting != config || preset.config.text_encoder.has_value() != file.contains(text_positions))
            continue;
        config.num_heads = preset.config.num_heads;
        config.text_encoder = preset.config.text_encoder;
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
    write_fingerprint(writer, tokenizer_key, metadata.tokenizer);
    write_fingerprint(writer, text_encoder_key, metadata.text_encoder);
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
    metadata.tokenizer = read_fingerprint(file, tokenizer_key, "tokenizer");
    metadata.text_encoder = read_fingerprint(file, text_encoder_key, "text encoder");
    if (config && *config != metadata.config)
        fail_usage(
            "{}: is of another model than --preset or --config says; without them it says itself which",
            path);
    return metadata;
}

NatConfig nat_preset_for(const TensorFile& file, std::string_view name) {
    NatConfig config = nat_preset(name).config;
    if (file.contains(classes)) config.num_classes = matrix(file, classes).first;
    config.validate(file.path().string());
    return config;
}

void require_fitting(const TensorFile& file, const NatTransformer& model) {
    require_fitting(file, model.parameters(), "", position_ids);
}

void require_text_encoder(const TensorFile& file, const NatMetadata& metadata, std::uint32_t checksum,
                          std::string_view whose) {
    if (metadata.text_encoder && *metadata.text_encoder != checksum)
        fail("{}: takes the features of the text encoder {:08x}, expected {:08x}, the one of {}",
             file.path().string(), *metadata.text_encoder, checksum, whose);
}

std::unique_ptr<NatTransformer> load_nat(const TensorFile& file, const NatConfig& config, Backend backend,
                                         std::optional<WeightChoice> choice) {
    auto model = std::make_unique<NatTransformer>(config, backend);
    load_weights(file, model->parameters(), backend, choice, position_ids);
    return model;
}
