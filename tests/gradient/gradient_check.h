// Gradients of operations against central differences of the loss.
//
// The loss is a weighted sum of an operation's outputs, summed in double. Its slope is taken with four values
// of the loss (steps -2h, -h, h, 2h), whose error falls with h^4: the step can be large, so that the rounding
// of float outputs, divided by it, stays below the tolerance.
//
// The slopes are the CPU's: hundreds of losses for each gradient. Another device has to give the same loss
// and gradients that fit these slopes.
//
// Each element is compared by itself: |gradient - slope| <= 1e-3 |slope| + 3e-4. The second term covers the
// rounding of the losses, at most 6e-5 in a slope on the CPU; each tensor's largest slope must exceed 1e-2.
#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "runtime/ops/ops.h"
#include "runtime/tensor/random.h"
#include "tests/test_devices.h"

namespace gradient_check {

// A differentiable input [rows, width].
struct Input {
    std::int64_t rows, width;
    std::vector<float> values;

    Input(std::int64_t row_count, std::int64_t columns, std::uint64_t seed, float deviation = 1)
        : rows(row_count), width(columns), values(static_cast<std::size_t>(row_count * columns)) {
        random_normal(values.data(), rows * width, random_key(seed, "input"), deviation);
    }
};

// Builds the operation on its inputs and adds to `loss`; while the tape records, also leaves the loss's
// gradient at its end.
using Loss = std::function<void(Tape&, std::span<const Tensor> inputs, double& loss)>;
using Operation = std::function<Tensor(Tape&, std::span<const Tensor> inputs)>;

// Sets the gradient of a node, which must be open, to `values`; nothing while planning.
inline void write_gradient(Tape& tape, NodeId node, const std::vector<float>& values) {
    if (!tape.planning())
        copy_to_device(tape.device(), tape.mutable_gradient(node), values.data(),
                       values.size() * sizeof(float));
}

// `count` floats of the device's memory.
inline std::vector<float> read_floats(Device device, const float* source, std::int64_t count) {
    std::vector<float> values(static_cast<std::size_t>(count));
    copy_from_device(device, values.data(), source, values.size() * sizeof(float));
    return values;
}

// sum of w * y over the elements of y = operation(inputs), w random.
inline Loss weighted_sum(Operation operation) {
    return [operation = std::move(operation)](Tape& tape, std::span<const Tensor> inputs, double& loss) {
        const Tensor y = operation(tape, inputs);
        const std::int64_t count = tape.elements(y.node());
        std::vector<float> weights(static_cast<std::size_t>(count));
        random_normal(weights.data(), count, random_key(99, "weights"), 1);
        if (tape.recording()) {
            REQUIRE(tape.begin_gradient(y.node()) == GradientWrite::overwrite);
            write_gradient(tape, y.node(), weights);
        }
        if (tape.planning()) return;
        std::vector<float> values(weights.size());
        copy_from_tensor(tape, values.data(), y, values.size() * sizeof(float));
        for (std::size_t i = 0; i < values.size(); ++i)
            loss += static_cast<double>(weights[i]) * static_cast<double>(values[i]);
    };
}

// Whether the inputs' gradients already hold something when the backward pass begins: the operation must then
// add to it.
enum class Before { nothing, a_sum };

// The CPU's loss and slopes, for each check of the current test in turn.
struct Measured {
    double loss;
    std::vector<std::vector<double>> slopes;
};
inline std::vector<Measured> on_cpu;
inline std::size_t checks_done = 0;

// A test of gradients on every device, first on the CPU. The thread sanitizer's build has no such run
// (test_devices.h): there the slopes are measured on the device.
#define GRADIENT_TEST(name) GRADIENT_TEST_WITH_BODY(DOCTEST_ANONYMOUS(gradient_test_), name)
#define GRADIENT_TEST_WITH_BODY(body, name)                             \
    static void body(Device device);                                    \
    TEST_CASE(name) {                                                   \
        gradient_check::on_cpu.clear();                                 \
        for (const Device each : gradient_check::devices()) {           \
            INFO("on ", (each == Device::cpu ? "the CPU" : "the GPU")); \
            gradient_check::checks_done = 0;                            \
            body(each);                                                 \
        }                                                               \
    }                                                                   \
    static void body(Device device)

inline std::vector<Device> devices() {
    std::vector<Device> all = test_devices();
#ifndef __SANITIZE_THREAD__
    if (all.front() != Device::cpu) all.insert(all.begin(), Device::cpu);
#endif
    return all;
}

class Check {
  public:
    // `parameters` (allocated on `device` with gradients, initialized) may be null.
    Check(Device device, std::vector<Input> inputs, Parameters* parameters, Loss loss)
        : device_(device), inputs_(std::move(inputs)), parameters_(parameters), loss_(std::move(loss)) {
        if (parameters_ != nullptr)
            parameter_values_ = read_floats(device, parameters_->values(),
                                            static_cast<std::int64_t>(parameters_->slab_floats()));
    }

    void run(std::initializer_list<Before> cases = {Before::nothing, Before::a_sum}) {
        const std::size_t number = checks_done++;
        if (number == on_cpu.size()) on_cpu.push_back({evaluate(false, Before::nothing), measure_slopes()});
        const Measured& expected = on_cpu[number];
        if (device_ != Device::cpu) {
            const double loss = evaluate(false, Before::nothing);
            CHECK(std::abs(loss - expected.loss) <= 1e-4 * (1 + std::abs(expected.loss)));
        }
        for (const Before before : cases) {
            CAPTURE(static_cast<int>(before));
            compare(before, expected.slopes);
        }
    }

  private:
    static constexpr float input_sum_before = 0.75f, parameter_sum_before = -0.5f;

    // Runs the operation twice on the same memory, so that the second run finds NaN wherever the first
    // released a buffer. Returns the loss; when recording, leaves the gradients in `gradients_`.
    double evaluate(bool recording, Before before) {
        double loss = 0;
        if (parameters_ != nullptr) write_slab(parameters_->values(), parameter_values_);
        Tape tape(device_);
        tape.arena().poison_released(true);
        tape.set_recording(recording);
        const auto job = [&] {
            loss = 0;
            std::vector<Tensor> tensors;
            for (const Input& input : inputs_) {
                tensors.push_back(tape.create(input.rows, input.width, true));
                copy_to_tensor(tape, tensors.back(), input.values.data(),
                               input.values.size() * sizeof(float));
            }
            if (recording && before == Before::a_sum) open_inputs(tape, tensors);
            loss_(tape, tensors, loss);
            if (!recording) return;
            tape.backward(0);
            read_gradients(tape, tensors);
        };
        const Plan plan = plan_job(tape, job);
        for (int repetition = 0; repetition < (recording ? 2 : 1); ++repetition) {
            if (recording && parameters_ != nullptr)
                write_slab(parameters_->gradients(),
                           std::vector<float>(parameters_->slab_floats(), parameter_sum_before));
            run_job(tape, plan, job);
        }
        CHECK(tape.live_nodes() == 0);
        return loss;
    }

    void write_slab(float* slab, const std::vector<float>& values) const {
        copy_to_device(device_, slab, values.data(), values.size() * sizeof(float));
    }

    void open_inputs(Tape& tape, const std::vector<Tensor>& tensors) {
        for (const Tensor& tensor : tensors) {
            tape.begin_gradient(tensor.node());
            write_gradient(
                tape, tensor.node(),
                std::vector<float>(static_cast<std::size_t>(tape.elements(tensor.node())), input_sum_before));
        }
    }

    void read_gradients(const Tape& tape, const std::vector<Tensor>& tensors) {
        gradients_.assign(tensors.size(), {});
        if (tape.planning()) return;
        for (std::size_t i = 0; i < tensors.size(); ++i) {
            const NodeId node = tensors[i].node();
            REQUIRE(tape.has_gradient(node));
            gradients_[i] = read_floats(device_, tape.gradient(node), tape.elements(node));
        }
    }

    double slope(float& value) {
        constexpr float step = 0x1p-6f;
        const float middle = value;
        const auto at = [&](float offset) {
            value = middle + offset;
            return evaluate(false, Before::nothing);
        };
        const double near = at(step) - at(-step), far = at(2 * step) - at(-2 * step);
        value = middle;
        return (8 * near - far) / (12 * static_cast<double>(step));
    }

    std::vector<std::vector<double>> measure_slopes() {
        std::vector<std::vector<double>> slopes;
        for (Input& input : inputs_) {
            slopes.emplace_back();
            for (float& value : input.values) slopes.back().push_back(slope(value));
        }
        if (parameters_ == nullptr) return slopes;
        for (const Parameter& parameter : parameters_->all()) {
            slopes.emplace_back();
            for (std::int64_t i = 0; i < parameter.count; ++i)
                slopes.back().push_back(
                    slope(parameter_values_[parameter.offset + static_cast<std::size_t>(i)]));
        }
        return slopes;
    }

    void compare(Before before, const std::vector<std::vector<double>>& slopes) {
        evaluate(true, before);
        std::size_t tensor = 0;
        for (; tensor < inputs_.size(); ++tensor) {
            CAPTURE(tensor);
            const double start = before == Before::a_sum ? static_cast<double>(input_sum_before) : 0.0;
            check_elements(gradients_[tensor], slopes[tensor], start);
        }
        if (parameters_ == nullptr) return;
        for (const Parameter& parameter : parameters_->all()) {
            CAPTURE(parameter.name);
            const std::vector<float> gradient = read_floats(device_, parameter.gradient, parameter.count);
            check_elements(gradient, slopes[tensor++], static_cast<double>(parameter_sum_before));
        }
    }

    // Fails for the element with the largest error in units of its tolerance, and for tensors whose slopes
    // lie too close to the rounding errors to test anything. NaN fails.
    static void check_elements(std::span<const float> gradient, std::span<const double> slopes,
                               double start) {
        double largest = 0, worst = 0;
        std::size_t element = 0;
        for (std::size_t i = 0; i < slopes.size(); ++i) {
            const double error = std::abs(static_cast<double>(gradient[i]) - start - slopes[i]),
                         share = error / (1e-3 * std::abs(slopes[i]) + 3e-4);
            if (!(share <= worst)) worst = share, element = i;
            if (std::isnan(share)) break;
            largest = std::max(largest, std::abs(slopes[i]));
        }
        const double found = static_cast<double>(gradient[element]) - start, expected = slopes[element];
        CAPTURE(element);
        CAPTURE(found);
        CAPTURE(expected);
        CHECK(worst <= 1);
        CHECK(largest > 1e-2);
    }

    Device device_;
    std::vector<Input> inputs_;
    Parameters* parameters_;
    std::vector<float> parameter_values_;  // the slab on the host
    Loss loss_;
    std::vector<std::vector<float>> gradients_;
};

// A tensor of the test's own numbers.
template <class T>
Tensor constant(Tape& tape, std::int64_t rows, const std::vector<T>& values) {
    const Tensor tensor =
        tape.create(rows, static_cast<std::int64_t>(values.size()) / rows, false, element_of<T>);
    copy_to_tensor(tape, tensor, values.data(), values.size() * sizeof(T));
    return tensor;
}

}  // namespace gradient_check
