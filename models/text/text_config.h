// Configuration of a text encoder: the text tower of CLIP.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

struct TextConfig {
    std::int64_t vocab_size = 49408, width = 768, layers = 12, heads = 12, mlp_ratio = 4;
    std::int64_t context_length = 77;  // ids of a text: start, tokens, end, padding
    std::int64_t padding_id = 0;       // not masked anywhere: it changes the outputs
    bool quick_gelu = false;  // x s(1.702 x), as OpenAI's weights want it, in place of the exact GELU
    // Which of CLIP's three tokenizers makes the ids: "openai", "open_clip" or "hf" (data/text/clip_tokenizer.h).
    std::string tokenizer = "openai";

    // Throws UsageError naming the key, its value and the expected values. `source` starts the message.
    void validate(std::string_view source) const;

    bool operator==(const TextConfig&) const = default;
};

// JSON with the keys named as the members. Throws UsageError for unknown, missing or malformed keys.
TextConfig parse_text_config(std::string_view json, std::string_view source);
std::string to_json(const TextConfig& config);

struct TextPreset {
    std::string_view name, description;
    TextConfig config;
};
std::span<const TextPreset> text_presets();
// Throws UsageError listing the names there are.
const TextPreset& text_preset(std::string_view name);
