// Configuration of an image tokenizer: the numbers of VQGAN's configuration (Esser, Rombach, Ommer 2021,
// "Taming Transformers"), named as there.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

struct TokenizerConfig {
    std::int64_t in_channels = 3, out_ch = 3;  // 3: RGB, 1: grey; both alike
    std::int64_t ch = 128;                     // channels are ch * ch_mult[level], a multiple of groups
    std::vector<std::int64_t> ch_mult{1, 1, 2, 2, 4};
    std::int64_t num_res_blocks = 2;  // per level
    std::int64_t z_channels = 256;    // of the encoder's output; there is no projection behind it, so that
    std::int64_t embed_dim = 256;     // the codebook's entries are as wide
    std::int64_t n_embed = 1024;      // K: entries of the codebook
    double beta = 0.25;               // weight of the codebook's term in the quantiser's loss
    // Of every GroupNorm. Not a key of the original, which always has 32. With as many groups as channels
    // each map is normalised separately: the image's colour is lost, and the decoder learns to produce spikes
    // that control the norm of their map (the droplet artifacts of Karras et al. 2020, "Analyzing and
    // Improving the Image Quality of StyleGAN", section 2).
    std::int64_t groups = 32;

    std::size_t levels() const { return ch_mult.size(); }
    std::int64_t channels(std::size_t level) const { return ch * ch_mult[level]; }
    // f: a token represents f x f pixels.
    std::int64_t downsampling() const { return std::int64_t{1} << (levels() - 1); }

    // Throws UsageError naming the key, its value and the expected values. `source` starts the message.
    void validate(std::string_view source) const;

    bool operator==(const TokenizerConfig&) const = default;
};

// JSON with the keys named as the members; keys of the original without effect here (double_z, resolution,
// attn_resolutions, dropout) are ignored. Throws UsageError for unknown, missing or malformed keys.
TokenizerConfig parse_tokenizer_config(std::string_view json, std::string_view source);
// The same from a file. Throws UsageError if it cannot be opened.
TokenizerConfig read_tokenizer_config(const std::filesystem::path& path);
std::string to_json(const TokenizerConfig& config);

struct TokenizerPreset {
    std::string_view name, description;
    TokenizerConfig config;
};
std::span<const TokenizerPreset> tokenizer_presets();
// Throws UsageError listing the names there are.
const TokenizerPreset& tokenizer_preset(std::string_view name);
