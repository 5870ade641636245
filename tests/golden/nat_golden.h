// The arrays that the authors' release computed for a small random masked-token transformer, and our model
// with the same weights.
#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <vector>

#include "models/nat/transformer.h"
#include "runtime/checkpoint/checkpoint.h"
#include "tests/test_devices.h"

// `which`: "train" or "generate", the two models of these arrays.
struct NatGolden {
    NatGolden(const std::string& which, Backend backend)
        : device(backend.device),
          arrays("tests/golden/nat_tiny.safetensors"),
          model(read_config(which), backend) {
        model.parameters().allocate(backend, true);
        load_slab(SafetensorsFile("tests/golden/nat_tiny_" + which + "_ema.weights.safetensors"),
                  model.parameters(), "", model.parameters().values());
        model.parameters().round_values();
    }

    std::vector<std::int32_t> integers(const std::string& name) const {
        const auto wide = arrays.integers(name);
        return {wide.begin(), wide.end()};
    }

    std::vector<float> gradient(const Parameter& parameter) const {
        std::vector<float> values(static_cast<std::size_t>(parameter.count));
        copy_from_device(device, values.data(), parameter.gradient, values.size() * sizeof(float));
        return values;
    }

    Device device;
    SafetensorsFile arrays;
    NatTransformer model;

  private:
    // The training model's keys are the metadata's own, in Python's notation.
    NatConfig read_config(const std::string& which) const {
        if (which == "generate") return parse_nat_config(arrays.metadata("generate_model"), "golden");
        nlohmann::json json;
        for (const char* key : {"img_size", "codebook_size", "embed_dim", "depth", "num_heads", "mlp_ratio",
                                "qkv_bias", "num_classes", "skip"}) {
            const std::string& text = arrays.metadata(key);
            json[key] = text == "True"    ? nlohmann::json(true)
                        : text == "False" ? nlohmann::json(false)
                                          : nlohmann::json::parse(text);
        }
        return parse_nat_config(json.dump(), "golden");
    }
};

// Largest difference relative to the expected tensor's largest magnitude.
inline double largest_difference(std::span<const float> actual, std::span<const float> expected) {
    REQUIRE(actual.size() == expected.size());
    double largest = 0, difference = 0;
    for (std::size_t i = 0; i < actual.size(); ++i) {
        largest = std::max(largest, std::fabs(static_cast<double>(expected[i])));
        difference = std::max(difference,
                              std::fabs(static_cast<double>(actual[i]) - static_cast<double>(expected[i])));
    }
    return largest > 0 ? difference / largest : difference;
}
