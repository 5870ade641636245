#include "runtime/tensor/optimizer.h"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <numbers>

#include "runtime/tensor/random.h"
#include "tests/unit/kernels/check_values.h"

using namespace kernel_check;

namespace {

// One parameter that decays and four that do not, by rank or by name.
struct Model {
    Parameters parameters;

    Model() {
        parameters.add("layer.weight", {5, 3}, Init::xavier);
        parameters.add("layer.bias", {3}, Init::normal);
        parameters.add("head.bias", {1, 7}, Init::normal);
        parameters.add("norm.weight", {9}, Init::ones);
        parameters.add("scale", {1}, Init::ones);
        parameters.allocate(Device::cpu, true);
        parameters.initialize(3);
    }

    void draw_gradients(std::int64_t step, float deviation) {
        for (Parameter& parameter : parameters.all())
            random_normal(parameter.gradient, parameter.count,
                          random_key(static_cast<std::uint64_t>(step), parameter.name), deviation);
    }
    std::vector<float> values() const { return copy(parameters.values()); }
    std::vector<float> gradients() const { return copy(parameters.gradients()); }
    std::vector<float> copy(const float* slab) const { return {slab, slab + parameters.slab_floats()}; }
};

// AdamW in double over the whole slab; padding has neither gradient nor value and stays zero.
struct Reference {
    std::vector<double> values, first, second, average;
    std::vector<bool> decays;

    explicit Reference(const Model& model) : values(widened(model.values())), average(values) {
        first.resize(values.size());
        second.resize(values.size());
        decays.resize(values.size());
        for (std::size_t i = 0; i < 15; ++i) decays[model.parameters.all()[0].offset + i] = true;
    }

    double update(const std::vector<double>& gradient, int t, double rate, const OptimizerRule& rule) {
        double squares = 0;
        for (const double g : gradient) squares += g * g;
        const double norm = std::sqrt(squares), beta1 = rule.beta1, beta2 = rule.beta2,
                     decay = rule.ema_decay;
        const double clip = rule.max_norm > 0 ? std::min(1.0, rule.max_norm / (norm + 1e-6)) : 1.0;
        for (std::size_t i = 0; i < values.size(); ++i) {
            const double g = clip * gradient[i];
            if (decays[i]) values[i] -= rate * rule.weight_decay * values[i];
            first[i] = beta1 * first[i] + (1 - beta1) * g;
            second[i] = beta2 * second[i] + (1 - beta2) * g * g;
            values[i] -= rate * (first[i] / (1 - std::pow(beta1, t))) /
                         (std::sqrt(second[i] / (1 - std::pow(beta2, t))) + rule.epsilon);
            average[i] = decay * average[i] + (1 - decay) * values[i];
        }
        return norm;
    }
};

void check_steps(const OptimizerRule& rule, float deviation) {
    Model model;
    Reference reference(model);
    Optimizer optimizer(model.parameters, Device::cpu, rule);
    optimizer.start_average();
    for (int step = 0; step < 7; ++step) {
        CAPTURE(step);
        const float rate = 0.01f / static_cast<float>(step + 1);
        model.draw_gradients(step, deviation);
        const std::vector<float> gradients = model.gradients();
        const double norm = optimizer.update(step, rate);
        CHECK(norm ==
              doctest::Approx(reference.update(widened(gradients), step + 1, rate, rule)).epsilon(1e-6));
        CHECK(relative_error(model.values(), reference.values) < 1e-6);
        CHECK(relative_error(model.copy(optimizer.first_moment()), reference.first) < 1e-6);
        CHECK(relative_error(model.copy(optimizer.second_moment()), reference.second) < 2e-6);
        if (rule.ema_decay > 0)
            CHECK(relative_error(model.copy(optimizer.average()), reference.average) < 1e-6);
        CHECK(same_bits(model.gradients(), gradients));
    }
    CHECK((optimizer.average() == nullptr) == (rule.ema_decay == 0));
}

}  // namespace

TEST_CASE("optimizer: AdamW as in double precision") {
    OptimizerRule rule;
    SUBCASE("gradients below the norm") {
        check_steps(rule, 0.1f);
    }
    SUBCASE("clipped gradients") {
        check_steps(rule, 50);
    }
    SUBCASE("without clipping") {
        rule.max_norm = 0;
        check_steps(rule, 50);
    }
    SUBCASE("strong decay") {
        rule.weight_decay = 5;
        check_steps(rule, 0.1f);
    }
    SUBCASE("averaged weights") {
        rule.ema_decay = 0.9f;
        check_steps(rule, 1);
    }
}

TEST_CASE("optimizer: decay touches matrices alone, and no bias") {
    Model model;
    OptimizerRule rule;
    rule.weight_decay = 0.5f;
    Optimizer optimizer(model.parameters, Device::cpu, rule);
    const std::vector<float> before = model.values();
    optimizer.update(0, 0.1f);
    std::vector<float> expected = before;
    const std::size_t matrix = model.parameters.find("layer.weight").offset;
    for (std::size_t i = matrix; i < matrix + 15; ++i) {
        CHECK(model.values()[i] == doctest::Approx(before[i] * 0.95f));
        expected[i] = model.values()[i];
    }
    CHECK(same_bits(model.values(), expected));
}

TEST_CASE("optimizer: gradients that are not finite change nothing") {
    OptimizerRule rule;
    rule.ema_decay = 0.5f;
    Model model;
    Optimizer optimizer(model.parameters, Device::cpu, rule);
    optimizer.start_average();
    model.draw_gradients(0, 1);
    optimizer.update(0, 0.1f);
    const auto state = [&] {
        std::vector<float> all = model.values();
        for (const float* slab : {optimizer.first_moment(), optimizer.second_moment(), optimizer.average()}) {
            const std::vector<float> part = model.copy(slab);
            all.insert(all.end(), part.begin(), part.end());
        }
        return all;
    };
    const std::vector<float> before = state();
    for (const float bad : {std::numeric_limits<float>::infinity(), std::numeric_limits<float>::quiet_NaN()})
        for (const char* name : {"layer.weight", "scale"}) {
            model.draw_gradients(1, 1);
            model.parameters.find(name).gradient[0] = bad;
            CHECK_FALSE(std::isfinite(optimizer.update(1, 0.1f)));
            CHECK(same_bits(state(), before));
        }
}

TEST_CASE("optimizer: the average starts from the weights as they are") {
    OptimizerRule rule;
    rule.ema_decay = 0.99f;
    Model model;
    Optimizer optimizer(model.parameters, Device::cpu, rule);
    optimizer.start_average();
    CHECK(same_bits(model.copy(optimizer.average()), model.values()));
}

TEST_CASE("learning rate: warm-up, then half a cosine") {
    const LearningRateSchedule schedule{2.0f, 4, 12, true};
    CHECK(schedule.at(0) == 0.5f);
    CHECK(schedule.at(1) == 1.0f);
    CHECK(schedule.at(3) == 2.0f);
    CHECK(schedule.at(4) == 2.0f);
    CHECK(schedule.at(8) == doctest::Approx(1.0));
    CHECK(schedule.at(6) == doctest::Approx(1 + std::sqrt(0.5)));
    CHECK(schedule.at(11) == doctest::Approx(1 - std::cos(std::numbers::pi / 8)));
    CHECK(schedule.at(12) == doctest::Approx(0).epsilon(1e-6));
    CHECK(schedule.at(100) == doctest::Approx(0).epsilon(1e-6));
    const LearningRateSchedule longer{3e-4f, 100, 10000, true};
    CHECK(longer.at(9999) < 1e-5f * longer.peak);
    for (std::int64_t step = 100; step < 9900; step += 100) CHECK(longer.at(step + 100) < longer.at(step));
}

TEST_CASE("learning rate: constant after the warm-up, and without one") {
    const LearningRateSchedule constant{2.0f, 2, 10, false};
    CHECK(constant.at(0) == 1.0f);
    for (const std::int64_t step : {1, 2, 9, 1000}) CHECK(constant.at(step) == 2.0f);
    const LearningRateSchedule cosine{2.0f, 0, 10, true};
    CHECK(cosine.at(0) == 2.0f);
    CHECK(cosine.at(5) == doctest::Approx(1.0));
    const LearningRateSchedule all_warmup{2.0f, 10, 10, true};
    CHECK(all_warmup.at(9) == 2.0f);
    CHECK(all_warmup.at(10) == 2.0f);
}
