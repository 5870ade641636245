// Configuration of a masked-token transformer (U-ViT; Bao et al. 2023, arXiv 2209.12152, over the tokens of
// an image, as in Ni et al. 2024, arXiv 2406.05478), conditioned on classes or on texts. The names are the
// releases'.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "models/text/text_config.h"

struct NatConfig {
    std::int64_t img_size = 16;         // side of the token grid
    std::int64_t codebook_size = 1024;  // K; the id K is [MASK]
    std::int64_t embed_dim = 512;
    std::int64_t depth = 12;  // blocks but for the middle one: half before it, half behind it
    std::int64_t num_heads = 8, mlp_ratio = 4;
    bool qkv_bias = false;
    std::int64_t num_classes = 1001;  // contexts: the classes, then "no class"
    bool skip = true;                 // blocks behind the middle take those before it as well
    std::int64_t patch_size = 1;      // tokens of a patch's side: a patch is one place of the sequence
    // Conditioned on texts (then num_classes is 1): the width and the number of the text's features, each of
    // which is a place of the sequence. Width 0: conditioned on classes.
    std::int64_t clip_dim = 0, num_clip_token = 77;
    // The text encoder that is a part of the model and trained with it; without it, features are another's.
    std::optional<TextConfig> text_encoder = std::nullopt;

    bool takes_texts() const { return clip_dim > 0; }
    std::int64_t context_places() const { return takes_texts() ? num_clip_token : 1; }
    std::int64_t tokens() const { return img_size * img_size; }
    std::int64_t patch_tokens() const { return patch_size * patch_size; }
    std::int64_t patches() const { return tokens() / patch_tokens(); }
    std::int64_t sequence() const { return context_places() + patches(); }  // the context is first
    std::int32_t mask_id() const { return static_cast<std::int32_t>(codebook_size); }
    std::int32_t no_class() const { return static_cast<std::int32_t>(num_classes - 1); }

    // Throws UsageError naming the key, its value and the expected values. `source` starts the message.
    void validate(std::string_view source) const;

    bool operator==(const NatConfig&) const = default;
};

// JSON with the keys named as the members. Throws UsageError for unknown, missing or malformed keys.
NatConfig parse_nat_config(std::string_view json, std::string_view source);
// The same from a file. Throws UsageError if it cannot be opened.
NatConfig read_nat_config(const std::filesystem::path& path);
std::string to_json(const NatConfig& config);

// How the paper's models are trained.
struct NatPaperRecipe {
    std::int64_t steps;  // updates
    double learning_rate = 4e-4;
    bool cosine_masks = false;
};

struct NatPreset {
    std::string_view name, description;
    std::optional<NatPaperRecipe> paper;  // none: a recipe for minutes
    NatConfig config;
};
std::span<const NatPreset> nat_presets();
// Throws UsageError listing the names there are.
const NatPreset& nat_preset(std::string_view name);
