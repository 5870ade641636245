#include "models/fractal/config.h"

#include <algorithm>
#include <array>

#include "runtime/base/config_checks.h"
#include "runtime/base/error.h"
#include "runtime/base/json_keys.h"
#include "runtime/files/text_file.h"

namespace {

constexpr std::array<float, 3> rgb_mean{0.485f, 0.456f, 0.406f}, rgb_deviation{0.229f, 0.224f, 0.225f};
constexpr std::array<float, 1> grey_mean{0.449f}, grey_deviation{0.226f};

}  // namespace

std::int64_t FractalConfig::tokens(std::size_t level) const {
    const std::int64_t side = img_size_list[level] / img_size_list[level + 1];
    return side * side;
}

std::int64_t FractalConfig::conditions(std::size_t level) const {
    const bool several = level < generators() && is_mar(level) && (level == 0 || is_mar(level - 1));
    return several ? num_conds : 1;
}

std::span<const float> FractalConfig::pixel_mean() const {
    return channels == 1 ? std::span<const float>(grey_mean) : std::span<const float>(rgb_mean);
}

std::span<const float> FractalConfig::pixel_deviation() const {
    return channels == 1 ? std::span<const float>(grey_deviation) : std::span<const float>(rgb_deviation);
}

void FractalConfig::validate(std::string_view source) const {
    const std::size_t n = img_size_list.size();
    if (n < 2) fail_usage("{}: img_size_list has {} entries, expected at least 2", source, n);
    if (embed_dim_list.size() != n || num_blocks_list.size() != n || num_heads_list.size() != n ||
        generator_type_list.size() != n)
        fail_usage("{}: the lists differ in length: {} sizes, {} widths, {} blocks, {} heads, {} types",
                   source, n, embed_dim_list.size(), num_blocks_list.size(), num_heads_list.size(),
                   generator_type_list.size());
    if (img_size_list.back() != 1)
        fail_usage("{}: img_size_list ends in {}, expected 1 (the pixel level)", source,
                   img_size_list.back());
    for (std::size_t i = 0; i < n; ++i) {
        if (img_size_list[i] < 1 || img_size_list[i] > 4096)
            fail_usage("{}: img_size_list[{}] is {}, expected 1 to 4096", source, i, img_size_list[i]);
    }
    for (std::size_t i = 0; i < n; ++i) {
        if (i + 1 < n &&
            (img_size_list[i] <= img_size_list[i + 1] || img_size_list[i] % img_size_list[i + 1] != 0))
            fail_usage("{}: image size {} is not a larger multiple of the next level's {}", source,
                       img_size_list[i], img_size_list[i + 1]);
        const std::int64_t width = embed_dim_list[i], heads = num_heads_list[i];
        if (width < 1 || width > 8192)
            fail_usage("{}: embed_dim_list[{}] is {}, expected 1 to 8192", source, i, width);
        if (heads < 1 || width % heads != 0)
            fail_usage("{}: num_heads_list[{}] is {}, which does not divide the width {}", source, i, heads,
                       width);
        if (width / heads > 256)
            fail_usage("{}: level {} has heads of size {}, expected at most 256", source, i, width / heads);
        if (num_blocks_list[i] < 0 || num_blocks_list[i] > 1024)
            fail_usage("{}: num_blocks_list[{}] is {}, expected 0 to 1024", source, i, num_blocks_list[i]);
        const std::string& type = generator_type_list[i];
        if (type != "ar" && type != "mar")
            fail_usage("{}: generator_type_list[{}] is \"{}\", expected \"ar\" or \"mar\"", source, i, type);
        if (i + 1 == n && type != "ar")
            fail_usage("{}: generator_type_list[{}] is \"{}\", expected \"ar\" for the pixel level", source,
                       i, type);
        if (i + 1 < n && type == "ar" && (width / heads) % 4 != 0)
            fail_usage("{}: level {} has heads of size {}, expected a multiple of 4 (2-D rotary embedding)",
                       source, i, width / heads);
        if (guiding_pixel && i > 0 && i + 1 < n && type != "mar")
            fail_usage(
                "{}: guiding_pixel is true, which level {} of type \"{}\" cannot use, expected \"mar\"",
                source, i, type);
    }
    if (num_conds < 1 || num_conds > 5) fail_usage("{}: num_conds is {}, expected 1 to 5", source, num_conds);
    if (class_num < 0 || class_num > 1'000'000)
        fail_usage("{}: class_num is {}, expected 0 to 1000000", source, class_num);
    if (vocabulary < 0 || vocabulary > largest_vocabulary)
        fail_usage("{}: vocabulary is {}, expected 1 to {}", source, vocabulary, largest_vocabulary);
    if (of_codes() && guiding_pixel)
        fail_usage("{}: guiding_pixel is true, but codes have no mean, expected false with vocabulary",
                   source);
    if (channels != 1 && channels != 3) fail_usage("{}: channels is {}, expected 1 or 3", source, channels);
}

FractalConfig parse_fractal_config(std::string_view text, std::string_view source) {
    const nlohmann::json json = parse_json_object(
        text, source,
        {"img_size_list", "embed_dim_list", "num_blocks_list", "num_heads_list", "generator_type_list",
         "num_conds", "guiding_pixel", "class_num", "channels", "vocabulary"});
    FractalConfig config;
    read_key(json, "img_size_list", config.img_size_list, true, source);
    read_key(json, "embed_dim_list", config.embed_dim_list, true, source);
    read_key(json, "num_blocks_list", config.num_blocks_list, true, source);
    read_key(json, "num_heads_list", config.num_heads_list, true, source);
    read_key(json, "generator_type_list", config.generator_type_list, true, source);
    read_key(json, "num_conds", config.num_conds, false, source);
    read_key(json, "guiding_pixel", config.guiding_pixel, false, source);
    read_key(json, "class_num", config.class_num, false, source);
    read_key(json, "channels", config.channels, false, source);
    read_key(json, "vocabulary", config.vocabulary, false, source);
    if (json.contains("vocabulary")) {
        if (json.contains("channels"))
            fail_usage(
                "{}: channels and vocabulary are given, expected channels of pixels or vocabulary of codes",
                source);
        if (config.vocabulary == 0)
            fail_usage("{}: vocabulary is 0, expected 1 to {}", source, FractalConfig::largest_vocabulary);
        config.channels = 1;
    }
    config.validate(source);
    return config;
}

FractalConfig read_fractal_config(const std::filesystem::path& path) {
    return parse_fractal_config(read_text_file(path), path.string());
}

std::string to_json(const FractalConfig& config) {
    nlohmann::ordered_json json{{"img_size_list", config.img_size_list},
                                {"embed_dim_list", config.embed_dim_list},
                                {"num_blocks_list", config.num_blocks_list},
                                {"num_heads_list", config.num_heads_list},
                                {"generator_type_list", config.generator_type_list},
                                {"num_conds", config.num_conds},
                                {"guiding_pixel", config.guiding_pixel},
                                {"class_num", config.class_num}};
    if (config.of_codes())
        json["vocabulary"] = config.vocabulary;
    else
        json["channels"] = config.channels;
    return json_text(json);
}

std::string images_of(const FractalConfig& config) {
    const std::int64_t s = config.image_size();
    if (config.of_codes()) return fmt::format("{}x{} tokens, {} codes", s, s, config.vocabulary);
    return fmt::format("{}x{} images, {} channel{}", s, s, config.channels, config.channels == 1 ? "" : "s");
}

std::vector<std::int64_t> recommended_iterations(const FractalConfig& config) {
    std::vector<std::int64_t> iterations(config.generators(), 16);
    iterations.front() = 64;
    return iterations;
}

bool outputs_drawn_rows_alone(const FractalConfig& config, std::size_t level, std::int64_t iterations) {
    const std::int64_t L = config.tokens(level),
                       sequence = L + config.conditions(level) + (config.guides(level) ? 1 : 0);
    return config.num_blocks_list[level] > 0 &&
           config.conditions(level + 1) * L < std::min(L, iterations) * sequence;
}

std::span<const FractalPreset> fractal_presets() {
    static const std::vector<FractalPreset> presets{
        {"fractalar_in64",
         "the paper's AR model of 64x64 images, 442 million parameters",
         true,
         {{64, 4, 1}, {1024, 512, 128}, {32, 8, 3}, {16, 8, 4}, {"ar", "ar", "ar"}, 1, false, 1000, 3}},
        {"fractalmar_in64",
         "the paper's MAR model of 64x64 images, 432 million parameters",
         true,
         {{64, 4, 1}, {1024, 512, 128}, {32, 8, 3}, {16, 8, 4}, {"mar", "mar", "ar"}, 5, false, 1000, 3}},
        {"fractalmar_base_in256",
         "the paper's smallest model of 256x256 images, 186 million parameters",
         true,
         {{256, 16, 4, 1},
          {768, 384, 192, 64},
          {24, 6, 3, 1},
          {12, 6, 3, 4},
          {"mar", "mar", "mar", "ar"},
          5,
          true,
          1000,
          3}},
        {"fractalmar_large_in256",
         "the paper's middle model of 256x256 images, 437 million parameters",
         true,
         {{256, 16, 4, 1},
          {1024, 512, 256, 64},
          {32, 8, 4, 1},
          {16, 8, 4, 4},
          {"mar", "mar", "mar", "ar"},
          5,
          true,
          1000,
          3}},
        {"fractalmar_huge_in256",
         "the paper's largest model of 256x256 images, 850 million parameters",
         true,
         {{256, 16, 4, 1},
          {1280, 640, 320, 64},
          {40, 10, 5, 1},
          {16, 8, 4, 4},
          {"mar", "mar", "mar", "ar"},
          5,
          true,
          1000,
          3}},
        {"fractalar_16",
         "the smallest, of 16x16 images: pictures within minutes on two cores",
         false,
         {{16, 2, 1}, {160, 64, 64}, {4, 2, 1}, {5, 2, 2}, {"ar", "ar", "ar"}, 1, false, 10, 3}},
        {"fractalmar_16",
         "the smallest that edits, of 16x16 images",
         false,
         {{16, 4, 1}, {192, 96, 64}, {4, 3, 1}, {6, 3, 2}, {"mar", "mar", "ar"}, 5, false, 10, 3}},
        {"fractalar_32",
         "a small AR model of 32x32 images that learns on two cores",
         false,
         {{32, 4, 1}, {192, 96, 64}, {4, 3, 2}, {6, 3, 2}, {"ar", "ar", "ar"}, 1, false, 10, 3}},
        {"fractalmar_32",
         "a small MAR model of 32x32 images that learns on two cores and edits",
         false,
         {{32, 4, 1}, {192, 96, 64}, {4, 3, 2}, {6, 3, 2}, {"mar", "mar", "ar"}, 5, false, 10, 3}},
        {"fractalar_codes_8",
         "a small AR model of 8x8 codes, as vqgan_mini_f2 makes them of 16x16 images",
         false,
         {{8, 2, 1}, {160, 96, 64}, {4, 2, 1}, {5, 3, 2}, {"ar", "ar", "ar"}, 1, false, 10, 1, 256}},
        {"fractalmar_codes_8",
         "a small MAR model of 8x8 codes that edits",
         false,
         {{8, 2, 1}, {160, 96, 64}, {4, 2, 1}, {5, 3, 2}, {"mar", "mar", "ar"}, 5, false, 10, 1, 256}},
    };
    return presets;
}

const FractalPreset& fractal_preset(std::string_view name) {
    return preset_named(fractal_presets(), name);
}
