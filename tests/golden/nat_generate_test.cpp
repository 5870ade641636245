// Tokens as the authors' release decodes them in four steps from the same random numbers.
#include <cmath>
#include <span>
#include <string>
#include <vector>

#include "models/nat/generate.h"
#include "tests/golden/nat_golden.h"
#include "tests/unit/models/device_model.h"

namespace {

// One step's part of an array [T, ...].
template <class Values>
auto part(const Values& values, std::int64_t step, std::size_t count) {
    const auto first =
        values.begin() + static_cast<std::ptrdiff_t>(step) * static_cast<std::ptrdiff_t>(count);
    return std::vector<typename Values::value_type>(first, first + static_cast<std::ptrdiff_t>(count));
}

// Relative to the largest expected value; infinite ones must be infinite.
double difference(const std::vector<float>& actual, std::span<const float> expected) {
    if (actual.size() != expected.size()) return INFINITY;
    double largest = 0, most = 0;
    for (std::size_t i = 0; i < actual.size(); ++i) {
        if (std::isinf(expected[i]) || std::isinf(actual[i])) {
            if (actual[i] != expected[i]) return INFINITY;
            continue;
        }
        largest = std::max(largest, std::abs(static_cast<double>(expected[i])));
        most = std::max(most, std::abs(static_cast<double>(actual[i]) - static_cast<double>(expected[i])));
    }
    return most / largest;
}

}  // namespace

DEVICE_TEST("golden: tokens decoded in four steps") {
    [[maybe_unused]] const HostAccessAllowed open;
    const NatGolden golden("generate", device);
    const auto schedule = [&](const char* name) {
        const auto values = golden.arrays.floats(std::string("generate.manual_") + name);
        return std::vector<double>(values.begin(), values.end());
    };
    const Strategy strategy{schedule("ratios"), schedule("temp"), schedule("samp_temp"), schedule("cfg")};
    const auto classes = golden.arrays.integers("generate.context");
    NatGenerator generator(golden.model, static_cast<std::int64_t>(classes.size()), true);
    generator.replay(golden.arrays.floats("generate.uniforms"), golden.arrays.floats("generate.gumbel"));
    const auto count = classes.size() * 256;
    const auto before = golden.integers("generate.ids_before_step"),
               drawn = golden.integers("generate.drawn_ids");
    const auto confidence = golden.arrays.floats("generate.confidence");
    int steps = 0;
    generator.watch(
        [&](const DecodedStep& step) {
            CAPTURE(step.step);
            CHECK(step.step == steps++);
            CHECK(step.ids == part(before, step.step, count));
            CHECK(step.drawn == part(drawn, step.step, count));
            CHECK(difference(step.confidence,
                             confidence.subspan(static_cast<std::size_t>(step.step) * count, count)) < 1e-5);
            if (step.step == 2)
                CHECK(difference(step.guided_logits, golden.arrays.floats("generate.guided_logits_step2")) <
                      1e-5);
        },
        true);
    const std::vector<std::int32_t> tokens = generator.generate(classes, strategy, {});
    CHECK(steps == 4);
    CHECK(tokens == golden.integers("generate.final_ids"));
}
