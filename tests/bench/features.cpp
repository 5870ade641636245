// The networks whose features measure pictures, on batches of them: bytes in, features out.
#include <fmt/format.h>

#include <algorithm>

#include "models/metrics/feature_classifier.h"
#include "models/metrics/inception.h"
#include "tests/bench/table.h"

namespace {

// Positions along a side of a convolution's output, by its name.
std::int64_t inception_side(const std::string& name) {
    const auto starts = [&](std::string_view part) { return name.starts_with(part); };
    const auto is_any = [&](std::initializer_list<std::string_view> parts) {
        return std::ranges::any_of(parts, starts);
    };
    if (starts("Conv2d_1a")) return 149;
    if (starts("Conv2d_2")) return 147;
    if (starts("Conv2d_3b")) return 73;
    if (starts("Conv2d_4a")) return 71;
    if (starts("Mixed_5") || is_any({"Mixed_6a.branch3x3dbl_1", "Mixed_6a.branch3x3dbl_2"})) return 35;
    if (is_any({"Mixed_7b", "Mixed_7c", "Mixed_7a.branch3x3_2", "Mixed_7a.branch7x7x3_4"})) return 8;
    return 17;
}

double multiply_adds(const Inception& network) {
    double sum = 0;
    for (const Parameter& parameter : network.parameters().all()) {
        const auto side = static_cast<double>(inception_side(parameter.name));
        if (parameter.shape.size() == 4) sum += static_cast<double>(parameter.count) * side * side;
    }
    return sum + static_cast<double>(Inception::features * Inception::logits);
}

// The same of the classifier: two blocks of two convolutions in each stage.
double multiply_adds(const FeatureConfig& config) {
    double sum = 0, in = static_cast<double>(config.channels), out = static_cast<double>(config.width);
    auto pixels = static_cast<double>(config.image_size * config.image_size);
    sum += 9 * in * out * pixels;
    in = out;
    for (int stage = 0; stage < 3; ++stage, out *= 2, pixels /= 4) {
        sum += pixels * (9 * in * out + 3 * 9 * out * out + (in == out ? 0 : in * out));
        in = out;
    }
    return sum;
}

void bench_network(Table& table, const std::string& name, const FeatureNetwork& network, std::int64_t batch,
                   MapSize size, double operations, double goal) {
    FeatureExtractor extractor(network, batch, 3, size, name);
    std::vector<std::uint8_t> pictures(static_cast<std::size_t>(batch * 3 * size.height * size.width));
    for (std::size_t i = 0; i < pictures.size(); ++i)
        pictures[i] = static_cast<std::uint8_t>(i * 2654435761u >> 24);
    const auto images = static_cast<double>(batch);
    table.job(fmt::format("features, {}, batch {}", name, batch), images, images * operations, goal, [&] {
        extractor.restart();
        extractor.add(std::span<const std::uint8_t>(pictures));
    });
}

}  // namespace

void bench_features(Table& table) {
    if (!table.wants("features")) return;
    const bool smoke = table.effort().smoke, cpu = table.backend().device == Device::cpu;
    FeatureConfig config{32, 3, 32, 10, false};
    FeatureClassifier small(config, table.backend());
    small.parameters().allocate(table.backend(), false);
    small.parameters().initialize(1);
    small.parameters().round_values();
    bench_network(table, "features_32", small,
                  smoke ? 1
                  : cpu ? 64
                        : 1024,
                  {32, 32}, 2 * multiply_adds(config), 0);
    if (smoke) return;  // a picture of Inception takes an emulated device a minute
    const Inception inception(1, InceptionInput::pytorch_fid, table.backend());
    bench_network(table, "Inception-v3", inception, cpu ? 32 : 256, {256, 256}, 2 * multiply_adds(inception),
                  0.60);
}
