#include "kernels/sampling/token_draw.h"

#include <bit>
#include <numeric>

#include "runtime/tensor/random.h"
#include "tests/unit/kernels/bf16_check.h"

using namespace kernel_check;

namespace {

using Doubles = std::vector<double>;

// Inputs and outputs of one call.
struct Step {
    Step(std::int64_t row_count, std::int64_t codes)
        : rows(row_count),
          K(codes),
          conditional(uniform(rows * K, 1, -6, 6)),
          unconditional(uniform(rows * K, 2, -6, 6)),
          uniforms(uniform(rows, 3, 0, 1)),
          gumbel(uniform(rows, 4, -2, 5)),
          ids(integers(rows, 5, static_cast<std::int32_t>(K))),
          filled(static_cast<std::size_t>(rows), -1),
          drawn(filled),
          confidence(static_cast<std::size_t>(rows), NAN),
          guided(static_cast<std::size_t>(rows * K), NAN) {
        for (std::size_t i = 0; i < ids.size(); i += 3) ids[i] = static_cast<std::int32_t>(K);
    }

    void run(Device device, bool unguided = false) {
        RUN(device, token_draw, filled, confidence, drawn, &guided, conditional,
            unguided ? nullptr : &unconditional, ids, uniforms, gumbel, step,
            rows / static_cast<std::int64_t>(step.size()), rows, K);
    }

    std::int64_t rows, K;
    std::vector<float> conditional, unconditional, uniforms, gumbel;
    std::vector<std::int32_t> ids, filled, drawn;
    std::vector<float> confidence, guided;
    std::vector<DecodingStep> step{1};  // equal shares of the rows
};

double log_sum(const Doubles& z, double temperature) {
    const double maximum = *std::max_element(z.begin(), z.end());
    double sum = 0;
    for (const double value : z) sum += std::exp((value - maximum) / temperature);
    return maximum / temperature + std::log(sum);
}

// Checks a row's results against the specification, from its logits z; a uniform within 1e-5 of an interval's
// edge may belong to either side.
void check_row(const Step& s, std::size_t row, const Doubles& z) {
    const DecodingStep& step = s.step[row * s.step.size() / static_cast<std::size_t>(s.rows)];
    const double tau = std::max(static_cast<double>(step.sampling_temperature), 1e-4);
    const auto value = static_cast<std::size_t>(s.drawn[row]);
    REQUIRE(value < z.size());
    const double whole = log_sum(z, tau), u = s.uniforms[row];
    double below = 0;
    for (std::size_t v = 0; v < value; ++v) below += std::exp(z[v] / tau - whole);
    CHECK(below <= u + 1e-5);
    CHECK(below + std::exp(z[value] / tau - whole) > u - 1e-5);
    const bool masked = s.ids[row] == s.K;
    CHECK(s.filled[row] == (masked ? s.drawn[row] : s.ids[row]));
    const double plain = step.logit_confidence ? z[value] : z[value] - log_sum(z, 1),
                 confidence = plain + static_cast<double>(step.remask_temperature * s.gumbel[row]);
    if (masked)
        CHECK(s.confidence[row] == doctest::Approx(confidence).epsilon(1e-5));
    else
        CHECK(s.confidence[row] == INFINITY);
}

}  // namespace

DEVICE_TEST("token draw: codes and confidences agree with the specification in double") {
    const std::vector<DecodingStep> steps{
        {0, 0, 1, 0}, {0, 4.5f, 2.9f, 1e-4f}, {0, 1, 0.7f, 1.6f}, {0, 2, 1.3f, 0.8f, true}};
    for (const DecodingStep& step : steps)
        for (const std::int64_t K : {1, 5, 33, 256, 1000, 1024}) {
            CAPTURE(K);
            Step s(K == 256 ? 70 : 9, K);
            s.step = {step};
            s.run(device, step.guidance_scale == 0);
            for (std::int64_t row = 0; row < s.rows; ++row) {
                Doubles z(static_cast<std::size_t>(K));
                for (std::int64_t v = 0; v < K; ++v) {
                    const auto i = static_cast<std::size_t>(row * K + v);
                    const double c = s.conditional[i], u = s.unconditional[i];
                    z[static_cast<std::size_t>(v)] = c + static_cast<double>(step.guidance_scale) * (c - u);
                    CHECK(std::abs(s.guided[i] - z[static_cast<std::size_t>(v)]) < 1e-5);
                }
                check_row(s, static_cast<std::size_t>(row), z);
            }
        }
}

DEVICE_TEST("token draw: the largest codebooks fit, and every code is drawn as often as it is probable") {
    for (const std::int64_t K : {16384, 24576}) {
        Step s(3, K);
        s.uniforms = {0, 0.5f, 1 - 0x1p-24f};
        s.conditional.assign(s.conditional.size(), 0);
        s.run(device, true);
        CHECK(s.drawn == std::vector<std::int32_t>{0, static_cast<std::int32_t>(K / 2),
                                                   static_cast<std::int32_t>(K - 1)});
    }
    Step s(2000, 5);
    std::iota(s.uniforms.begin(), s.uniforms.end(), 0.0f);
    for (float& u : s.uniforms) u /= 2000;
    for (std::size_t i = 0; i < s.conditional.size(); ++i)
        s.conditional[i] = std::log(static_cast<float>(i % 5 + 1));
    s.run(device, true);
    for (std::int32_t v = 0; v < 5; ++v)
        CHECK(std::abs(std::count(s.drawn.begin(), s.drawn.end(), v) - 2000 * (v + 1) / 15.0) < 1.5);
}

DEVICE_TEST("token draw: the ends of the uniforms, cold draws, impossible codes") {
    Step s(5, 4);
    s.conditional = {-INFINITY, 1, 2, -INFINITY, -INFINITY, 1, 2,   -INFINITY, 0,   90,
                     89,        0, 1, 2,         3,         4, NAN, NAN,       NAN, NAN};
    s.uniforms = {0, 1 - 0x1p-24f, 1 - 0x1p-24f, 1, 0.5f};
    s.step = {{0, 0, 1, 0}};
    s.run(device, true);
    CHECK(s.drawn == std::vector<std::int32_t>{1, 2, 2, 3, 3});
    s.step[0].sampling_temperature = 0;  // as 1e-4
    s.run(device, true);
    CHECK(s.drawn[1] == 2);
    CHECK(s.drawn[2] == 1);
    CHECK(s.drawn[3] == 3);
}

DEVICE_TEST("token draw: equal shares of the rows follow steps of their own") {
    Step together(12, 33);
    together.step = {{0, 2, 1.3f, 0.8f}, {0, 0, 0.7f, 1.6f, true}, {0, 1, 2.9f, 0.1f}};
    together.run(device);
    for (std::size_t s = 0; s < 3; ++s) {
        Step alone(12, 33);
        alone.step = {together.step[s]};
        alone.run(device);
        for (std::size_t row = 4 * s; row < 4 * s + 4; ++row) {
            CHECK(together.drawn[row] == alone.drawn[row]);
            CHECK(together.filled[row] == alone.filled[row]);
            CHECK(std::bit_cast<std::uint32_t>(together.confidence[row]) ==
                  std::bit_cast<std::uint32_t>(alone.confidence[row]));
        }
    }
}

DEVICE_TEST("token draw: z may overwrite the conditional logits, and its rows need not be aligned") {
    for (const std::int64_t K : {7, 64}) {
        Step s(6, K), again(6, K);
        s.step = again.step = {{0, 2, 1.3f, 0.8f}};
        s.run(device);
        RUN(device, token_draw, again.filled, again.confidence, nullptr, &again.conditional,
            again.conditional, &again.unconditional, again.ids, again.uniforms, again.gumbel, again.step,
            again.rows, again.rows, K);
        CHECK(again.filled == s.filled);
        CHECK(same_bits(again.confidence, s.confidence));
        CHECK(same_bits(again.conditional, s.guided));
    }
}

TEST_CASE("token draw: the number of threads changes nothing") {
    CHECK(same_for_any_threads([] {
        Step s(300, 100);
        s.step = {{0, 2, 1.3f, 0.8f}};
        s.run(Device::cpu);
        std::vector<float> all(s.filled.begin(), s.filled.end());
        all.insert(all.end(), s.confidence.begin(), s.confidence.end());
        return all;
    }));
}

CUDA_TEST("token draw: bf16 logits draw as the same numbers in float do") {
    for (const std::int64_t K : {6, 1024}) {
        Step s(20, K);
        s.step = {{0, 2, 1.3f, 0.8f}};
        const std::vector<bf16> conditional = to_bf16(s.conditional),
                                unconditional = to_bf16(s.unconditional);
        s.conditional = to_floats(conditional);
        s.unconditional = to_floats(unconditional);
        s.run(Device::cuda);
        Step rounded(20, K);
        std::vector<bf16> guided(s.guided.size());
        RUN_CUDA(token_draw, rounded.filled, rounded.confidence, rounded.drawn, &guided, conditional,
                 &unconditional, s.ids, s.uniforms, s.gumbel, s.step, s.rows, s.rows, K);
        CHECK(rounded.drawn == s.drawn);
        CHECK(same_bits(rounded.confidence, s.confidence));
        CHECK(rounds_to(guided, s.guided));
    }
}

DEVICE_TEST("token noise: keyed by seed, step, image and position") {
    constexpr std::int64_t images = 3, N = 37;
    const std::vector<std::int64_t> numbers{4, 0, (std::int64_t{3} << 32) + 1};
    const std::vector<PhiloxKey> key{random_key(5, "tokens")};
    std::vector<float> uniforms(images * N, NAN), gumbel(uniforms), other(uniforms), rest(uniforms);
    RUN(device, token_noise, uniforms, gumbel, numbers, key, images, N, 2);
    for (std::size_t i = 0; i < uniforms.size(); ++i) {
        const auto number = static_cast<std::uint64_t>(numbers[i / N]);
        const auto words = philox({static_cast<std::uint32_t>(i % N), static_cast<std::uint32_t>(number),
                                   static_cast<std::uint32_t>(number >> 32), 2},
                                  key[0]);
        CHECK(uniforms[i] == unit_float(words[0]));
        const double x = (static_cast<double>(words[1] >> 9) + 0.5) / (1 << 23);
        CHECK(gumbel[i] == doctest::Approx(-std::log(-std::log(x))).epsilon(1e-5));
    }
    RUN(device, token_noise, other, rest, numbers, key, images, N, 3);
    CHECK(!same_bits(other, uniforms));
    CHECK(!same_bits(rest, gumbel));
    for (const std::uint32_t word : {0u, 0xFFFFFFFFu}) {
        CHECK(inner_unit_float(word) > 0);
        CHECK(inner_unit_float(word) < 1);
    }
}
