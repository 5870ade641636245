// Inception-v3 with weights from a formula, as the goldens have it: for parameter NAME and flat row-major index
// i, in 32-bit unsigned arithmetic, x = 2654435761 i + crc32(NAME), mixed, u = x / 2^31 - 1 in double.
#pragma once

#include <zlib.h>

#include <cmath>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/base/json_keys.h"
#include "runtime/files/safetensors.h"

class HashedInception : public TensorFile {
  public:
    // Names and shapes are in the golden's metadata.
    explicit HashedInception(const SafetensorsFile& golden) : TensorFile(golden.path()) {
        const nlohmann::json names = parse_json(golden.metadata("names"), "names");
        for (const auto& [name, shape] : names.items())
            shapes_[name] = shape.get<std::vector<std::int64_t>>();
    }

    std::vector<std::string> names() const override {
        std::vector<std::string> all;
        for (const auto& [name, shape] : shapes_) all.push_back(name);
        return all;
    }
    bool contains(std::string_view name) const override { return shapes_.contains(std::string(name)); }
    const std::vector<std::int64_t>& shape(std::string_view name) const override {
        return shapes_.at(std::string(name));
    }
    void read(std::string_view name, float* destination) const override {
        std::size_t count = 1;
        for (const std::int64_t side : shape(name)) count *= static_cast<std::size_t>(side);
        const auto seed =
            static_cast<std::uint32_t>(crc32_z(0, reinterpret_cast<const Bytef*>(name.data()), name.size()));
        const Range range = range_of(name);
        for (std::size_t i = 0; i < count; ++i) {
            std::uint32_t x = static_cast<std::uint32_t>(i) * 2654435761u + seed;
            x ^= x >> 16, x *= 0x7feb352du, x ^= x >> 15, x *= 0x846ca68bu, x ^= x >> 16;
            const auto u = static_cast<float>(x / 0x1p32 * 2 - 1);
            destination[i] = static_cast<float>(range.centre + range.radius * u);
        }
    }

  private:
    struct Range {
        double centre, radius;
    };
    Range range_of(std::string_view name) const {
        const std::vector<std::int64_t>& s = shape(name);
        if (name.ends_with("conv.weight"))
            return {0, std::sqrt(6.0 / static_cast<double>(s[1] * s[2] * s[3]))};
        if (name.ends_with("bn.weight") || name.ends_with("running_var")) return {1, 0.2};
        if (name == "fc.weight") return {0, std::sqrt(3.0 / 2048)};
        return {0, 0.2};
    }

    std::map<std::string, std::vector<std::int64_t>> shapes_;
};
