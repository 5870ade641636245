#include "models/text/text_config.h"

#include <array>

#include "runtime/base/config_checks.h"
#include "runtime/base/error.h"
#include "runtime/base/json_keys.h"

void TextConfig::validate(std::string_view source) const {
    require_key_range(source, "vocab_size", vocab_size, 1, std::int64_t{1} << 20);
    require_key_range(source, "width", width, 1, 8192);
    require_key_range(source, "layers", layers, 1, 1024);
    require_key_range(source, "heads", heads, 1, width);
    require_key_range(source, "mlp_ratio", mlp_ratio, 1, 16);
    require_key_range(source, "context_length", context_length, 2, 4096);
    require_key_range(source, "padding_id", padding_id, 0, vocab_size - 1);
    if (width % heads != 0)
        fail_usage("{}: heads is {}, which does not divide the width {}", source, heads, width);
    if (tokenizer != "openai" && tokenizer != "open_clip" && tokenizer != "hf")
        fail_usage("{}: tokenizer is \"{}\", expected openai, open_clip or hf", source, tokenizer);
    if (width / heads > 256) fail_usage("{}: heads of size {}, expected at most 256", source, width / heads);
}

TextConfig parse_text_config(std::string_view text, std::string_view source) {
    const nlohmann::json json =
        parse_json_object(text, source,
                          {"vocab_size", "width", "layers", "heads", "mlp_ratio", "context_length",
                           "padding_id", "quick_gelu", "tokenizer"});
    TextConfig config;
    read_key(json, "vocab_size", config.vocab_size, false, source);
    read_key(json, "width", config.width, true, source);
    read_key(json, "layers", config.layers, true, source);
    read_key(json, "heads", config.heads, true, source);
    read_key(json, "mlp_ratio", config.mlp_ratio, false, source);
    read_key(json, "context_length", config.context_length, false, source);
    read_key(json, "padding_id", config.padding_id, false, source);
    read_key(json, "quick_gelu", config.quick_gelu, false, source);
    read_key(json, "tokenizer", config.tokenizer, false, source);
    config.validate(source);
    return config;
}

std::string to_json(const TextConfig& config) {
    return json_text(nlohmann::ordered_json{{"vocab_size", config.vocab_size},
                                            {"width", config.width},
                                            {"layers", config.layers},
                                            {"heads", config.heads},
                                            {"mlp_ratio", config.mlp_ratio},
                                            {"context_length", config.context_length},
                                            {"padding_id", config.padding_id},
                                            {"quick_gelu", config.quick_gelu},
                                            {"tokenizer", config.tokenizer}});
}

std::span<const TextPreset> text_presets() {
    constexpr std::int64_t ids = 49408, end_id = 49407;
    static const std::array presets{
        TextPreset{"clip_vit_l14",
                   "the text tower of OpenAI's CLIP ViT-L/14",
                   {ids, 768, 12, 12, 4, 77, end_id, true, "hf"}},
        TextPreset{"openclip_vit_bigg14",
                   "the text tower of OpenCLIP's ViT-bigG/14, Muse's for CC3M",
                   {ids, 1280, 32, 20, 4, 77, 0, false, "open_clip"}},
        TextPreset{"text_mini",
                   "small, of texts of at most 30 ids, trained with the transformer",
                   {8192, 128, 2, 2, 4, 32, 0, false, "openai"}}};
    return presets;
}

const TextPreset& text_preset(std::string_view name) {
    return preset_named(text_presets(), name);
}
