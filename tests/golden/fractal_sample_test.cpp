// Images byte for byte as the authors' release draws them from the same uniform numbers.
#include <fmt/format.h>

#include "models/fractal/sample.h"
#include "tests/golden/fractal_golden.h"

namespace {

// Finds the first draw that differs from the expected images and says how close it was.
std::string first_difference(const FractalConfig& config, const std::vector<DrawRecord>& draws,
                             std::span<const std::uint8_t> expected, std::int64_t rows) {
    const std::int64_t size = config.image_size(), C = config.channels;
    for (std::size_t d = 0; d < draws.size(); ++d) {
        const std::int64_t row = static_cast<std::int64_t>(d) % rows,
                           channel = static_cast<std::int64_t>(d) / rows % C;
        std::int64_t pixel = static_cast<std::int64_t>(d) / (rows * C), y = 0, x = 0;
        // The pixel's place: its path read from the innermost level outwards.
        for (std::size_t level = config.generators(); level-- > 0;) {
            const std::int64_t L = config.tokens(level), p = config.patch_size(level),
                               side = config.img_size_list[level] / p;
            const std::int64_t t = pixel % L;
            y += t / side * p;
            x += t % side * p;
            pixel /= L;
        }
        const int wanted = expected[static_cast<std::size_t>(((row * C + channel) * size + y) * size + x)];
        if (draws[d].value != wanted)
            return fmt::format(
                "draw {} (image {}, row {}, column {}, channel {}): value {}, expected {}; uniform {} is {} "
                "from the "
                "edge of what was drawn",
                d, row, y, x, channel, draws[d].value, wanted, draws[d].uniform, draws[d].margin);
    }
    return "no draw differs";
}

void check_images(Device device, const std::string& name, const std::string& which, float guidance) {
    const FractalGolden golden(name, device);
    const auto labels = golden.arrays.integers("sample.labels");
    SampleRule rule;
    rule.temperature = 1.03f;
    rule.filter_threshold = 1e-4f;
    rule.guidance = guidance;
    rule.greedy = which == "greedy_cfg1";
    FractalSampler sampler(golden.model, static_cast<std::int64_t>(labels.size()), guidance != 1);
    sampler.keep_draws(true);
    if (!rule.greedy) sampler.replay(golden.arrays.floats("sample." + which + ".uniforms"));
    const auto images = sampler.sample(labels, rule);
    const auto expected = golden.arrays.bytes_u8("sample." + which + ".image_u8");
    const bool equal = std::ranges::equal(images, expected);
    CHECK_MESSAGE(equal, name, " ", which, ": ",
                  first_difference(golden.model.config(), sampler.draws(), expected,
                                   static_cast<std::int64_t>(labels.size())));
}

}  // namespace

DEVICE_TEST("golden: sampled images") {
    for (const std::string name : {"fractalar_tiny", "fractalar_two_level_tiny"}) {
        check_images(device, name, "greedy_cfg1", 1);
        check_images(device, name, "cfg1", 1);
        check_images(device, name, "cfg3", 3);
    }
}
