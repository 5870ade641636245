// The operations of adversarial training (runtime/ops/adversarial_ops.h) against central differences.
#include "runtime/ops/adversarial_ops.h"

#include "tests/gradient/gradient_check.h"
#include "tests/test_devices.h"

using namespace gradient_check;

namespace {

constexpr double scale = 0.75;

// A loss that adds to a total, as gradient_check's: run(tape, inputs, total).
template <class Run>
Loss scaled_total(Run run) {
    return [run](Tape& tape, std::span<const Tensor> inputs, double& loss) {
        const Tensor total = tape.create(1, 1, false, Element::f64);
        zero_tensor(tape, total);
        run(tape, inputs, total);
        double sum = 0;
        copy_from_tensor(tape, &sum, total, sizeof(sum));
        loss += scale * sum;
    };
}

// Values that keep away from `corner`, where a loss has no slope.
Input away_from(Input input, float corner) {
    for (float& value : input.values)
        if (std::abs(value - corner) < 0.1f) value = corner + (value < corner ? -0.1f : 0.1f);
    return input;
}

}  // namespace

GRADIENT_TEST("gradient: leaky_relu, and ReLU") {
    for (const float slope : {0.2f, 0.0f}) {
        CAPTURE(slope);
        Check(device, {away_from({3, 5, 1}, 0)}, nullptr,
              weighted_sum(
                  [=](Tape& tape, std::span<const Tensor> in) { return leaky_relu(tape, in[0], slope); }))
            .run();
    }
}

GRADIENT_TEST("gradient: feature_distance") {
    const Input target(4, 5, 2);
    Parameters parameters;
    const Parameter& weight = parameters.add("weight", {1, 5, 1, 1}, Init::fan_in);
    parameters.allocate(device, false);
    parameters.initialize(4);
    Check(device, {{4, 5, 1}}, nullptr,
          scaled_total([&](Tape& tape, std::span<const Tensor> in, const Tensor& total) {
              feature_distance(tape, in[0], constant(tape, 4, target.values), weight, 0.5,
                               static_cast<float>(scale), total);
          }))
        .run();
}

GRADIENT_TEST("gradient: l1_loss") {
    const Input target(4, 3, 2);
    Input x(4, 3, 1);
    for (std::size_t i = 0; i < x.values.size(); ++i)
        if (std::abs(x.values[i] - target.values[i]) < 0.1f) x.values[i] += 0.5f;
    Check(device, {x}, nullptr,
          scaled_total([&](Tape& tape, std::span<const Tensor> in, const Tensor& total) {
              l1_loss(tape, in[0], constant(tape, 4, target.values), static_cast<float>(scale), total);
          }))
        .run();
}

GRADIENT_TEST("gradient: adversarial_loss") {
    for (const AdversarialTerm term :
         {AdversarialTerm::real, AdversarialTerm::generated, AdversarialTerm::generator}) {
        CAPTURE(static_cast<int>(term));
        Check(device, {away_from(away_from({7, 2, 3}, 1), -1)}, nullptr,
              scaled_total([&](Tape& tape, std::span<const Tensor> in, const Tensor& total) {
                  adversarial_loss(tape, in[0], term, static_cast<float>(scale), total);
              }))
            .run();
    }
}

DEVICE_TEST("detached copies values and keeps gradients to itself") {
    const std::vector<float> values = {1, -2, 3, 4, 5, -6};
    Tape tape(device);
    tape.set_recording(true);
    std::vector<float> copied(values.size());
    const auto job = [&] {
        const Tensor x = tape.create(2, 3, true);
        copy_to_tensor(tape, x, values.data(), values.size() * sizeof(float));
        const Tensor y = detached(tape, x, true);
        tape.begin_gradient(y.node());
        tape.backward(0);
        CHECK_FALSE(tape.has_gradient(x.node()));
        CHECK_FALSE(tape.differentiable(detached(tape, x, false).node()));
        copy_from_tensor(tape, copied.data(), y, values.size() * sizeof(float));
    };
    run_job(tape, plan_job(tape, job), job);
    CHECK(copied == values);
}
