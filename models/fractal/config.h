// Configuration of a fractal model: the lists of the paper (Li et al. 2025, section 4).
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

struct FractalConfig {
    // One entry per level, outermost first; the last one is the pixel level (image size 1).
    std::vector<std::int64_t> img_size_list, embed_dim_list, num_blocks_list, num_heads_list;
    std::vector<std::string> generator_type_list;  // "ar" or "mar" per level; the pixel level is "ar"
    std::int64_t num_conds = 1;     // conditions of a MAR level: the patch's own and its neighbours', 1 to 5
    bool guiding_pixel = false;     // every level but the outermost first draws its patch's mean colour
    std::int64_t class_num = 1000;  // 0: unlabelled
    std::int64_t channels = 3;      // 3: RGB, 1: grey and codes
    // 0: images of pixels. K: images of a tokenizer's codes 0 to K-1, sizes counting tokens; what is the pixel
    // level otherwise draws a code.
    std::int64_t vocabulary = 0;

    std::size_t generators() const { return img_size_list.size() - 1; }  // levels above the pixel level
    std::int64_t image_size() const { return img_size_list.front(); }
    // Tokens of a level's sequences, patch size in pixels, and width of the conditions a level receives.
    std::int64_t tokens(std::size_t level) const;
    std::int64_t patch_size(std::size_t level) const { return img_size_list[level + 1]; }
    std::int64_t condition_width(std::size_t level) const {
        return embed_dim_list[level == 0 ? 0 : level - 1];
    }
    bool is_mar(std::size_t level) const { return generator_type_list[level] == "mar"; }
    bool guides(std::size_t level) const { return guiding_pixel && level > 0 && level < generators(); }
    // Conditions that a level receives per sequence. AR levels and the pixel level use one, and an AR level
    // passes one to the next level.
    std::int64_t conditions(std::size_t level) const;
    bool of_codes() const { return vocabulary > 0; }
    // Values that a channel of a pixel, or a token, can have.
    std::int64_t values() const { return of_codes() ? vocabulary : values_per_channel; }
    // Width of the embeddings by which levels read codes.
    std::int64_t code_width() const { return embed_dim_list.back(); }
    // Normalisation of pixel values after division by 255, per channel.
    std::span<const float> pixel_mean() const;
    std::span<const float> pixel_deviation() const;

    // Throws UsageError naming the key, its value and the expected values. `source` starts the message.
    void validate(std::string_view source) const;

    bool operator==(const FractalConfig&) const = default;

    // Facts of every fractal model. Values that a channel of a pixel can have; the most codes there can be:
    static constexpr std::int64_t values_per_channel = 256, largest_vocabulary = 4096;
    // Size of the pixel level that draws a guiding pixel.
    static constexpr std::int64_t guiding_width = 128, guiding_blocks = 3, guiding_heads = 4;
    // Hidden width of an AR level's gated feed-forward: two thirds of 4 D, rounded up to a multiple of 256.
    std::int64_t gated_width(std::size_t level) const {
        return (2 * 4 * embed_dim_list[level] / 3 + 255) / 256 * 256;
    }
};

// JSON with the keys named as the members, either channels or vocabulary. Throws UsageError for unknown, missing
// or malformed keys.
FractalConfig parse_fractal_config(std::string_view json, std::string_view source);
// The same from a file. Throws UsageError if it cannot be opened.
FractalConfig read_fractal_config(const std::filesystem::path& path);
std::string to_json(const FractalConfig& config);
// "32x32 images, 3 channels" or "8x8 tokens, 256 codes".
std::string images_of(const FractalConfig& config);

// Sampling steps of the paper, per level above the pixels: 64 for the outermost, 16 below.
std::vector<std::int64_t> recommended_iterations(const FractalConfig& config);
// Whether sampling in so many steps computes the last outputs of a MAR level for the patches that a step draws and
// their neighbours alone: over all steps these rows are fewer than the tokens of all steps.
bool outputs_drawn_rows_alone(const FractalConfig& config, std::size_t level, std::int64_t iterations);

struct FractalPreset {
    std::string_view name, description;
    bool paper_recipe;  // trained as in the paper by default, otherwise by a recipe for minutes
    FractalConfig config;
};
std::span<const FractalPreset> fractal_presets();
// Throws UsageError listing the names there are.
const FractalPreset& fractal_preset(std::string_view name);
