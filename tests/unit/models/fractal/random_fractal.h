// Small fractal models of every kind, with random weights, for tests of common properties.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "models/fractal/fractal.h"
#include "runtime/tensor/random.h"

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

inline std::vector<FractalConfig> all_configs() {
    std::vector<FractalConfig> all = ar_configs;
    all.insert(all.end(), mar_configs.begin(), mar_configs.end());
    return all;
}
inline const std::vector<FractalConfig> configs = all_configs();

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
