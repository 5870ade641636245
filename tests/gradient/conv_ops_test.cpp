// Convolutions (runtime/ops/conv_ops.h) against central differences.
#include "runtime/ops/conv_ops.h"

#include <stdexcept>

#include "tests/gradient/gradient_check.h"
#include "tests/test_devices.h"

using namespace gradient_check;

GRADIENT_TEST("gradient: conv2d") {
    struct Shape {
        MapSize size;
        std::int64_t C, N, kernel, stride;
    };
    for (const Shape& s : {Shape{{4, 3}, 2, 3, 3, 1}, Shape{{6, 5}, 3, 2, 4, 2}, Shape{{4, 4}, 2, 1, 4, 1}})
        for (const bool biased : {true, false}) {
            CAPTURE(s.kernel);
            CAPTURE(biased);
            Parameters parameters;
            const Parameter& weight = parameters.add("weight", {s.N, s.C, s.kernel, s.kernel}, Init::normal);
            const Parameter* bias = biased ? &parameters.add("bias", {s.N}, Init::normal) : nullptr;
            parameters.allocate(device, true);
            parameters.initialize(3);
            Check(device, {{2 * s.size.height * s.size.width, s.C, 1}}, &parameters,
                  weighted_sum([&](Tape& tape, std::span<const Tensor> in) {
                      const Tensor y = conv2d(tape, in[0], s.size, weight, bias, s.stride, 1);
                      const MapSize out = convolved(s.size, s.kernel, s.stride, 1);
                      CHECK(y.rows() == 2 * out.height * out.width);
                      return y;
                  }))
                .run();
        }
}

GRADIENT_TEST("gradient: frozen_conv2d is conv2d whose weights need no gradient") {
    const MapSize size{4, 3};
    Parameters parameters;
    const Parameter &weight = parameters.add("weight", {3, 2, 3, 3}, Init::normal),
                    &bias = parameters.add("bias", {3}, Init::normal);
    parameters.allocate(device, false);
    parameters.initialize(3);
    Check(device, {{2 * 12, 2, 1}}, nullptr, weighted_sum([&](Tape& tape, std::span<const Tensor> in) {
              return frozen_conv2d(tape, in[0], size, weight, &bias, 1, 1);
          }))
        .run();
}

TEST_CASE("conv2d refuses shapes that do not fit") {
    Parameters parameters;
    const Parameter& weight = parameters.add("weight", {2, 3, 4, 4}, Init::normal);
    const Parameter& bias = parameters.add("bias", {3}, Init::zeros);
    parameters.allocate(Device::cpu, false);
    Tape tape(Device::cpu);
    plan_job(tape, [&] {
        const Tensor x = tape.create(2 * 5 * 5, 3, true), wide = tape.create(50, 4, true);
        const auto with = [&](const Tensor& input, MapSize size, const Parameter* b, std::int64_t stride,
                              std::int64_t padding) {
            conv2d(tape, input, size, weight, b, stride, padding);
        };
        CHECK_THROWS_AS(with(x, {5, 6}, nullptr, 1, 1), std::logic_error);
        CHECK_THROWS_AS(with(wide, {5, 5}, nullptr, 1, 1), std::logic_error);
        CHECK_THROWS_AS(with(x, {5, 5}, &bias, 1, 1), std::logic_error);
        CHECK_THROWS_AS(with(x, {5, 5}, nullptr, 0, 1), std::logic_error);
        CHECK_THROWS_AS(with(x, {5, 5}, nullptr, 1, 4), std::logic_error);
        CHECK_THROWS_AS(with(x, {1, 1}, nullptr, 1, 1), std::logic_error);
    });
}
