#include "models/metrics/feature_classifier.h"

#include <doctest/doctest.h>

#include <cmath>

#include "runtime/base/error.h"
#include "tests/test_devices.h"

namespace {

FeatureConfig small_config() {
    return {8, 3, 8, 10, false};
}

std::vector<std::uint8_t> pictures_of(const FeatureConfig& config, std::size_t count) {
    std::vector<std::uint8_t> bytes(
        count * static_cast<std::size_t>(config.channels * config.image_size * config.image_size));
    for (std::size_t i = 0; i < bytes.size(); ++i)
        bytes[i] = static_cast<std::uint8_t>(i * 2654435761u >> 24);
    return bytes;
}

FeatureMatrix features(Device device, std::int64_t batch, std::span<const std::uint8_t> pictures) {
    FeatureClassifier network(small_config(), device);
    network.parameters().allocate(device, false);
    network.parameters().initialize(3);
    FeatureExtractor extractor(network, batch, 3, {8, 8}, "pictures");
    extractor.add(pictures);
    return extractor.features();
}

}  // namespace

TEST_CASE("feature network: configuration there and back, refusals") {
    const FeatureConfig config = small_config();
    CHECK(parse_feature_config(to_json(config), "here") == config);
    for (const auto& [json, named] : std::vector<std::pair<std::string, std::string>>{
             {R"({"image_size": 10, "channels": 3, "width": 32, "classes": 10})", "image_size is 10"},
             {R"({"image_size": 16, "channels": 2, "width": 32, "classes": 10})", "channels is 2"},
             {R"({"image_size": 16, "channels": 3, "width": 12, "classes": 10})", "width is 12"},
             {R"({"image_size": 16, "channels": 3, "width": 32, "classes": 1})", "classes is 1"},
             {R"({"image_size": 16, "channels": 3, "width": 32, "classes": 10, "rotations": true})",
              "expected 4 rotations"},
             {R"({"image_size": 16, "channels": 3, "width": 32})", "classes"}}) {
        CAPTURE(json);
        try {
            parse_feature_config(json, "here");
            FAIL("accepted");
        } catch (const UsageError& error) {
            CHECK(std::string(error.what()).find(named) != std::string::npos);
        }
    }
    CHECK_THROWS_WITH_AS(
        feature_preset("features_8"),
        "--preset features_8: no such preset, expected one of features_16, features_32, features_64",
        UsageError);
}

DEVICE_TEST("features of a picture depend on batch and backend by rounding alone") {
    const std::vector<std::uint8_t> pictures = pictures_of(small_config(), 5);
    const FeatureMatrix at_once = features(device, 5, pictures), in_parts = features(device, 2, pictures),
                        cpu = features(Device::cpu, 5, pictures);
    REQUIRE(at_once.rows() == 5);
    CHECK(at_once.width == 32);
    REQUIRE(in_parts.values.size() == at_once.values.size());
    for (std::size_t i = 0; i < cpu.values.size(); ++i) {
        CHECK(std::fabs(at_once.values[i] - in_parts.values[i]) < 1e-5f);
        CHECK(std::fabs(at_once.values[i] - cpu.values[i]) < 1e-5f);
    }
    // Of different pictures they differ.
    CHECK(std::fabs(cpu.values[0] - cpu.values[32]) > 1e-4f);
}

TEST_CASE("feature network: pictures that do not fit are refused") {
    FeatureClassifier network(small_config(), Device::cpu);
    CHECK_THROWS_AS(network.require_fitting(3, {8, 9}, "here"), UsageError);
    CHECK_THROWS_AS(network.require_fitting(1, {8, 8}, "here"), UsageError);
    network.require_fitting(3, {8, 8}, "here");
}
