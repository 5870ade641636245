// The Halton scheduler's orders and counts, and steps of its and Muse's sampler, from their releases.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "models/nat/halton_order.h"
#include "models/nat/strategy_heuristics.h"
#include "models/nat/strategy_steps.h"
#include "runtime/base/json_keys.h"
#include "runtime/checkpoint/checkpoint.h"
#include "runtime/files/text_file.h"
#include "runtime/ops/ops.h"
#include "runtime/tensor/tape.h"
#include "tests/golden/golden_file.h"
#include "tests/unit/models/device_model.h"

namespace {

constexpr std::int64_t images = 3, N = 64, K = 64, T = 4;
constexpr std::size_t count = images * N;

// One step's part of an array [T, ...].
template <class Value>
std::vector<Value> part(const std::vector<Value>& values, std::int64_t step, std::size_t length) {
    const auto first = values.begin() + step * static_cast<std::ptrdiff_t>(length);
    return {first, first + static_cast<std::ptrdiff_t>(length)};
}

// Arrays of one of the two samplers.
struct SamplerGolden {
    explicit SamplerGolden(std::string sampler) : prefix("generate_" + sampler + ".") {}

    std::vector<std::int32_t> integers(const std::string& name) const {
        const auto wide = arrays.integers(prefix + name);
        return {wide.begin(), wide.end()};
    }
    std::vector<float> floats(const std::string& name) const {
        const auto values = arrays.floats(prefix + name);
        return {values.begin(), values.end()};
    }
    // The drawn ids where there is a mask before step t, elsewhere what is there.
    std::vector<std::int32_t> filled(std::int64_t t) const {
        std::vector<std::int32_t> ids = part(integers("ids_before_step"), t, count),
                                  drawn = part(integers("drawn_ids"), t, count);
        for (std::size_t i = 0; i < count; ++i)
            if (ids[i] != K) drawn[i] = ids[i];
        return drawn;
    }

    std::string prefix;
    SafetensorsFile arrays{GoldenFile("nat_text_tiny.safetensors").path()};
};

template <class Value>
std::vector<Value> host_copy(Tape& tape, const Tensor& tensor) {
    std::vector<Value> values(static_cast<std::size_t>(tensor.rows() * tensor.width()));
    copy_from_tensor(tape, values.data(), tensor, values.size() * sizeof(Value));
    return values;
}

// The ids after step t from what it filled in and its confidences.
std::vector<std::int32_t> next_ids(Device device, const Strategy& strategy, std::int64_t t,
                                   const std::vector<std::int32_t>& filled,
                                   const std::vector<float>& confidence) {
    Tape tape(device);
    std::vector<std::int32_t> next;
    const auto run = [&] {
        const TokenDraw draw{
            device_copy(tape, filled, images * N), {}, device_copy(tape, confidence, images * N)};
        const Tensor ids = tape.create(images, N, false, Element::i32),
                     ranks = device_copy(tape, halton_ranks(8), N),
                     schedule = decoding_schedule(tape, T, 1, decoding_steps(strategy, N));
        remask_tokens(tape, ids, draw, ranks, schedule, t, K);
        if (!tape.planning()) next = host_copy<std::int32_t>(tape, ids);
    };
    const Plan plan = plan_job(tape, run);
    run_job(tape, plan, run);
    return next;
}

}  // namespace

TEST_CASE("golden: the Halton scheduler's orders and tokens a step") {
    const nlohmann::json golden = parse_json(read_text_file("tests/golden/halton.json"), "golden");
    int compared = 0;
    for (const std::int64_t side : {8, 16, 32}) {
        CAPTURE(side);
        const nlohmann::json& grid = golden.at(std::to_string(side));
        const HaltonOrder order = halton_order(side);
        CHECK(order.cells == grid.at("order").get<std::vector<std::int32_t>>());
        CHECK(order.points == grid.at("points_needed").get<std::int64_t>());
        for (const auto& [steps, counts] : grid.at("counts").items()) {
            CAPTURE(steps);
            CHECK(fixed_tokens(named_strategy("halton", std::stoi(steps), 1), side * side) ==
                  counts.get<std::vector<std::int64_t>>());
            ++compared;
        }
    }
    CHECK(compared == 21);
}

DEVICE_TEST("golden: the Halton sampler masks again what comes later in its order") {
    [[maybe_unused]] const HostAccessAllowed open;
    const SamplerGolden golden("halton");
    const Strategy strategy = named_strategy("halton", T, 1.5);
    const auto before = golden.integers("ids_before_step");
    for (std::int64_t t = 0; t + 1 < T; ++t) {
        CAPTURE(t);
        std::vector<float> confidence(count, INFINITY);
        for (std::size_t i = 0; i < count; ++i)
            if (part(before, t, count)[i] == K) confidence[i] = static_cast<float>(i % 5);
        CHECK(next_ids(device, strategy, t, golden.filled(t), confidence) == part(before, t + 1, count));
    }
    CHECK(golden.filled(T - 1) == golden.integers("final_ids"));
}

DEVICE_TEST("golden: Muse's steps mask again the same tokens, its confidence is the logit of the drawn one") {
    [[maybe_unused]] const HostAccessAllowed open;
    const SamplerGolden golden("muse");
    const Strategy strategy = named_strategy("muse", T, 3);
    const auto before = golden.integers("ids_before_step"), drawn = golden.integers("drawn_ids");
    const auto confidence = golden.floats("confidence"), gumbel = golden.floats("confidence_gumbel");
    for (std::int64_t t = 0; t + 1 < T; ++t) {
        CAPTURE(t);
        CHECK(next_ids(device, strategy, t, golden.filled(t), part(confidence, t, count)) ==
              part(before, t + 1, count));
    }
    CHECK(golden.filled(T - 1) == golden.integers("final_ids"));

    // Step 2, whose guided logits are known, with uniforms from the middle of the drawn codes' intervals.
    constexpr std::int64_t t = 2;
    const std::vector<float> logits = golden.floats("guided_logits_step2");
    const double tau = strategy.sampling_temperatures[t];
    std::vector<float> uniforms;
    for (std::size_t i = 0; i < count; ++i) {
        const float* row = &logits[i * K];
        const auto code = static_cast<std::size_t>(part(drawn, t, count)[i]);
        double below = 0, all = 0;
        for (std::size_t v = 0; v < K; ++v) {
            const double weight = std::exp(static_cast<double>(row[v]) / tau);
            below += v < code ? weight : v == code ? weight / 2 : 0;
            all += weight;
        }
        uniforms.push_back(static_cast<float>(below / all));
    }
    Strategy unguided = strategy;
    unguided.guidance_scales.assign(T, 0);
    Tape tape(device);
    std::vector<std::int32_t> codes, warm_codes;
    std::vector<float> seen, greedy;
    const auto run = [&] {
        const Tensor scores = device_copy(tape, logits, images * N),
                     ids = device_copy(tape, part(before, t, count), images),
                     schedule = decoding_schedule(tape, T, 1, decoding_steps(unguided, N));
        const TokenNoise noise{device_copy(tape, uniforms, images),
                               device_copy(tape, part(gumbel, t, count), images)};
        const TokenDraw draw = create_token_draw(tape, images, N);
        draw_tokens(tape, draw, scores, ids, noise, schedule, t);
        if (!tape.planning()) {
            warm_codes = host_copy<std::int32_t>(tape, draw.drawn);
            seen = host_copy<float>(tape, draw.confidence);
        }
        draw_tokens(tape, draw, scores, ids, noise, schedule, T - 1);
        if (!tape.planning()) codes = host_copy<std::int32_t>(tape, draw.drawn);
    };
    const Plan plan = plan_job(tape, run);
    run_job(tape, plan, run);
    CHECK(warm_codes == part(drawn, t, count));
    for (std::size_t i = 0; i < count; ++i) {
        const float expected = part(confidence, t, count)[i];
        if (std::isinf(expected))
            CHECK(seen[i] == expected);
        else
            CHECK(std::abs(seen[i] - expected) < 1e-5f * 20);
        // The last step draws the largest logit, whatever the uniform.
        CHECK(codes[i] == std::max_element(&logits[i * K], &logits[i * K] + K) - &logits[i * K]);
    }
}
