#include "models/nat/config.h"

#include <vector>

#include "runtime/base/config_checks.h"
#include "runtime/base/error.h"
#include "runtime/base/json_keys.h"
#include "runtime/files/text_file.h"

void NatConfig::validate(std::string_view source) const {
    require_key_range(source, "img_size", img_size, 1, 256);
    require_key_range(source, "codebook_size", codebook_size, 1, std::int64_t{1} << 20);
    require_key_range(source, "embed_dim", embed_dim, 1, 3072);
    require_key_range(source, "depth", depth, 0, 1024);
    require_key_range(source, "num_heads", num_heads, 1, embed_dim);
    require_key_range(source, "mlp_ratio", mlp_ratio, 1, 16);
    require_key_range(source, "num_classes", num_classes, 1, 1'000'000);
    require_key_range(source, "patch_size", patch_size, 1, img_size);
    require_key_range(source, "clip_dim", clip_dim, 0, 8192);
    require_key_range(source, "num_clip_token", num_clip_token, 1, 4096);
    if (depth % 2 != 0)
        fail_usage("{}: depth is {}, expected an even number: the middle block is not counted", source,
                   depth);
    if (embed_dim % num_heads != 0)
        fail_usage("{}: num_heads is {}, which does not divide the width {}", source, num_heads, embed_dim);
    if (embed_dim / num_heads > 256)
        fail_usage("{}: heads of size {}, expected at most 256", source, embed_dim / num_heads);
    if (img_size % patch_size != 0)
        fail_usage("{}: patch_size is {}, which does not divide img_size {}", source, patch_size, img_size);
    if (takes_texts() && num_classes != 1)
        fail_usage("{}: num_classes is {} beside clip_dim, expected none: a model takes classes or texts",
                   source, num_classes);
    if (!text_encoder) return;
    text_encoder->validate(fmt::format("{}: text_encoder", source));
    if (text_encoder->width != clip_dim || text_encoder->context_length != num_clip_token)
        fail_usage(
            "{}: text_encoder makes {} features of width {}, expected {} of {} (num_clip_token, clip_dim)",
            source, text_encoder->context_length, text_encoder->width, num_clip_token, clip_dim);
}

NatConfig parse_nat_config(std::string_view text, std::string_view source) {
    const nlohmann::json json = parse_json_object(
        text, source,
        {"img_size", "codebook_size", "embed_dim", "depth", "num_heads", "mlp_ratio", "qkv_bias",
         "num_classes", "skip", "patch_size", "clip_dim", "num_clip_token", "text_encoder"});
    NatConfig config;
    read_key(json, "img_size", config.img_size, true, source);
    read_key(json, "codebook_size", config.codebook_size, true, source);
    read_key(json, "embed_dim", config.embed_dim, true, source);
    read_key(json, "depth", config.depth, true, source);
    read_key(json, "num_heads", config.num_heads, true, source);
    read_key(json, "mlp_ratio", config.mlp_ratio, false, source);
    read_key(json, "qkv_bias", config.qkv_bias, false, source);
    read_key(json, "clip_dim", config.clip_dim, false, source);
    if (config.takes_texts()) config.num_classes = 1;
    read_key(json, "num_classes", config.num_classes, !config.takes_texts(), source);
    read_key(json, "skip", config.skip, false, source);
    read_key(json, "patch_size", config.patch_size, false, source);
    read_key(json, "num_clip_token", config.num_clip_token, false, source);
    if (json.contains("text_encoder"))
        config.text_encoder =
            parse_text_config(json_text(json.at("text_encoder")), fmt::format("{}: text_encoder", source));
    config.validate(source);
    return config;
}

NatConfig read_nat_config(const std::filesystem::path& path) {
    return parse_nat_config(read_text_file(path), path.string());
}

std::string to_json(const NatConfig& config) {
    nlohmann::ordered_json json{{"img_size", config.img_size},   {"codebook_size", config.codebook_size},
                                {"embed_dim", config.embed_dim}, {"depth", config.depth},
                                {"num_heads", config.num_heads}, {"mlp_ratio", config.mlp_ratio},
                                {"qkv_bias", config.qkv_bias},   {"num_classes", config.num_classes},
                                {"skip", config.skip},           {"patch_size", config.patch_size}};
    if (config.takes_texts()) {
        json["clip_dim"] = config.clip_dim;
        json["num_clip_token"] = config.num_clip_token;
    }
    if (config.text_encoder) json["text_encoder"] = parse_ordered_json(to_json(*config.text_encoder));
    return json_text(json);
}

std::span<const NatPreset> nat_presets() {
    // The paper leaves the length open for ImageNet; for MS-COCO it is that of the authors' ENAT.
    constexpr NatPaperRecipe imagenet{500'000};
    static const std::vector<NatPreset> presets{
        {"autonat_s",
         "the paper's small model of 256x256 images (16x16 tokens), 46 million parameters",
         imagenet,
         {16, 1024, 512, 12, 8, 4, false, 1001, true, 1}},
        {"autonat_l",
         "the paper's large model of 256x256 images (16x16 tokens), 194 million parameters",
         imagenet,
         {16, 1024, 768, 24, 8, 4, false, 1001, true, 1}},
        {"autonat_s_512",
         "the small model of 512x512 images (32x32 tokens in patches of 2x2)",
         imagenet,
         {32, 1024, 512, 12, 8, 4, false, 1001, true, 2}},
        {"autonat_l_512",
         "the large model of 512x512 images (32x32 tokens in patches of 2x2)",
         imagenet,
         {32, 1024, 768, 24, 8, 4, false, 1001, true, 2}},
        {"nat_micro",
         "the smallest model of 8x8 tokens, for the built-in 16x16 images: pictures within minutes",
         {},
         {8, 256, 128, 4, 4, 4, false, 11, true, 1}},
        {"nat_mini",
         "a small model of 8x8 tokens that learns on two cores",
         {},
         {8, 512, 192, 6, 6, 4, false, 11, true, 1}},
        {"nat_text_s",
         "autonat_s with texts in place of classes, for MS-COCO and features of CLIP ViT-L/14",
         NatPaperRecipe{150'000},
         {16, 1024, 512, 12, 8, 4, false, 1, true, 1, 768}},
        {"muse_cc3m",
         "Muse of CC3M (16x16 tokens, features of OpenCLIP ViT-bigG/14), 504 million parameters",
         NatPaperRecipe{285'000, 2e-4, true},
         {16, 1024, 1152, 28, 16, 4, false, 1, true, 1, 1280}},
        {"nat_text_mini",
         "a small model of 8x8 tokens and its text encoder (text_mini), trained together",
         {},
         {8, 256, 128, 6, 4, 4, false, 1, true, 1, text_preset("text_mini").config.width,
          text_preset("text_mini").config.context_length, text_preset("text_mini").config}},
    };
    return presets;
}

const NatPreset& nat_preset(std::string_view name) {
    return preset_named(nat_presets(), name);
}
