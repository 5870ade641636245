// Sampling and likelihoods on the device: the CPU's results, the same with and without recorded graphs.
#include "models/metrics/likelihood.h"
#include "runtime/base/error.h"
#include "tests/unit/kernels/check_values.h"
#include "tests/unit/models/device_model.h"

#if __has_include("emulated/runtime_calls.h")
#include "tests/emulator/calls.h"
#include "tests/emulator/emulated_device.h"
#endif

using namespace device_model;
using namespace random_fractal;

namespace {

double bits_per_dim(const FractalModel& model, const ImageValues& images, std::int64_t count) {
    Likelihood likelihood(model, count);
    likelihood.add(images, std::vector<std::int64_t>(static_cast<std::size_t>(count), 1));
    return likelihood.bits_per_dim();
}

}  // namespace

CUDA_TEST("device: images are the CPU's but where a number falls within rounding of another value") {
    int equal = 0, all = 0;
    for (const FractalConfig& config : small_models)
        for (const float guidance : {1.0f, 2.5f}) {
            CAPTURE(config.generator_type_list);
            const auto cpu = random_model(config), gpu = on_gpu(*cpu, Precision::fp32);
            SampleRule rule;
            rule.guidance = guidance;
            rule.filter_threshold = 1e-4f;
            rule.first_image = 7;
            const Drawn expected = draw(*cpu, rule), drawn = draw(*gpu, rule);
            CHECK(real_difference(drawn, expected) == "");
            equal += drawn.images == expected.images;
            ++all;
        }
    CHECK(equal > all / 2);
}

CUDA_TEST("device: edits are the CPU's and keep what is known") {
    for (const FractalConfig& config : {mar, guided, mixed, mar_codes}) {
        CAPTURE(config.generator_type_list);
        const auto cpu = random_model(config), gpu = on_gpu(*cpu, Precision::fp32);
        const HostImages picture = random_images(config, 1, 3);
        std::vector<std::uint8_t> mask(16);  // the lower half and, of a MAR level, two pixels above
        std::fill_n(mask.begin() + 8, 8, std::uint8_t{1});
        if (config.is_mar(0)) mask[2] = mask[5] = 1;
        const EditTask task{picture.view(), mask};
        SampleRule rule;
        rule.guidance = 2;
        const Drawn expected = draw(*cpu, rule, 2, &task), drawn = draw(*gpu, rule, 2, &task);
        CHECK(real_difference(drawn, expected) == "");
        for (std::size_t i = 0; i < drawn.images.size(); ++i)
            if (mask[i % mask.size()] == 0)
                CHECK(drawn.images[i] == picture.values()[i % picture.values().size()]);
    }
}

namespace {

// A sampler that replays graphs beside samplers of their own, which do not.
struct Replaying {
    Replaying(const FractalConfig& config, Precision precision)
        : model(on_gpu(*random_model(config), precision)), sampler(make()) {}

    std::unique_ptr<FractalSampler> make() const {
        const ChunkSizes several{3, 2, 8};  // a part of them smaller than the others
        return std::make_unique<FractalSampler>(*model, 3, true, iterations(model->config()), several);
    }
    std::vector<std::int32_t> drawn_by(FractalSampler& which, const SampleRule& rule,
                                       std::size_t count = 3) const {
        return drawn_values(model->config(), which, first_labels(count), rule);
    }
    std::vector<std::int32_t> check(const SampleRule& rule, std::size_t count = 3) const {
        const auto plain = make();
        plain->keep_draws(true);
        const auto expected = drawn_by(*plain, rule, count);
        CHECK(drawn_by(*sampler, rule, count) == expected);
        return expected;
    }

    [[maybe_unused]] HostAccessAllowed open;
    std::unique_ptr<FractalModel> model;
    std::unique_ptr<FractalSampler> sampler;
};

}  // namespace

CUDA_TEST("device: replayed graphs draw what kernels queued one by one draw") {
    for (const Precision precision : {Precision::fp32, Precision::bf16})
        for (const FractalConfig& config : {ar, guided, mixed, ar_codes}) {
            CAPTURE(config.generator_type_list);
            const Replaying replaying(config, precision);
            SampleRule rule;
            rule.guidance = 2.5f;
            const auto first = replaying.check(rule);
            CHECK(replaying.drawn_by(*replaying.sampler, rule) == first);
            CHECK(replaying.check(rule, 2).size() < first.size());
            rule.seed = 1;
            CHECK(replaying.check(rule) != first);
        }
}

CUDA_TEST("device: what differs from what was recorded is not replayed") {
    const Replaying replaying(mar, Precision::fp32);
    SampleRule rule;
    rule.guidance = 2.5f;
    const auto first = replaying.check(rule);
    const auto differs = [&](auto change) {
        SampleRule other = rule;
        change(other);
        CHECK(replaying.check(other) != first);
    };
    differs([](SampleRule& other) { other.guidance = 40; });
    differs([](SampleRule& other) { other.linear_schedule = false; });
    differs([](SampleRule& other) { other.temperature = 0.3f; });
    differs([](SampleRule& other) { other.filter_threshold = 0.02f; });
    differs([](SampleRule& other) { other.greedy = true; });
    differs([](SampleRule& other) { other.first_image = 3; });
    CHECK(replaying.drawn_by(*replaying.sampler, rule) == first);
}

CUDA_TEST("device: other seeds and settings replay what was recorded") {
    for (const FractalConfig& config : {mar, ar, guided, mixed}) {
        CAPTURE(config.generator_type_list);
        const Replaying replaying(config, Precision::fp32);
        SampleRule rule;
        rule.guidance = 2.5f;
        rule.filter_threshold = 1e-4f;
        replaying.sampler->sample(first_labels(3), rule);
        replaying.sampler->sample(first_labels(3), rule);  // the very first step of all is not recorded
        const std::size_t graphs = replaying.sampler->graphs().size(),
                          nodes = replaying.sampler->graphs().nodes();
        CHECK(graphs > 0);
        for (int time = 1; time <= 6; ++time) {
            (time == 1   ? rule.guidance
             : time == 2 ? rule.temperature
             : time == 3 ? rule.filter_threshold
                         : rule.temperature) += 0.5f;
            rule.seed += static_cast<std::uint64_t>(time) << 40;
            rule.greedy = time == 4;
            rule.linear_schedule = time < 5;
            rule.first_image = 10 * time;
            if (time < 5)
                replaying.check(rule);
            else
                replaying.sampler->sample(first_labels(3), rule);
        }
        CHECK(replaying.sampler->graphs().size() == graphs);
        CHECK(replaying.sampler->graphs().nodes() == nodes);
    }
}

CUDA_TEST("device: graphs follow the weights that the parameters are told to use") {
    for (const Precision precision : {Precision::fp32, Precision::bf16}) {
        const auto cpu = random_model(mar), halved = random_model(mar), gpu = on_gpu(*cpu, precision);
        Parameters& parameters = gpu->parameters();
        const std::size_t floats = parameters.slab_floats(), bytes = floats * sizeof(float);
        float* const half = halved->parameters().values();
        for (std::size_t i = 0; i < floats; ++i) half[i] /= 2;
        const Memory average(Device::cuda, bytes);
        copy_to_device(Device::cuda, average.data(), half, bytes);
        FractalSampler sampler(*gpu, 2, false, iterations(mar));
        const auto newest = sampler.sample(first_labels(2), {});
        CHECK(sampler.sample(first_labels(2), {}) == newest);
        parameters.use_values(reinterpret_cast<float*>(average.data()));
        const auto averaged = sampler.sample(first_labels(2), {});
        const std::vector<std::int32_t> expected = draw(*on_gpu(*halved, precision), {}).images;
        CHECK(std::ranges::equal(averaged, expected));
        CHECK(averaged != newest);
        parameters.use_values(parameters.values());
        CHECK(sampler.sample(first_labels(2), {}) == newest);
    }
}

CUDA_TEST("device: likelihoods are the CPU's, in bf16 within 1 %") {
    for (const FractalConfig& config : small_models) {
        CAPTURE(config.generator_type_list);
        const auto cpu = random_model(config);
        const HostImages random = random_images(config, 3, 5);
        const ImageValues images = random.view();
        const double expected = bits_per_dim(*cpu, images, 3);
        CHECK(bits_per_dim(*on_gpu(*cpu, Precision::fp32), images, 3) ==
              doctest::Approx(expected).epsilon(1e-5));
        CHECK(bits_per_dim(*on_gpu(*cpu, Precision::bf16), images, 3) ==
              doctest::Approx(expected).epsilon(0.01));
    }
}

CUDA_TEST("device: what is drawn in bf16 is as likely as what is drawn in fp32") {
    for (const FractalConfig& config : {ar, two_levels}) {
        const auto cpu = random_model(config);
        const auto rounding = on_gpu(*cpu, Precision::bf16);
        FractalSampler plain(*cpu, 16, false), rounded(*rounding, 16, false);
        const std::vector<std::int64_t> classes(16, 1);
        const double expected = bits_per_dim(*cpu, plain.sample(classes, {}), 16),
                     noise = bits_per_dim(*cpu, random_images(config, 16, 1).view(), 16),
                     bits = bits_per_dim(*cpu, rounded.sample(classes, {}), 16);
        CHECK(std::abs(bits - expected) < (noise - expected) / 4);
    }
}

#if __has_include("emulated/runtime_calls.h")

TEST_CASE("device: no step waits for the host, whatever their number") {
    struct Counts {
        std::int64_t waits, copies, recorded, allocations, graphs, launches;
    };
    const HostAccessAllowed open;
    const auto count = [](const FractalConfig& config) {
        const auto cpu = random_model(config), gpu = on_gpu(*cpu, Precision::fp32);
        FractalSampler sampler(*gpu, 2, false, std::vector<std::int64_t>(config.generators(), 100));
        emulator::Calls& calls = emulator::calls();
        std::vector<Counts> counts;
        for (std::uint64_t time = 0; time < 2; ++time) {
            calls.synchronizations = calls.host_copies = calls.recorded_host_copies = calls.allocations = 0;
            calls.graphs = calls.graph_launches = 0;
            SampleRule rule;
            rule.seed = time;
            rule.temperature = 1 + static_cast<float>(time);
            sampler.sample(first_labels(2), rule);
            counts.push_back({calls.synchronizations, calls.host_copies, calls.recorded_host_copies,
                              calls.allocations, calls.graphs, calls.graph_launches});
        }
        return counts;
    };
    for (const std::string type : {"ar", "mar"}) {
        CAPTURE(type);
        const auto with_tokens = [&](std::int64_t size) {
            return count(with_types(make_config({size, 2, 1}, 1, 5), {type, type, "ar"}, 4));
        };
        const auto few = with_tokens(4), many = with_tokens(8);  // 4 and 16 steps
        for (std::size_t time = 0; time < 2; ++time) {
            CHECK(many[time].waits == few[time].waits);
            CHECK(many[time].copies == few[time].copies);
            CHECK(many[time].recorded == 0);
            CHECK(many[time].copies < 10);
        }
        // Of 16 x 4 steps of level 1 all but the very first; of an AR level each position is a graph of its own.
        CHECK(many[0].launches == 63);
        CHECK(many[0].graphs == (type == "ar" ? 4 : 1));
        CHECK(many[1].launches == 64);
        CHECK(many[1].graphs == 0);
        CHECK(many[1].allocations == 0);
    }
}

TEST_CASE("device: what does not fit into its memory says what it needs and what would fit") {
    const auto cpu = random_model(ar), gpu = on_gpu(*cpu, Precision::fp32);
    FractalSampler sampler(*gpu, 2, false);
    Likelihood likelihood(*gpu, 2);
    const HostImages random = random_images(ar, 2, 1);
    const ImageValues images = random.view();
    const std::vector<std::int64_t> classes(2, 1);
    const std::size_t before = emulator::emulated_device().memory;
    emulator::emulated_device().memory = emulator::device_bytes_used() + 1024;
    CHECK_THROWS_WITH_AS(sampler.sample(classes, {}), doctest::Contains("sampling 2 images at once needs"),
                         Error);
    CHECK_THROWS_WITH_AS(likelihood.add(images, classes), doctest::Contains("(--batch)"), Error);
    emulator::emulated_device().memory = before;
    CHECK(sampler.sample(classes, {}).size() == random.values().size());
    likelihood.add(images, classes);
    CHECK(likelihood.bits_per_dim() == doctest::Approx(bits_per_dim(*cpu, images, 2)).epsilon(1e-5));
}

#endif
