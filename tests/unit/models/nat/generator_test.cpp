// Properties of parallel decoding, for any weights, on the CPU and on the device.
#include "models/nat/generate.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <memory>
#include <set>

#include "models/nat/halton_order.h"
#include "models/nat/pictures.h"
#include "models/nat/strategy_heuristics.h"
#include "models/nat/strategy_steps.h"
#include "runtime/base/error.h"
#include "tests/unit/models/device_model.h"

#if __has_include("emulated/runtime_calls.h")
#include "tests/emulator/calls.h"
#endif

namespace {

constexpr std::int64_t N = 16, K = 11;

NatConfig small_config() {
    NatConfig config;
    config.img_size = 4;
    config.codebook_size = K;
    config.embed_dim = 16;
    config.depth = 2;
    config.num_heads = 2;
    config.num_classes = 5;
    config.validate("test");
    return config;
}

// Weights large enough that classes and neighbours matter.
std::unique_ptr<NatTransformer> random_model(Backend backend) {
    const Device device = backend.device;
    auto model = std::make_unique<NatTransformer>(small_config(), backend);
    Parameters& parameters = model->parameters();
    parameters.allocate(backend, false);
    parameters.initialize(1);
    std::vector<float> values(parameters.slab_floats());
    copy_from_device(device, values.data(), parameters.values(), values.size() * sizeof(float));
    for (const Parameter& parameter : parameters.all())
        if (parameter.init == Init::normal)
            for (std::int64_t i = 0; i < parameter.count; ++i)
                values[parameter.offset + static_cast<std::size_t>(i)] *= 25;
    copy_to_device(device, parameters.values(), values.data(), values.size() * sizeof(float));
    parameters.round_values();
    return model;
}

using Ids = std::vector<std::int32_t>;

Ids generate(const NatTransformer& model, const std::vector<std::int64_t>& classes, const Strategy& strategy,
             const GenerationRule& rule = {}) {
    NatGenerator generator(model, static_cast<std::int64_t>(classes.size()), strategy.guided());
    return generator.generate(classes, strategy, rule);
}

Ids image(const Ids& ids, std::size_t number) {
    const auto first = ids.begin() + static_cast<std::ptrdiff_t>(number) * N;
    return {first, first + N};
}

}  // namespace

DEVICE_TEST("generator: an image depends on its number, its class, the seed and the strategy alone") {
    [[maybe_unused]] const HostAccessAllowed open;
    const auto model = random_model(device);
    const Strategy strategy = named_strategy("cosine", 3, 2);
    const Ids all = generate(*model, {0, 1, 2, -1, 0}, strategy, {7, 100});
    CHECK(generate(*model, {0, 1, 2, -1, 0}, strategy, {7, 100}) == all);
    CHECK(generate(*model, {2}, strategy, {7, 102}) == image(all, 2));
    CHECK(generate(*model, {-1, 0}, strategy, {7, 103}) == Ids(all.end() - 2 * N, all.end()));
    CHECK(image(all, 0) != image(all, 4));
    CHECK(generate(*model, {0, 1, 2, -1, 0}, strategy, {8, 100}) != all);
    CHECK(generate(*model, {0}, strategy, {7, 101}) != image(all, 0));
    CHECK(generate(*model, {3, 1, 2, -1, 0}, strategy, {7, 100}) != all);
    CHECK(generate(*model, {0, 1, 2, -1, 0}, named_strategy("cosine", 4, 2), {7, 100}) != all);
    CHECK(generate(*model, {0, 1, 2, -1, 0}, named_strategy("cosine", 3, 8), {7, 100}) != all);
    CHECK(std::ranges::all_of(all, [](std::int32_t id) { return id >= 0 && id < K; }));
}

DEVICE_TEST("generator: a scale of 0 in every step is no guidance, with unconditional rows or without") {
    const auto model = random_model(device);
    const Strategy strategy = named_strategy("cosine", 3, 0);
    NatGenerator guided(*model, 2, true);
    const std::vector<std::int64_t> classes{1, 3};
    CHECK(guided.generate(classes, strategy, {}) == generate(*model, classes, strategy));
    CHECK(guided.generate(classes, named_strategy("cosine", 3, 6), {}) !=
          generate(*model, classes, strategy));
}

DEVICE_TEST("generator: from step to step masks grow fewer, as many as scheduled, and tokens stay") {
    const auto model = random_model(device);
    const Strategy strategy{{0.9, 0.5, 0.5, 0.1}, {1, 1, 0, 2}, {1, 1, 2, 0.5, 1}, {0, 0, 1, 0, 2}};
    const std::vector<std::int64_t> masked{16, 14, 8, 7, 1};  // at most one fewer than before
    NatGenerator generator(*model, 3, true);
    std::vector<DecodedStep> steps;
    generator.watch([&](const DecodedStep& step) { steps.push_back(step); });
    const Ids ids = generator.generate(std::vector<std::int64_t>{0, 1, 2}, strategy, {});
    REQUIRE(steps.size() == 5);
    for (std::size_t t = 0; t < 5; ++t) {
        const DecodedStep& step = steps[t];
        CAPTURE(t);
        for (std::size_t number = 0; number < 3; ++number)
            CHECK(std::ranges::count(image(step.ids, number), K) == masked[t]);
        if (t + 1 < 5) CHECK(step.next == steps[t + 1].ids);
        for (std::size_t i = 0; i < ids.size(); ++i) {
            CHECK(step.filled[i] == (step.ids[i] == K ? step.drawn[i] : step.ids[i]));
            CHECK((step.next[i] == K || step.next[i] == step.filled[i]));
            if (step.ids[i] != K) CHECK(step.next[i] == step.ids[i]);
        }
        CHECK(step.guided_logits.empty());
    }
    CHECK(steps.back().filled == ids);
    CHECK(generate(*model, {0, 1, 2}, strategy) == ids);
}

DEVICE_TEST("generator: Halton's strategy fixes the tokens in its order, whatever their confidences") {
    [[maybe_unused]] const HostAccessAllowed open;
    const auto model = random_model(device);
    const Strategy strategy = named_strategy("halton", 4, 1);
    const std::vector<std::int32_t> ranks = halton_ranks(4);
    const std::vector<std::int64_t> fixed{2, 3, 3, 8};
    CHECK(fixed_tokens(strategy, N) == fixed);
    NatGenerator generator(*model, 2, true);
    std::int64_t known = 0;
    generator.watch([&](const DecodedStep& step) {
        for (std::size_t i = 0; i < step.ids.size(); ++i)
            CHECK((step.ids[i] == K) == (ranks[i % static_cast<std::size_t>(N)] >= known));
        known += fixed[static_cast<std::size_t>(step.step)];
    });
    const std::vector<std::int64_t> classes{0, 2};
    const Ids ids = generator.generate(classes, strategy, {});
    CHECK(known == N);
    CHECK(std::ranges::count(ids, K) == 0);
    generator.watch({});
    generator.generate(classes, named_strategy("cosine", 4, 1), {});
    CHECK(generator.generate(classes, strategy, {}) == ids);
}

DEVICE_TEST("generator: every strategy by name, also where steps fix no token, ends with all of them") {
    [[maybe_unused]] const HostAccessAllowed open;
    const auto model = random_model(device);
    std::set<Ids> seen;
    for (const char* name : {"cosine", "muse", "enat", "halton", "fixed:0.7"}) {
        const Ids ids = generate(*model, {0, 2}, named_strategy(name, 12, 1));
        CHECK(std::ranges::count(ids, K) == 0);
        seen.insert(ids);
    }
    CHECK(seen.size() == 5);
}

DEVICE_TEST("generator: strategies side by side draw what each draws alone") {
    [[maybe_unused]] const HostAccessAllowed open;
    const auto model = random_model(device);
    std::vector<Strategy> strategies;
    for (const char* name : {"cosine", "muse", "halton", "enat"})
        strategies.push_back(named_strategy(name, 5, 1.5));
    strategies[3].ratios[0] = 0.99;
    const std::vector<std::int64_t> classes{0, 2, 3};
    NatGenerator generator(*model, 12, true);
    const Ids together = generator.generate(classes, strategies, {7, 100});
    for (std::size_t s = 0; s < strategies.size(); ++s) {
        const auto first = together.begin() + static_cast<std::ptrdiff_t>(s * classes.size()) * N;
        CHECK(Ids(first, first + 3 * N) == generate(*model, classes, strategies[s], {7, 100}));
    }
    CHECK_THROWS_AS(generator.generate(std::vector<std::int64_t>(4), strategies, {}), std::logic_error);
    strategies[2] = named_strategy("halton", 4, 1.5);
    CHECK_THROWS_AS(generator.generate(classes, strategies, {}), std::logic_error);
}

DEVICE_TEST("generator: one step draws everything at once; more steps than tokens are fine") {
    [[maybe_unused]] const HostAccessAllowed open;
    const auto model = random_model(device);
    for (const std::int64_t steps : {1, 18}) {
        const Ids ids = generate(*model, {0, 2}, named_strategy("cosine", steps, 1));
        CHECK(std::ranges::count(ids, K) == 0);
    }
}

DEVICE_TEST("generator: tokens are handed on where they lie, and to the host") {
    const auto model = random_model(device);
    Ids seen(static_cast<std::size_t>(2 * N));
    NatGenerator generator(*model, 2, false, [&](Tape& tape, const Tensor& tokens) {
        CHECK(tokens.rows() == 2 * N);
        if (tape.planning()) return;
        copy_from_device(tape.device(), seen.data(), tape.value<std::int32_t>(tokens),
                         seen.size() * sizeof(std::int32_t), tape.stream());
    });
    for (const std::uint64_t seed : {0u, 1u, 2u})
        CHECK(generator.generate(std::vector<std::int64_t>{0, 2}, named_strategy("cosine", 3, 0),
                                 {seed, 0}) == seen);
}

TEST_CASE("generator: what it cannot do is refused") {
    const auto model = random_model(Device::cpu);
    NatGenerator generator(*model, 2, false);
    const Strategy strategy = named_strategy("cosine", 2, 0);
    const auto with_classes = [&](std::vector<std::int64_t> classes) {
        generator.generate(classes, strategy, {});
    };
    CHECK_THROWS_WITH_AS(with_classes({4}), "class 4 is out of range: the model has classes 0 to 3",
                         UsageError);
    CHECK_THROWS_AS(with_classes({-2}), UsageError);
    CHECK_THROWS_AS(with_classes({0, 1, 2}), std::logic_error);
    CHECK_THROWS_AS(with_classes({}), std::logic_error);
    CHECK_THROWS_AS(generator.generate(std::vector<std::int64_t>{0}, named_strategy("cosine", 2, 1), {}),
                    std::logic_error);
    Strategy broken = strategy;
    broken.ratios[0] = 1;
    CHECK_THROWS_AS(generator.generate(std::vector<std::int64_t>{0}, broken, {}), UsageError);
}

CUDA_TEST("generator: the device's recorded steps serve every strategy, seed and class") {
    [[maybe_unused]] const HostAccessAllowed open;
    const auto model = random_model(Device::cuda);
    NatGenerator recorded(*model, 3, true), plain(*model, 3, true);
    plain.use_graphs(false);
    const std::vector<std::int64_t> few{1, 2}, many{0, 1, 2};
    const auto check = [&](const std::vector<std::int64_t>& classes, double scale, std::uint64_t seed,
                           const char* name = "cosine") {
        const Strategy strategy = named_strategy(name, 3, scale);
        CHECK(recorded.generate(classes, strategy, {seed, 5}) ==
              plain.generate(classes, strategy, {seed, 5}));
    };
    check(many, 1, 0);
    check(many, 1, 0);
    check(many, 5, 3);
    check(many, 1, 0, "halton");
    check(few, 0, 3);
    check(many, 1, 0, "muse");
    check(many, 1, 0);
}

CUDA_TEST("generator: the device draws what the CPU draws") {
    const auto cpu = random_model(Device::cpu), gpu = random_model(Device::cuda);
    const std::vector<std::int64_t> classes{0, 1, 2, 3};
    for (const std::int64_t steps : {1, 4})
        for (const char* name : {"cosine", "muse", "enat", "halton"})
            CHECK(generate(*gpu, classes, named_strategy(name, steps, 1.5)) ==
                  generate(*cpu, classes, named_strategy(name, steps, 1.5)));
}

CUDA_TEST("generator: in bf16 tokens are drawn too, the same in every run") {
    const auto model = random_model(Backend(Device::cuda, Precision::bf16));
    NatGenerator generator(*model, 2, true);
    const std::vector<std::int64_t> classes{0, 3};
    const Ids ids = generator.generate(classes, named_strategy("cosine", 3, 1), {});
    CHECK(std::ranges::all_of(ids, [](std::int32_t id) { return id >= 0 && id < K; }));
    CHECK(generator.generate(classes, named_strategy("cosine", 3, 1), {}) == ids);
    CHECK(generate(*model, classes, named_strategy("cosine", 3, 1)) == ids);
}

#if __has_include("emulated/runtime_calls.h")

TEST_CASE("generator: no step waits for the host, whatever their number") {
    struct Counts {
        std::int64_t waits, copies, recorded, allocations, graphs, launches;
        bool operator==(const Counts&) const = default;
    };
    const HostAccessAllowed open;
    const auto model = random_model(Device::cuda);
    const auto count = [&](std::int64_t steps) {
        NatGenerator generator(*model, 2, true);
        std::vector<Counts> counts;
        for (std::uint64_t time = 0; time < 3; ++time) {
            emulator::Calls& calls = emulator::calls();
            calls.synchronizations = calls.host_copies = calls.recorded_host_copies = calls.allocations = 0;
            calls.graphs = calls.graph_launches = 0;
            generator.generate(std::vector<std::int64_t>{0, 1},
                               named_strategy("cosine", steps, static_cast<double>(time)), {time, 0});
            counts.push_back({calls.synchronizations, calls.host_copies, calls.recorded_host_copies,
                              calls.allocations, calls.graphs, calls.graph_launches});
        }
        return counts;
    };
    const std::vector<Counts> few = count(2), many = count(5);
    for (std::size_t time = 0; time < 3; ++time) {
        CHECK(many[time] == few[time]);
        CHECK(many[time].recorded == 0);
        CHECK(many[time].copies < 10);
    }
    CHECK(many[1].graphs == 1);  // the very first time its kernels run unrecorded
    CHECK(many[2].graphs == 0);
    CHECK(many[2].launches == 1);
    CHECK(many[2].allocations == 0);
}

#endif

DEVICE_TEST("pictures: tokens decoded on the device, a part at a time, rounded to bytes") {
    TokenizerConfig config;
    config.ch = 32;
    config.ch_mult = {1, 1};
    config.num_res_blocks = 1;
    config.z_channels = config.embed_dim = 4;
    config.n_embed = K;
    Tokenizer tokenizer(config, device);
    tokenizer.parameters().allocate(device, false);
    tokenizer.parameters().initialize(3);
    const Ids tokens{0, 1, 2, 3, 10, 9, 8, 7, 4, 4, 4, 4};
    const std::vector<std::uint8_t> bytes = decoded_bytes(tokenizer, tokens, 2);
    REQUIRE(bytes.size() == 3 * 3 * 4 * 4);
    const std::vector<std::uint8_t> second =
        decoded_bytes(tokenizer, Ids(tokens.begin() + 4, tokens.begin() + 8), 2);
    CHECK(std::equal(second.begin(), second.end(), bytes.begin() + 48));
    CHECK(std::set<std::uint8_t>(bytes.begin(), bytes.end()).size() > 5);
    // Channels last, in [0, 1], became planes of bytes.
    Tape tape(device);
    std::vector<float> pixels(static_cast<std::size_t>(3 * 16 * 3));
    const auto job = [&] {
        const Tensor ids = tape.create(12, 1, false, Element::i32);
        if (!tape.planning())
            copy_to_device(device, tape.mutable_value<std::int32_t>(ids), tokens.data(),
                           12 * sizeof(std::int32_t), tape.stream());
        decode_pictures(tape, tokenizer, ids, 2, [&](std::int64_t first, const Tensor& pictures) {
            CHECK(first == 0);
            if (!tape.planning())
                copy_from_device(device, pixels.data(), tape.value(pictures), pixels.size() * sizeof(float),
                                 tape.stream());
        });
    };
    run_job(tape, plan_job(tape, job), job);
    for (std::size_t i = 0; i < pixels.size(); ++i) {
        const std::size_t picture = i / 48, place = i % 48 / 3, channel = i % 3;
        const float expected = std::clamp(pixels[i], 0.0f, 1.0f) * 255;
        CHECK(std::abs(static_cast<float>(bytes[picture * 48 + channel * 16 + place]) - expected) <= 0.501f);
    }
}
