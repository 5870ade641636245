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
#include "runtime/files/open_tensor_file.h"
#include "tests/golden/golden_file.h"
#include "tests/golden/stored_form.h"
#include "tests/test_devices.h"

// `which`: "train" or "generate", the two models of these arrays.
struct NatGolden {
    NatGolden(const std::string& which, Backend backend)
        : device(backend.device),
          arrays(GoldenFile("nat_tiny.safetensors").path()),
          model(read_config(which), backend) {
        model.parameters().allocate(backend, true);
        // Each in one of the forms in which weights are published.
        const std::string form = which == "train" ? ".pth" : ".weights.safetensors";
        load_slab(*open_tensor_file(GoldenFile("nat_tiny_" + which + "_ema" + form).path()),
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
