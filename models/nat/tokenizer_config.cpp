#include "models/nat/tokenizer_config.h"

#include <cmath>

#include "runtime/base/config_checks.h"
#include "runtime/base/error.h"
#include "runtime/base/json_keys.h"
#include "runtime/files/text_file.h"

void TokenizerConfig::validate(std::string_view source) const {
    if (in_channels != 1 && in_channels != 3)
        fail_usage("{}: in_channels is {}, expected 1 or 3", source, in_channels);
    if (out_ch != in_channels)
        fail_usage("{}: out_ch is {}, expected {} like in_channels", source, out_ch, in_channels);
    require_key_range(source, "ch", ch, 1, 4096);
    require_key_range(source, "groups", groups, 1, 4096);
    if (ch_mult.empty() || ch_mult.size() > 8)
        fail_usage("{}: ch_mult has {} entries, expected 1 to 8, one for each level", source, ch_mult.size());
    for (std::size_t level = 0; level < levels(); ++level) {
        require_key_range(source, fmt::format("ch_mult[{}]", level), ch_mult[level], 1, 64);
        if (channels(level) % groups != 0)
            fail_usage("{}: level {} has {} channels (ch * ch_mult), expected a multiple of {}", source,
                       level, channels(level), groups);
    }
    require_key_range(source, "num_res_blocks", num_res_blocks, 1, 64);
    require_key_range(source, "z_channels", z_channels, 1, 4096);
    if (embed_dim != z_channels)
        fail_usage("{}: embed_dim is {}, expected {} like z_channels", source, embed_dim, z_channels);
    require_key_range(source, "n_embed", n_embed, 2, std::int64_t{1} << 20);
    if (!(std::isfinite(beta) && beta >= 0))
        fail_usage("{}: beta is {}, expected a number of at least 0", source, beta);
}

TokenizerConfig parse_tokenizer_config(std::string_view text, std::string_view source) {
    const nlohmann::json json = parse_json_object(text, source,
                                                  {"in_channels", "out_ch", "ch", "ch_mult", "num_res_blocks",
                                                   "z_channels", "embed_dim", "n_embed", "beta", "groups",
                                                   // Of the original's configuration, without meaning here.
                                                   "double_z", "resolution", "attn_resolutions", "dropout"});
    TokenizerConfig config;
    read_key(json, "ch", config.ch, true, source);
    read_key(json, "ch_mult", config.ch_mult, true, source);
    read_key(json, "num_res_blocks", config.num_res_blocks, true, source);
    read_key(json, "z_channels", config.z_channels, true, source);
    read_key(json, "n_embed", config.n_embed, true, source);
    config.embed_dim = config.z_channels;
    read_key(json, "embed_dim", config.embed_dim, false, source);
    read_key(json, "in_channels", config.in_channels, false, source);
    config.out_ch = config.in_channels;
    read_key(json, "out_ch", config.out_ch, false, source);
    read_key(json, "beta", config.beta, false, source);
    read_key(json, "groups", config.groups, false, source);
    config.validate(source);
    return config;
}

TokenizerConfig read_tokenizer_config(const std::filesystem::path& path) {
    return parse_tokenizer_config(read_text_file(path), path.string());
}

std::string to_json(const TokenizerConfig& config) {
    const nlohmann::ordered_json json{{"in_channels", config.in_channels},
                                      {"out_ch", config.out_ch},
                                      {"ch", config.ch},
                                      {"ch_mult", config.ch_mult},
                                      {"num_res_blocks", config.num_res_blocks},
                                      {"z_channels", config.z_channels},
                                      {"embed_dim", config.embed_dim},
                                      {"n_embed", config.n_embed},
                                      {"beta", config.beta},
                                      {"groups", config.groups}};
    return json_text(json);
}

std::span<const TokenizerPreset> tokenizer_presets() {
    static const std::vector<TokenizerPreset> presets{
        {"vqgan_f16",
         "the published one: 256x256 images to 16x16 tokens of 1,024",
         {3, 3, 128, {1, 1, 2, 2, 4}, 2, 256, 256, 1024, 0.25}},
        {"vqgan_mini_f4",
         "a small one that learns on two cores: 32x32 images to 8x8 tokens of 512",
         {3, 3, 32, {1, 2, 2}, 1, 64, 64, 512, 0.25, 8}},
        {"vqgan_mini_f2",
         "the smallest, for the built-in 16x16 images: 8x8 tokens of 256",
         {3, 3, 32, {1, 2}, 1, 32, 32, 256, 0.25, 8}},
    };
    return presets;
}

const TokenizerPreset& tokenizer_preset(std::string_view name) {
    return preset_named(tokenizer_presets(), name);
}
