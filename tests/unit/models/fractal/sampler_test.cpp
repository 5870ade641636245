// Properties of the sampler of fractal models of any configuration.
#include <doctest/doctest.h>

#include <cmath>

#include "models/fractal/sample.h"
#include "runtime/base/error.h"
#include "runtime/ops/masking_ops.h"
#include "tests/unit/kernels/check_values.h"
#include "tests/unit/models/device_model.h"

using namespace random_fractal;
using namespace kernel_check;
using device_model::on_gpu;

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

DEVICE_TEST("sampler: a MAR level's conditions are the same when their rows alone are computed") {
    for (const FractalConfig& config : mar_configs)
        for (std::size_t level = 0; level < config.generators(); ++level) {
            if (!config.is_mar(level)) continue;
            const auto cpu = random_model(config);
            const auto gpu = device == Device::cuda ? on_gpu(*cpu, Precision::fp32) : nullptr;
            const FractalModel& model = gpu ? *gpu : *cpu;
            const MarLevel& generator = model.mar_level(level);
            const std::int64_t L = config.tokens(level), M = 7, p = config.patch_size(level);
            std::vector<std::int32_t> chosen;
            for (std::int32_t patch = 0; patch < M * L; patch += 3) chosen.push_back(patch);
            const auto count = static_cast<std::int64_t>(chosen.size()),
                       width = config.conditions(level + 1) * config.embed_dim_list[level];
            std::vector<float> all(static_cast<std::size_t>(count * width)), alone = all;
            Tape tape(model.backend());
            const auto job = [&] {
                const auto numbers = [&](std::int64_t rows, std::int64_t columns, int seed) {
                    return device_copy(tape, uniform(rows * columns, seed), rows);
                };
                const Tensor patches = numbers(M * L, config.channels * p * p, 1),
                             conditions =
                                 numbers(M, config.conditions(level) * config.condition_width(level), 2),
                             guide = config.guides(level) ? numbers(M, config.channels, 3) : Tensor(),
                             selected = device_copy(tape, chosen, count);
                std::vector<std::uint8_t> hidden(static_cast<std::size_t>(M * L));
                for (std::size_t i = 0; i < hidden.size(); i += 2) hidden[i] = 1;
                const Tensor mask = device_copy(tape, hidden, M);
                const MarLevel::Prefix prefix = generator.prefix(tape, conditions, guide);
                const Tensor from_all =
                    neighbour_conditions(tape, generator.forward(tape, patches, prefix, mask, Tensor(), {}),
                                         selected, Tensor(), generator.neighbours());
                const Tensor from_rows =
                    generator.next_conditions(tape, generator.attend(tape, patches, prefix, mask), selected);
                copy_from_tensor(tape, all.data(), from_all, all.size() * sizeof(float));
                copy_from_tensor(tape, alone.data(), from_rows, alone.size() * sizeof(float));
            };
            run_job(tape, plan_job(tape, job), job);
            CAPTURE(config.generator_type_list);
            CAPTURE(level);
            if (device == Device::cpu)
                CHECK(same_bits(alone, all));
            else
                CHECK(relative_error(alone, std::vector<double>(all.begin(), all.end())) < 1e-5);
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
