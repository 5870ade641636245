#include "kernels/optimizer/adamw.h"

#include <doctest/doctest.h>

#include "tests/unit/kernels/bf16_check.h"

using namespace kernel_check;

namespace {

// torch.optim.AdamW's single-tensor update, in double.
struct Reference {
    std::vector<double> p, m, v;
    void update(const std::vector<float>& gradient, const AdamW& a, double clip, int t) {
        const double b1 = a.beta1, b2 = a.beta2;
        for (std::size_t i = 0; i < p.size(); ++i) {
            const double g = gradient[i] * clip;
            p[i] *= 1 - static_cast<double>(a.learning_rate) * a.weight_decay;
            m[i] = b1 * m[i] + (1 - b1) * g;
            v[i] = b2 * v[i] + (1 - b2) * g * g;
            const double denominator = std::sqrt(v[i] / (1 - std::pow(b2, t))) + a.epsilon;
            p[i] -= a.learning_rate * (m[i] / (1 - std::pow(b1, t))) / denominator;
        }
    }
};

AdamW settings(int t, float max_norm, const double* squared_norm) {
    AdamW a{1e-2f, 0.9f, 0.95f, 1e-8f, 0.05f, 0, 0, max_norm, squared_norm};
    a.correction1 = static_cast<float>(1 - std::pow(static_cast<double>(a.beta1), t));
    a.correction2 = static_cast<float>(1 - std::pow(static_cast<double>(a.beta2), t));
    return a;
}

}  // namespace

DEVICE_TEST("adamw follows torch over several steps, clipped and not") {
    for (const std::int64_t count : {1, 5, 129, 4097, 30001})
        for (const float max_norm : {0.0f, 3.0f, 1e9f}) {
            std::vector<float> p = uniform(count, 1), m(p.size()), v(p.size());
            Reference reference{widened(p), widened(m), widened(v)};
            for (int t = 1; t <= 4; ++t) {
                const std::vector<float> gradient = uniform(count, 10u + static_cast<unsigned>(t), -5, 5);
                double squared_norm = 0;
                for (const float g : gradient) squared_norm += static_cast<double>(g) * g;
                const DeviceArray<double> norm(device, {squared_norm});
                const AdamW a = settings(t, max_norm, max_norm == 0 ? nullptr : norm.data());
                RUN(device, adamw_update, p, nullptr, m, v, gradient, count, a);
                const double clip =
                    max_norm == 0 ? 1 : std::min(1.0, max_norm / (std::sqrt(squared_norm) + 1e-6));
                reference.update(gradient, a, clip, t);
            }
            CAPTURE(count);
            CAPTURE(max_norm);
            CHECK(relative_error(p, reference.p) < 1e-6);
            CHECK(relative_error(m, reference.m) < 1e-6);
            CHECK(relative_error(v, reference.v) < 1e-6);
        }
}

DEVICE_TEST("adamw takes gradients of any size, zero included") {
    std::vector<float> gradient;
    for (int exponent = -18; exponent <= 18; ++exponent)
        gradient.push_back(std::pow(10.0f, static_cast<float>(exponent)));
    gradient.push_back(0.0f);
    const auto count = static_cast<std::int64_t>(gradient.size());
    std::vector<float> p(gradient.size()), m(gradient.size()), v(gradient.size());
    Reference reference{widened(p), widened(m), widened(v)};
    const AdamW a = settings(1, 0, nullptr);
    RUN(device, adamw_update, p, nullptr, m, v, gradient, count, a);
    reference.update(gradient, a, 1, 1);
    for (std::size_t i = 0; i < p.size(); ++i)
        CHECK(std::abs(p[i] - reference.p[i]) <= 5e-7 * std::abs(reference.p[i]));
    CHECK(p.back() == 0.0f);
}

DEVICE_TEST("the moving average moves by its share") {
    std::vector<float> average = uniform(4097, 1);
    const std::vector<float> parameter = uniform(4097, 2);
    std::vector<double> expected(average.size());
    for (std::size_t i = 0; i < average.size(); ++i)
        expected[i] =
            static_cast<double>(0.999f) * average[i] + (1 - static_cast<double>(0.999f)) * parameter[i];
    RUN(device, ema_update, average, parameter, 4097, 0.999f);
    CHECK(relative_error(average, expected) < 1e-7);
}

DEVICE_TEST("adamw does not depend on the number of threads") {
    CHECK(same_for_any_threads([&] {
        std::vector<float> p = uniform(30001, 1), m(p.size()), v(p.size());
        const std::vector<float> gradient = uniform(30001, 2);
        RUN(device, adamw_update, p, nullptr, m, v, gradient, 30001, settings(1, 0, nullptr));
        return p;
    }));
}

DEVICE_TEST("adamw's copy is the new parameter, rounded") {
    for (const std::int64_t count : {1, 129, 4097})
        for (const std::int64_t first : {0, 1}) {
            std::vector<float> p = uniform(count, 1), q = uniform(count + first, 1), m(p.size()), v(p.size()),
                               gradient = uniform(count, 2);
            std::copy(p.begin(), p.end(), q.begin() + first);
            std::vector<bf16> copy(p.size() + static_cast<std::size_t>(first), bf16{0x1234});
            const AdamW a = settings(1, 0, nullptr);
            RUN(device, adamw_update, p, nullptr, m, v, gradient, count, a);
            std::ranges::fill(m, 0.0f), std::ranges::fill(v, 0.0f);
            RUN(device, adamw_update, from(q, first), from(copy, first), m, v, gradient, count, a);
            std::int64_t wrong = first > 0 && copy[0].bits != 0x1234;
            for (std::int64_t i = 0; i < count; ++i)
                wrong += copy[i + first].bits != nearest_bf16(q[i + first]).bits;
            q.erase(q.begin(), q.begin() + first);
            CAPTURE(count);
            CAPTURE(first);
            CHECK(wrong == 0);
            CHECK(relative_error(q, widened(p)) < 1e-7);
        }
}

DEVICE_TEST("a squared norm that is not a number shows in every parameter") {
    const DeviceArray<double> norm(device, {std::nan("")});
    std::vector<float> p = uniform(129, 1), m(p.size()), v(p.size());
    RUN(device, adamw_update, p, nullptr, m, v, uniform(129, 2), 129, settings(1, 3.0f, norm.data()));
    CHECK(std::ranges::all_of(p, [](float value) { return std::isnan(value); }));
}
