// The networks whose features measure pictures, on batches of them: bytes in, features out.
#include <fmt/format.h>

#include <algorithm>

#include "models/metrics/feature_cost.h"
#include "tests/bench/table.h"

namespace {

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
                  {32, 32}, 2 * feature_multiply_adds(config), 0);
    if (smoke) return;  // a picture of Inception takes an emulated device a minute
    const Inception inception(1, InceptionInput::pytorch_fid, table.backend());
    bench_network(table, "Inception-v3", inception, cpu ? 32 : 256, {256, 256}, 2 * inception_multiply_adds(),
                  0.60);
}
