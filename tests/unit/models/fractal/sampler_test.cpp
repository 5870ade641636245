// Properties of the sampler of fractal models of any configuration.
#include <doctest/doctest.h>

#include <cmath>

#include "models/fractal/sample.h"
#include "runtime/base/error.h"
#include "tests/unit/models/fractal/random_fractal.h"

using namespace random_fractal;

TEST_CASE("sampler: an image depends on its number, class and seed alone") {
    for (const FractalConfig& config : configs)
        for (const float guidance : {1.0f, 2.5f}) {
            if (config.class_num == 0 && guidance != 1) continue;
            const auto model = random_model(config);
            SampleRule rule;
            rule.guidance = guidance;
            rule.filter_threshold = 1e-4f;
            rule.first_image = 7;
            FractalSampler four(*model, 4, guidance != 1), one(*model, 1, guidance != 1);
            const std::vector<std::int64_t> classes = config.class_num > 0
                                                          ? std::vector<std::int64_t>{0, 4, 2, -1}
                                                          : std::vector<std::int64_t>(4, -1);
            const std::vector<std::int32_t> images = drawn_values(config, four, classes, rule);
            CHECK(drawn_values(config, four, classes, rule) == images);
            const std::size_t dims = images.size() / 4;
            for (std::size_t i = 0; i < 4; ++i) {
                SampleRule alone = rule;
                alone.first_image += static_cast<std::int64_t>(i);
                const std::vector<std::int32_t> image =
                    drawn_values(config, one, std::span(classes).subspan(i, 1), alone);
                CHECK(std::equal(image.begin(), image.end(),
                                 images.begin() + static_cast<std::ptrdiff_t>(i * dims)));
            }
            rule.seed = 1;
            CHECK(drawn_values(config, four, classes, rule) != images);
        }
}

TEST_CASE("sampler: guidance") {
    for (const FractalConfig& config : {configs[0], code_ar_configs[0]}) {
        const auto model = random_model(config);
        const std::vector<std::int64_t> classes = {1, 2}, unconditional = {-1, -1};
        SampleRule rule;
        FractalSampler unguided(*model, 2, false), guided(*model, 2, true);
        const auto with = [&](FractalSampler& sampler, const std::vector<std::int64_t>& drawn) {
            return drawn_values(config, sampler, drawn, rule);
        };
        const std::vector<std::int32_t> plain = with(unguided, classes);
        rule.guidance = std::nextafter(1.0f, 2.0f);
        CHECK(with(guided, classes) == plain);
        rule.guidance = 4;
        const std::vector<std::int32_t> linear = with(guided, classes);
        CHECK(linear != plain);
        rule.linear_schedule = false;
        CHECK(with(guided, classes) != linear);
        const std::vector<std::int32_t> strong = with(guided, unconditional);
        rule.guidance = 1;
        CHECK(with(unguided, unconditional) == strong);
    }
}

TEST_CASE("sampler: what it refuses") {
    const auto model = random_model(configs[0]);
    FractalSampler sampler(*model, 2, false);
    for (const std::int64_t label : {-2, 5, 1000}) {
        const std::vector<std::int64_t> classes = {0, label};
        CHECK_THROWS_WITH_AS(sampler.sample(classes, {}), doctest::Contains(std::to_string(label).c_str()),
                             UsageError);
    }
    CHECK_THROWS_AS(sampler.sample(std::vector<std::int64_t>(3, 0), {}), std::logic_error);
    CHECK_THROWS_AS(sampler.sample({}, {}), std::logic_error);
    SampleRule rule;
    rule.guidance = 2;
    CHECK_THROWS_AS(sampler.sample(std::vector<std::int64_t>{0}, rule), std::logic_error);
    const auto unlabelled = random_model(ar_configs[2]);
    CHECK_THROWS_WITH_AS(FractalSampler(*model, 1, false, {4}), doctest::Contains("one per level"),
                         UsageError);
    CHECK_THROWS_AS(FractalSampler(*unlabelled, 1, true), UsageError);
    CHECK_THROWS_AS(FractalSampler(*unlabelled, 1, false).sample(std::vector<std::int64_t>{0}, {}),
                    UsageError);
    CHECK_THROWS_AS(sampler.sample_codes(std::vector<std::int64_t>{0}, {}), std::logic_error);
    const auto codes = random_model(code_ar_configs[0]);
    CHECK_THROWS_AS(FractalSampler(*codes, 1, false).sample(std::vector<std::int64_t>{0}, {}),
                    std::logic_error);
}
