// Small fractal models of every kind, with random weights, for tests of common properties.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "models/fractal/fractal.h"
#include "models/fractal/sample.h"
#include "runtime/tensor/random.h"
#include "tests/unit/kernels/check_values.h"

namespace random_fractal {

inline FractalConfig make_config(std::vector<std::int64_t> sizes, std::int64_t channels,
                                 std::int64_t class_num) {
    const std::size_t n = sizes.size();
    FractalConfig config{std::move(sizes), {}, {}, {}, {}, 1, false, class_num, channels};
    const std::int64_t widths[] = {16, 12, 8, 8}, heads[] = {2, 1, 2, 1};
    for (std::size_t i = 0; i < n; ++i) {
        config.embed_dim_list.push_back(i + 1 == n ? 12 : widths[i]);
        config.num_heads_list.push_back(i + 1 == n ? 2 : heads[i]);
        config.num_blocks_list.push_back(i == 1 ? 1 : 2);
        config.generator_type_list.push_back("ar");
    }
    config.validate("test");
    return config;
}

inline FractalConfig with_types(FractalConfig config, std::vector<std::string> types, std::int64_t num_conds,
                                bool guiding_pixel = false) {
    config.generator_type_list = std::move(types);
    config.num_conds = num_conds;
    config.guiding_pixel = guiding_pixel;
    config.validate("test");
    return config;
}

inline const std::vector<FractalConfig> ar_configs = {make_config({8, 4, 1}, 3, 5),
                                                      make_config({8, 2, 1}, 1, 5), make_config({8, 1}, 3, 0),
                                                      make_config({16, 8, 4, 1}, 3, 5)};
inline const std::vector<FractalConfig> mar_configs = {
    with_types(make_config({8, 4, 1}, 3, 5), {"mar", "mar", "ar"}, 5),
    with_types(make_config({16, 8, 4, 1}, 3, 5), {"mar", "mar", "mar", "ar"}, 5, true),
    with_types(make_config({8, 4, 1}, 1, 5), {"mar", "mar", "ar"}, 2, true),
    with_types(make_config({8, 2, 1}, 1, 5), {"ar", "mar", "ar"}, 5),
    with_types(make_config({8, 4, 1}, 3, 0), {"mar", "ar", "ar"}, 3),
    with_types(make_config({8, 1}, 3, 5), {"mar", "ar"}, 4)};

// In place of pixels, codes.
inline FractalConfig of_codes(FractalConfig config, std::int64_t vocabulary) {
    config.channels = 1;
    config.vocabulary = vocabulary;
    config.validate("test");
    return config;
}
inline const std::vector<FractalConfig> code_ar_configs = {of_codes(make_config({8, 4, 1}, 1, 5), 37),
                                                           of_codes(make_config({8, 1}, 1, 0), 300)};
inline const std::vector<FractalConfig> code_mar_configs = {
    of_codes(with_types(make_config({8, 4, 1}, 1, 5), {"mar", "mar", "ar"}, 5), 37),
    of_codes(with_types(make_config({8, 2, 1}, 1, 5), {"ar", "mar", "ar"}, 5), 300)};

inline const std::vector<FractalConfig> configs = [] {
    std::vector<FractalConfig> all;
    for (const auto* part : {&ar_configs, &mar_configs, &code_ar_configs, &code_mar_configs})
        all.insert(all.end(), part->begin(), part->end());
    return all;
}();

// Values of images [n, C, s, s] as integers, and as samplers and likelihoods take them.
class HostImages {
  public:
    HostImages(const FractalConfig& config, std::vector<std::int32_t> values)
        : codes_(config.of_codes()), values_(std::move(values)), bytes_(values_.begin(), values_.end()) {}

    const std::vector<std::int32_t>& values() const { return values_; }
    ImageValues view() const {
        if (codes_) return std::span<const std::int32_t>(values_);
        return std::span<const std::uint8_t>(bytes_);
    }

  private:
    bool codes_;
    std::vector<std::int32_t> values_;
    std::vector<std::uint8_t> bytes_;
};

inline HostImages random_images(const FractalConfig& config, std::int64_t count, unsigned seed) {
    return {config,
            kernel_check::integers(count * config.channels * config.image_size() * config.image_size(), seed,
                                   static_cast<std::int32_t>(config.values()))};
}

// What a sampler draws, as integers.
inline std::vector<std::int32_t> drawn_values(const FractalConfig& config, FractalSampler& sampler,
                                              std::span<const std::int64_t> classes, const SampleRule& rule,
                                              const EditTask* task = nullptr) {
    if (config.of_codes())
        return task == nullptr ? sampler.sample_codes(classes, rule)
                               : sampler.edit_codes(*task, classes, rule);
    const std::vector<std::uint8_t> bytes =
        task == nullptr ? sampler.sample(classes, rule) : sampler.edit(*task, classes, rule);
    return {bytes.begin(), bytes.end()};
}

inline bool has_mar(const FractalConfig& config) {
    return std::ranges::count(config.generator_type_list, "mar") > 0;
}

// A model whose random weights are large enough that its predictions are far from even.
inline std::unique_ptr<FractalModel> random_model(const FractalConfig& config) {
    auto model = std::make_unique<FractalModel>(config, Device::cpu);
    model->parameters().allocate(Device::cpu, true);
    model->parameters().initialize(1);
    for (const Parameter& parameter : model->parameters().all())
        if (parameter.init == Init::normal || parameter.init == Init::zeros)
            random_normal(parameter.value, parameter.count, random_key(2, parameter.name), 0.4f);
    return model;
}

}  // namespace random_fractal
