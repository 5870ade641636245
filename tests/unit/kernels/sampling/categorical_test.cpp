#include "kernels/sampling/categorical.h"

#include <doctest/doctest.h>

#include "tests/unit/kernels/kernel_check.h"

using namespace kernel_check;

namespace {

using Doubles = std::vector<double>;

Doubles softmax(Doubles z) {
    const double maximum = *std::max_element(z.begin(), z.end());
    double sum = 0;
    for (double& value : z) sum += value = std::exp(value - maximum);
    for (double& value : z) value /= sum;
    return z;
}

// One row's guided logits, from the specification.
Doubles guided(const float* conditional, const float* unconditional, std::size_t count, const Guidance& g) {
    Doubles c(conditional, conditional + count);
    for (double& value : c) value *= g.temperature;
    if (g.scale == 1) return c;
    Doubles u(unconditional, unconditional + count);
    for (double& value : u) value *= g.temperature;
    const Doubles probability = softmax(c);
    const double max_c = *std::max_element(c.begin(), c.end()), max_u = *std::max_element(u.begin(), u.end());
    Doubles z(count);
    for (std::size_t v = 0; v < count; ++v) {
        if (probability[v] < g.filter_threshold) u[v] = std::max(u[v], c[v] - max_c + max_u);
        z[v] = u[v] + static_cast<double>(g.scale) * (c[v] - u[v]);
    }
    return z;
}

struct Drawn {
    std::int32_t value;
    float margin;
};

Drawn sample(Device device, const std::vector<float>& conditional, float uniform_number,
             const Guidance& g = {}, const std::vector<float>& unconditional = {}) {
    std::vector<std::int32_t> value = {-1};
    std::vector<float> margin = {NAN};
    RUN(device, categorical_sample, value, margin, conditional,
        unconditional.empty() ? nullptr : &unconditional, std::vector<float>{uniform_number}, 1,
        static_cast<std::int64_t>(conditional.size()), g);
    return {value[0], margin[0]};
}

}  // namespace

DEVICE_TEST("categorical draws agree with the specification in double") {
    const std::vector<Guidance> settings = {{1, 1, 0, false},
                                            {1.1f, 1, 1e-4f, false},
                                            {1.03f, 6.5f, 1e-4f, false},
                                            {0.9f, 3, 0, false},
                                            {1.1f, 29, 1e-2f, false}};
    for (const Guidance& g : settings)
        for (const std::int64_t vocabulary : {1, 5, 33, 256, 1000})
            for (const std::int64_t rows : {1, 16, device == Device::cpu ? 257 : 33}) {
                const auto conditional = uniform(rows * vocabulary, 1, -6, 6);
                const auto unconditional = uniform(rows * vocabulary, 2, -6, 6);
                const auto uniforms = uniform(rows, 3, 0, 1);
                std::vector<std::int32_t> values(static_cast<std::size_t>(rows), -1),
                    without_margins = values;
                std::vector<float> margins(static_cast<std::size_t>(rows), NAN);
                const auto* other = g.scale == 1 ? nullptr : &unconditional;
                RUN(device, categorical_sample, values, margins, conditional, other, uniforms, rows,
                    vocabulary, g);
                RUN(device, categorical_sample, without_margins, nullptr, conditional, other, uniforms, rows,
                    vocabulary, g);
                CHECK(values == without_margins);
                for (std::int64_t row = 0; row < rows; ++row) {
                    const Doubles p =
                        softmax(guided(&conditional[row * vocabulary], &unconditional[row * vocabulary],
                                       static_cast<std::size_t>(vocabulary), g));
                    double cumulative = 0;
                    std::int32_t value = 0;
                    while (value + 1 < vocabulary && cumulative + p[value] <= uniforms[row])
                        cumulative += p[value++];
                    const double margin =
                        std::min(uniforms[row] - cumulative, cumulative + p[value] - uniforms[row]);
                    if (margin < 1e-4) continue;  // within rounding, as the margin indicates
                    CHECK(values[row] == value);
                    CHECK(std::abs(margins[row] - margin) < 1e-5);
                }
            }
}

DEVICE_TEST("categorical draws at the ends of the unit interval") {
    const float first = 0x1p-24f, last = 0.99999994f;
    CHECK(sample(device, {0, 0, 0, 0}, 0.0f).value == 0);
    CHECK(sample(device, {0, 0, 0, 0}, last).value == 3);
    // Exactly on a boundary the cumulative probability does not exceed the uniform: the next value.
    CHECK(sample(device, {0, 0, 0, 0}, 0.25f).value == 1);
    CHECK(sample(device, {0, 0, 0, 0}, 0.5f).value == 2);
    CHECK(sample(device, {0, 0}, 0.5f).margin == doctest::Approx(0.0));
    CHECK(sample(device, {0, 0}, 0.7f).margin == doctest::Approx(0.2).epsilon(1e-6));
    // The largest uniform never draws a value of probability zero, at any position.
    std::vector<float> one_hot(256, -1e4f);
    one_hot[100] = 0;
    CHECK(sample(device, one_hot, last).value == 100);
    CHECK(sample(device, one_hot, 0.5f).value == 100);
    std::vector<float> two(256, -1e4f);
    two[31] = two[32] = 3;  // on both sides of the blocks the search steps over
    CHECK(sample(device, two, 0.499f).value == 31);
    CHECK(sample(device, two, 0.501f).value == 32);
    CHECK(sample(device, two, last).value == 32);
    // Nor does the smallest but 0, or where only the last of the most values has any.
    CHECK(sample(device, one_hot, first).value == 100);
    std::vector<float> many(4096, -1e4f);
    many.back() = 1;
    for (const float u : {first, 0.5f, last}) CHECK(sample(device, many, u).value == 4095);
    many.front() = 1;
    CHECK(sample(device, many, 0.4999f).value == 0);
    CHECK(sample(device, many, 0.5001f).value == 4095);
}

DEVICE_TEST("greedy takes the largest guided logit, the first of equals") {
    const Guidance greedy{1, 1, 0, true};
    std::vector<float> logits(256, 0.5f);
    CHECK(sample(device, logits, 0.9f, greedy).value == 0);
    logits[77] = logits[200] = 2.0f;
    CHECK(sample(device, logits, 0.9f, greedy).value == 77);
    CHECK(sample(device, logits, 0.9f, greedy).margin == 0.0f);
    logits[200] = 1.25f;
    CHECK(sample(device, logits, 0.9f, greedy).margin == 0.75f);
    // Guidance decides: z = u + 3 (c - u).
    CHECK(sample(device, {1.0f, 0.9f}, 0, {1, 3, 0, true}, {1.0f, 0.0f}).value == 1);
    std::vector<std::int32_t> value = {-1};
    RUN(device, categorical_sample, value, nullptr, logits, nullptr, nullptr, 1, 256, greedy);
    CHECK(value[0] == 77);
}

DEVICE_TEST("the filter keeps guidance from raising what the condition excludes") {
    // Value 1 has conditional probability e^-12, but the unconditional logit is lower still: guidance would
    // favour it.
    const std::vector<float> conditional = {0.0f, -12.0f}, unconditional = {0.0f, -30.0f};
    CHECK(sample(device, conditional, 0, {1, 6, 0, true}, unconditional).value == 1);
    CHECK(sample(device, conditional, 0, {1, 6, 1e-4f, true}, unconditional).value == 0);
    CHECK(sample(device, conditional, 0, {1, 6, 1e-6f, true}, unconditional).value == 1);
}

DEVICE_TEST("categorical draws follow the distribution") {
    const std::vector<float> logits = {0.0f, 1.0f, -1.0f};
    const Doubles p = softmax({0, 2, -2});
    const std::int64_t rows = device == Device::cpu ? 20000 : 4000;
    std::vector<float> every;
    for (std::int64_t row = 0; row < rows; ++row) every.insert(every.end(), logits.begin(), logits.end());
    std::vector<std::int32_t> values(static_cast<std::size_t>(rows), -1);
    std::vector<float> margins(static_cast<std::size_t>(rows));
    RUN(device, categorical_sample, values, margins, every, nullptr, uniform(rows, 4, 0, 1), rows, 3,
        Guidance{2, 1, 0, false});
    std::vector<double> counts(3);
    for (const std::int32_t value : values) counts.at(static_cast<std::size_t>(value)) += 1;
    for (std::size_t v = 0; v < 3; ++v) CHECK(std::abs(counts[v] / static_cast<double>(rows) - p[v]) < 0.015);
}

DEVICE_TEST("limits keep a draw between two values, whatever the logits and the uniform") {
    const std::int64_t rows = 64, count = 256;
    const std::vector<float> logits = uniform(rows * count, 5, -20, 20);
    std::vector<float> numbers = uniform(rows, 6, 0, 1);
    numbers[0] = 0;
    numbers[1] = 0x1.fffffep-1f;
    std::vector<std::uint8_t> limits, everything;
    for (std::int64_t row = 0; row < rows; ++row) {
        const std::int64_t low = row * 3;
        limits.push_back(static_cast<std::uint8_t>(low));
        limits.push_back(static_cast<std::uint8_t>(low + row));
        everything.insert(everything.end(), {0, 255});
    }
    for (const bool greedy : {false, true}) {
        const Guidance guidance{1.1f, 1, 0, greedy};
        std::vector<std::int32_t> values(rows, -1), free(rows, -1), unlimited(rows, -1);
        std::vector<float> margins(rows);
        RUN(device, categorical_sample, values, margins, logits, static_cast<std::vector<float>*>(nullptr),
            numbers, rows, count, guidance, limits);
        RUN(device, categorical_sample, free, margins, logits, static_cast<std::vector<float>*>(nullptr),
            numbers, rows, count, guidance, everything);
        RUN(device, categorical_sample, unlimited, margins, logits, static_cast<std::vector<float>*>(nullptr),
            numbers, rows, count, guidance);
        CHECK(free == unlimited);
        for (std::int64_t row = 0; row < rows; ++row) {
            const auto low = logits.begin() + row * count + limits[static_cast<std::size_t>(2 * row)];
            const auto high =
                logits.begin() + row * count + limits[static_cast<std::size_t>(2 * row + 1)] + 1;
            CHECK(values[static_cast<std::size_t>(row)] >= limits[static_cast<std::size_t>(2 * row)]);
            CHECK(values[static_cast<std::size_t>(row)] <= limits[static_cast<std::size_t>(2 * row + 1)]);
            if (greedy)
                CHECK(values[static_cast<std::size_t>(row)] ==
                      std::max_element(low, high) - (logits.begin() + row * count));
        }
    }
}
