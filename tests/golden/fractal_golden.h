// The arrays that the authors' release computed for a small random model, and our model with the same
// weights.
#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <vector>

#include "models/fractal/fractal.h"
#include "runtime/checkpoint.h"
#include "tests/test_devices.h"

struct FractalGolden {
    FractalGolden(const std::string& name, Device d)
        : device(d), arrays("tests/golden/" + name + ".safetensors"), model(read_config(), device) {
        model.parameters().allocate(device, true);
        std::vector<float> slab(model.parameters().slab_floats());
        load_slab(SafetensorsFile("tests/golden/" + name + ".weights.safetensors"), model.parameters(), "",
                  slab.data());
        copy_to_device(device, model.parameters().values(), slab.data(), slab.size() * sizeof(float));
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
        config.validate("golden");
        return config;
    }
};

// Largest difference relative to the expected tensor's largest magnitude.
inline double relative_difference(std::span<const float> actual, std::span<const float> expected) {
    REQUIRE(actual.size() == expected.size());
    double largest = 0, difference = 0;
    for (std::size_t i = 0; i < actual.size(); ++i) {
        largest = std::max(largest, std::fabs(static_cast<double>(expected[i])));
        difference = std::max(difference,
                              std::fabs(static_cast<double>(actual[i]) - static_cast<double>(expected[i])));
    }
    return largest > 0 ? difference / largest : difference;
}
