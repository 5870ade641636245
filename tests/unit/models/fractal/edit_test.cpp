// Redrawing a part of a picture.
#include "models/fractal/edit.h"
#include "models/fractal/image_values.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <memory>
#include <random>

#include "models/fractal/sample.h"
#include "models/metrics/likelihood.h"
#include "runtime/base/error.h"
#include "runtime/tensor/optimizer.h"
#include "tests/unit/kernels/check_values.h"
#include "tests/unit/models/fractal/random_fractal.h"

using namespace random_fractal;

namespace {

// All of its levels MAR, with five conditions.
FractalConfig mar_model(std::vector<std::int64_t> sizes, std::int64_t channels, bool guiding_pixel,
                        std::int64_t class_num = 4) {
    std::vector<std::string> types(sizes.size(), "mar");
    types.back() = "ar";
    return with_types(make_config(std::move(sizes), channels, class_num), types, 5, guiding_pixel);
}

const std::vector<FractalConfig> editable = {
    mar_model({8, 4, 1}, 3, false), mar_model({16, 8, 4, 1}, 3, true), mar_model({8, 2, 1}, 1, true),
    mar_model({8, 1}, 3, false, 0), of_codes(mar_model({8, 4, 1}, 1, false), 37)};

std::vector<std::uint8_t> random_bytes(std::int64_t count, unsigned seed, int bound = 256) {
    std::vector<std::uint8_t> bytes;
    for (const std::int32_t value : kernel_check::integers(count, seed, bound))
        bytes.push_back(static_cast<std::uint8_t>(value));
    return bytes;
}

// Single pixels, a box, or rows.
std::vector<std::uint8_t> random_mask(std::int64_t size, std::mt19937& engine) {
    std::vector<std::uint8_t> mask(static_cast<std::size_t>(size * size));
    const auto random = [&](std::int64_t bound) {
        return std::uniform_int_distribution<std::int64_t>(0, bound - 1)(engine);
    };
    if (random(2) == 0) {
        for (std::int64_t i = 0; i <= random(12); ++i)
            mask[static_cast<std::size_t>(random(size * size))] = 1;
        mask[static_cast<std::size_t>(random(size * size))] = 1;
        return mask;
    }
    const std::int64_t x = random(size), y = random(size), w = 1 + random(size - x), h = 1 + random(size - y);
    for (std::int64_t row = y; row < y + h; ++row)
        std::fill_n(mask.begin() + row * size + x, w, std::uint8_t{1});
    return mask;
}

std::string refusal(const FractalConfig& config, const std::vector<std::uint8_t>& mask) {
    try {
        require_editable(config, mask);
    } catch (const UsageError& error) {
        return error.what();
    }
    return "accepted";
}

}  // namespace

TEST_CASE("edit: known pixels come out byte for byte, and hidden ones are redrawn, for random masks") {
    std::mt19937 engine(5);
    for (const FractalConfig& config : editable) {
        const auto model = random_model(config);
        const std::int64_t s = config.image_size();
        for (const bool guided : {false, true}) {
            if (guided && config.class_num == 0) continue;
            SampleRule rule;
            rule.guidance = guided ? 3.0f : 1.0f;
            FractalSampler sampler(*model, 2, guided, std::vector<std::int64_t>(config.generators(), 3));
            const std::vector<std::int64_t> classes(2, config.class_num > 0 ? 1 : -1);
            std::int64_t hidden = 0, redrawn = 0;
            for (unsigned trial = 0; trial < 12; ++trial) {
                const HostImages picture = random_images(config, 1, trial);
                const std::vector<std::uint8_t> mask = random_mask(s, engine);
                rule.seed = trial;
                const EditTask task{picture.view(), mask};
                const std::vector<std::int32_t> images = drawn_values(config, sampler, classes, rule, &task);
                std::int64_t touched = 0;
                for (std::size_t i = 0; i < images.size(); ++i) {
                    const bool changed = images[i] != picture.values()[i % picture.values().size()];
                    if (mask[i % mask.size()] == 0) touched += changed;
                    hidden += mask[i % mask.size()];
                    redrawn += mask[i % mask.size()] != 0 && changed;
                }
                CHECK(touched == 0);
            }
            CHECK(redrawn > hidden * 3 / 4);
        }
    }
}

TEST_CASE("edit: with everything hidden it is sampling") {
    for (const FractalConfig& config : editable) {
        const auto model = random_model(config);
        const std::int64_t s = config.image_size();
        const HostImages picture = random_images(config, 1, 1);
        const std::vector<std::uint8_t> mask(static_cast<std::size_t>(s * s), 1);
        const EditTask task{picture.view(), mask};
        const std::vector<std::int64_t> classes(3, config.class_num > 0 ? 2 : -1);
        FractalSampler sampler(*model, 3, false);
        SampleRule rule;
        rule.seed = 9;
        CHECK(drawn_values(config, sampler, classes, rule, &task) ==
              drawn_values(config, sampler, classes, rule));
    }
}

TEST_CASE("edit: what is drawn depends on what is known") {
    const auto model = random_model(editable[0]);
    const std::vector<std::uint8_t> mask = [] {
        std::vector<std::uint8_t> half(64);
        std::fill_n(half.begin(), 32, std::uint8_t{1});
        return half;
    }();
    FractalSampler sampler(*model, 1, false);
    const std::vector<std::int64_t> classes = {1};
    const auto drawn = [&](unsigned seed) {
        const std::vector<std::uint8_t> picture = random_bytes(3 * 64, seed);
        const auto image = sampler.edit({picture, mask}, classes, {});
        return std::vector<std::uint8_t>(image.begin(), image.begin() + 32);
    };
    CHECK(drawn(1) == drawn(1));
    CHECK(drawn(1) != drawn(2));
}

TEST_CASE("edit: an AR level redoes all that comes after its first hidden patch, or nothing") {
    FractalConfig config = mar_model({8, 4, 1}, 3, false);
    std::vector<std::uint8_t> lower(64), corner(64), middle(64);
    std::fill(lower.begin() + 32, lower.end(), std::uint8_t{1});
    corner[63] = 1;
    middle[27] = 1;
    CHECK(refusal(config, middle) == "accepted");
    config.generator_type_list = {"ar", "ar", "ar"};
    CHECK(refusal(config, lower) == "accepted");
    CHECK(refusal(config, corner) == "accepted");
    CHECK(refusal(config, middle).find("AR level 0") != std::string::npos);
    std::vector<std::uint8_t> last = corner;
    last[62] = 1;
    CHECK(refusal(config, last) == "accepted");
    last[63] = 0;
    CHECK(refusal(config, last).find("row 7, column 7 known") != std::string::npos);
    config.generator_type_list = {"mar", "ar", "ar"};
    CHECK(refusal(config, lower) == "accepted");
    CHECK(refusal(config, middle) == "accepted");  // pixel (3, 3) is the last of its patch
    middle[26] = 1;
    middle[27] = 0;
    CHECK(refusal(config, middle).find("AR level 1") != std::string::npos);
    CHECK(refusal(config, std::vector<std::uint8_t>(64)).find("the mask is empty") != std::string::npos);

    config.generator_type_list = {"ar", "ar", "ar"};
    const auto model = random_model(config);
    const std::vector<std::uint8_t> picture = random_bytes(3 * 64, 4);
    FractalSampler sampler(*model, 2, false);
    const std::vector<std::int64_t> classes = {0, 3};
    const std::vector<std::uint8_t> images = sampler.edit({picture, lower}, classes, {});
    for (std::size_t i = 0; i < images.size(); ++i)
        if (lower[i % 64] == 0) REQUIRE(images[i] == picture[i % picture.size()]);
    CHECK_FALSE(std::equal(images.begin(), images.begin() + 192, picture.begin()));
    CHECK(sampler.edit({picture, std::vector<std::uint8_t>(64, 1)}, classes, {}) ==
          sampler.sample(classes, {}));
    CHECK_THROWS_AS(sampler.edit({picture, middle}, classes, {}), UsageError);
}

TEST_CASE("edit: a guiding pixel stays within what the known pixels allow") {
    const FractalConfig config = mar_model({8, 4, 1}, 3, true);
    std::vector<std::uint8_t> picture(3 * 64), mask(64);
    std::fill_n(picture.begin(), 64, std::uint8_t{200});
    mask[0] = mask[1] = mask[8] = mask[9] = 1;  // a quarter of the first patch
    const std::vector<PatchOrigin> origins = {{0, 0}, {4, 4}};
    const EditTask task{picture, mask};
    const std::vector<std::uint8_t> limits = guiding_limits(config, 1, task, origins);
    // [channel, image, (smallest, largest)]: 12 of 16 pixels are known in the first image, all in the second.
    CHECK(limits == std::vector<std::uint8_t>{150, 214, 200, 200, 0, 64, 0, 0, 0, 64, 0, 0});

    const auto model = random_model(config);
    FractalSampler sampler(*model, 1, false);
    sampler.keep_draws(true);
    const std::vector<std::int64_t> classes = {1};
    std::int64_t guiding = 0;
    for (std::uint64_t seed = 0; seed < 20; ++seed) {
        SampleRule rule;
        rule.seed = seed;
        sampler.edit(task, classes, rule);
        for (const DrawRecord& draw : sampler.draws()) {
            if (draw.level != 1) continue;
            ++guiding;
            CHECK(draw.sequence_id == 0);
            CHECK(draw.value >= (draw.channel == 0 ? 150 : 0));
            CHECK(draw.value <= (draw.channel == 0 ? 214 : 64));
        }
    }
    CHECK(guiding == 20 * 3);
}

TEST_CASE("edit: a trace shows known pixels from the start and every drawn patch from its step on") {
    const FractalConfig config = editable[0];
    const auto model = random_model(config);
    const std::vector<std::uint8_t> picture = random_bytes(3 * 64, 4);
    std::vector<std::uint8_t> mask(64, 1);
    mask[5] = 0;
    FractalSampler sampler(*model, 2, false, {3, 4});
    std::vector<std::int64_t> known_counts;
    std::vector<std::uint8_t> last;
    sampler.trace([&](const ImageValues& values, std::span<const std::uint8_t> known) {
        const auto images = std::get<std::span<const std::uint8_t>>(values);
        REQUIRE(images.size() == 2 * 3 * 64);
        REQUIRE(known.size() == 2 * 64);
        CHECK(known[5] == 1);
        CHECK(images[5] == picture[5]);
        known_counts.push_back(std::ranges::count(known, std::uint8_t{1}));
        last.assign(images.begin(), images.end());
    });
    const auto images = sampler.edit({picture, mask}, std::vector<std::int64_t>{0, 1}, {});
    CHECK(known_counts.size() == 4);
    CHECK(known_counts[0] == 2);
    CHECK(std::ranges::is_sorted(known_counts));
    CHECK(known_counts[1] < 128);
    CHECK(known_counts.back() == 128);
    CHECK(last == images);
}

TEST_CASE("edit: a trained model fills a hole with something likelier than noise") {
    // Pictures of one brightness each, which the model learns within seconds.
    const FractalConfig config = mar_model({8, 4, 1}, 1, false, 0);
    FractalModel model(config, Device::cpu);
    model.parameters().allocate(Device::cpu, true);
    model.parameters().initialize(1);
    Optimizer optimizer(model.parameters(), Device::cpu, {});
    Tape tape(Device::cpu);
    tape.set_recording(true);
    constexpr std::int64_t batch = 16;
    std::vector<float> values(batch * 64);
    for (std::int64_t i = 0; i < batch * 64; ++i)
        values[static_cast<std::size_t>(i)] = static_cast<float>(i / 64 % 4) - 1.5f;
    std::vector<std::int64_t> samples(batch);
    FractalMasks masks;
    std::vector<float> scales(3);
    const auto job = [&] {
        const Tensor images = tape.create(batch, 64, false), totals = tape.create(3, 1, false, Element::f64);
        copy_to_tensor(tape, images, values.data(), values.size() * sizeof(float));
        zero_tensor(tape, totals);
        model.loss(tape, images, std::vector<std::int32_t>(batch), masks, scales, totals, {},
                   model.default_chunks());
    };
    const Plan plan = plan_job(tape, job);
    for (std::uint32_t step = 0; step < 250; ++step) {
        for (std::int64_t i = 0; i < batch; ++i) samples[static_cast<std::size_t>(i)] = step * batch + i;
        masks = training_masks(config, samples, 1, step);
        scales = loss_scales(config, 1, loss_terms(config, masks));
        model.parameters().zero_gradients();
        run_job(tape, plan, job);
        optimizer.update(step, 5e-3f);
    }
    const std::vector<std::uint8_t> picture = to_bytes(config, std::span<const float>(values).first(64));
    std::vector<std::uint8_t> mask(64);
    for (std::size_t i = 0; i < 64; ++i) mask[i] = i % 8 >= 2 && i % 8 < 7 && i / 8 >= 3 ? 1 : 0;
    FractalSampler sampler(model, 1, false);
    const std::vector<std::int64_t> unconditional = {-1};
    const std::vector<std::uint8_t> edited = sampler.edit({picture, mask}, unconditional, {});
    std::vector<std::uint8_t> noisy = picture, noise = random_bytes(64, 8);
    for (std::size_t i = 0; i < 64; ++i)
        if (mask[i] != 0) noisy[i] = noise[i];
    Likelihood likelihood(model, 1);
    const auto bits = [&](const std::vector<std::uint8_t>& image) {
        likelihood.restart();
        for (std::uint32_t pass = 0; pass < 8; ++pass) likelihood.add(image, unconditional, pass);
        return likelihood.bits_per_dim();
    };
    CHECK(bits(edited) < bits(noisy) - 1);
}
