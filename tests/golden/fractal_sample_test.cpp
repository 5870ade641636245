// Images byte for byte as the authors' release draws them from the same uniform numbers.
#include <fmt/format.h>

#include "models/fractal/sample.h"
#include "tests/golden/fractal_golden.h"

namespace {

// Description of the first pixel draw that differs from the expected images, with its margin.
std::string first_difference(const FractalConfig& config, const std::vector<DrawRecord>& draws,
                             std::span<const std::uint8_t> expected) {
    const std::int64_t size = config.image_size(), C = config.channels;
    for (std::size_t d = 0; d < draws.size(); ++d) {
        if (draws[d].level != config.generators()) continue;
        std::int64_t sequence_id = draws[d].sequence_id, y = 0, x = 0;
        // The pixel's place: its sequence_id read from the innermost level outwards.
        for (std::size_t level = config.generators(); level-- > 0;) {
            const std::int64_t L = config.tokens(level), p = config.patch_size(level),
                               side = config.img_size_list[level] / p;
            y += sequence_id % L / side * p;
            x += sequence_id % L % side * p;
            sequence_id /= L;
        }
        const int wanted =
            expected[static_cast<std::size_t>(((sequence_id * C + draws[d].channel) * size + y) * size + x)];
        if (draws[d].value != wanted)
            return fmt::format(
                "draw {} (image {}, row {}, column {}, channel {}): value {}, expected {}; uniform {} is {} "
                "from the edge of what was drawn",
                d, sequence_id, y, x, draws[d].channel, draws[d].value, wanted, draws[d].uniform,
                draws[d].margin);
    }
    return "no draw differs";
}

std::vector<std::vector<std::int64_t>> recorded_orders(const FractalGolden& golden,
                                                       const std::string& which) {
    std::vector<std::vector<std::int64_t>> orders;
    for (std::string name;
         golden.arrays.contains(name = "sample." + which + ".orders." + std::to_string(orders.size()));)
        orders.push_back(golden.arrays.integers(name));
    return orders;
}

void check_images(Device device, const std::string& name, const std::string& which, float guidance) {
    const FractalGolden golden(name, device);
    const auto labels = golden.arrays.integers("sample.labels");
    SampleRule rule;
    rule.temperature = 1.03f;
    rule.filter_threshold = 1e-4f;
    rule.guidance = guidance;
    rule.greedy = which == "greedy_cfg1";
    // Whole levels at once, as the release draws them: its numbers come in that order.
    const ChunkSizes whole(golden.model.config().img_size_list.size(), 1 << 20);
    FractalSampler sampler(golden.model, static_cast<std::int64_t>(labels.size()), guidance != 1,
                           golden.iterations(), whole);
    sampler.keep_draws(true);
    sampler.replay(
        rule.greedy ? std::span<const float>() : golden.arrays.floats("sample." + which + ".uniforms"),
        recorded_orders(golden, which));
    const auto images = sampler.sample(labels, rule);
    const auto expected = golden.arrays.bytes_u8("sample." + which + ".image_u8");
    const bool equal = std::ranges::equal(images, expected);
    CHECK_MESSAGE(equal, name, " ", which, ": ",
                  first_difference(golden.model.config(), sampler.draws(), expected));
}

}  // namespace

DEVICE_TEST("golden: sampled images") {
    for (const std::string name :
         {"fractalar_tiny", "fractalar_two_level_tiny", "fractalmar_tiny", "fractalmar_guided_tiny"}) {
        check_images(device, name, "greedy_cfg1", 1);
        check_images(device, name, "cfg1", 1);
        check_images(device, name, "cfg3", 3);
    }
}
