// The arrays that the authors' release computed for a small random model, and our model with the same
// weights.
#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <numeric>
#include <span>
#include <string>
#include <vector>

#include "models/fractal/fractal.h"
#include "runtime/checkpoint/checkpoint.h"
#include "tests/golden/golden_file.h"
#include "tests/golden/stored_form.h"
#include "tests/test_devices.h"

struct FractalGolden {
    FractalGolden(const std::string& name, Backend backend)
        : device(backend.device),
          arrays(GoldenFile(name + ".safetensors").path()),
          model(read_config(), backend) {
        model.parameters().allocate(backend, true);
        // Of the one with an optimizer's state, the checkpoint as it is published.
        const GoldenFile weights(name + (name == "fractalmar_tiny" ? ".pth" : ".weights.safetensors"));
        load_slab(*open_tensor_file(weights.path()), model.parameters(), "", model.parameters().values());
        model.parameters().round_values();
    }

    // The masks of a pass ("train" or "eval") as the release drew them, in the order its levels ran.
    FractalMasks masks(const std::string& pass) const {
        const FractalConfig& config = model.config();
        std::vector<std::string> names(config.generators());
        std::vector<std::size_t> used(config.generators());
        std::size_t recorded = 0;
        for (std::size_t level = 0; level < config.generators(); ++level)
            if (config.is_mar(level)) names[level] = pass + ".mask." + std::to_string(recorded++);
        std::vector<std::int64_t> samples(arrays.integers("labels").size());
        std::iota(samples.begin(), samples.end(), 0);
        return {config, samples, [&](std::size_t level, std::int64_t, std::span<std::uint8_t> mask) {
                    const auto all = arrays.bytes_u8(names[level]);
                    std::ranges::copy(all.subspan(used[level], mask.size()), mask.begin());
                    used[level] += mask.size();
                }};
    }

    // Sampling steps per level; none for AR models.
    std::vector<std::int64_t> iterations() const {
        if (!arrays.metadata().contains("num_iter_list")) return {};
        return nlohmann::json::parse(arrays.metadata("num_iter_list")).get<std::vector<std::int64_t>>();
    }

    std::vector<float> gradient(const Parameter& parameter) const {
        std::vector<float> values(static_cast<std::size_t>(parameter.count));
        copy_from_device(device, values.data(), parameter.gradient, values.size() * sizeof(float));
        return values;
    }

    Device device;
    SafetensorsFile arrays;
    FractalModel model;

  private:
    FractalConfig read_config() const {
        const auto list = [this](const char* key) {
            std::string text = arrays.metadata(key);
            std::ranges::replace(text, '(', '[');
            std::ranges::replace(text, ')', ']');
            std::ranges::replace(text, '\'', '"');
            return nlohmann::json::parse(text);
        };
        FractalConfig config;
        list("img_size_list").get_to(config.img_size_list);
        list("embed_dim_list").get_to(config.embed_dim_list);
        list("num_blocks_list").get_to(config.num_blocks_list);
        list("num_heads_list").get_to(config.num_heads_list);
        list("generator_type_list").get_to(config.generator_type_list);
        list("class_num").get_to(config.class_num);
        if (arrays.metadata().contains("num_conds")) list("num_conds").get_to(config.num_conds);
        config.guiding_pixel =
            arrays.metadata().contains("guiding_pixel") && arrays.metadata("guiding_pixel") == "True";
        config.validate("golden");
        return config;
    }
};
