// The operations of MAR levels (runtime/ops/masking_ops.h) against central differences.
#include "runtime/ops/masking_ops.h"

#include "runtime/ops/row_ops.h"
#include "tests/gradient/gradient_check.h"
#include "tests/test_devices.h"

using namespace gradient_check;

GRADIENT_TEST("gradient: masked_sequence") {
    constexpr std::int64_t M = 2, L = 4, n = 3, D = 5;
    const std::vector<std::uint8_t> mask = {1, 0, 0, 1, 0, 1, 1, 1};
    for (const bool guided : {false, true}) {
        CAPTURE(guided);
        Parameters parameters;
        const Parameter& mask_token = parameters.add("mask_token", {1, 1, D}, Init::normal);
        const Parameter& positions =
            parameters.add("positions", {1, L + n + (guided ? 1 : 0), D}, Init::normal);
        parameters.allocate(device, true);
        parameters.initialize(3);
        std::vector<Input> inputs = {{M, n * D, 1}, {M * L, D, 2}};
        if (guided) inputs.emplace_back(M, D, 3);
        Check(device, inputs, &parameters, weighted_sum([&](Tape& tape, std::span<const Tensor> in) {
                  return masked_sequence(tape, guided ? in[2] : Tensor(), in[0], in[1],
                                         constant(tape, M, mask), mask_token, positions);
              }))
            .run({Before::nothing});
    }
}

GRADIENT_TEST("gradient: neighbour_conditions") {
    const std::vector<std::int32_t> selected = {0, 4, 5, 9, 17}, rows = {0, -1, -1, -1, 1,  2,  -1, -1, -1,
                                                                         3, -1, -1, -1, -1, -1, -1, -1, 4};
    for (const std::int64_t n : {1, 2, 5}) {
        CAPTURE(n);
        const NeighbourShape shape{3, 2, n, 4};
        Check(device, {{2 * (2 + 9), 4, 5}}, nullptr,
              weighted_sum([&](Tape& tape, std::span<const Tensor> in) {
                  return neighbour_conditions(tape, in[0], constant(tape, 5, selected),
                                              constant(tape, 2, rows), shape);
              }))
            .run({Before::nothing});
    }
}

GRADIENT_TEST("gradient: first_condition beside another use of all conditions") {
    // Its input's gradient holds the other use's part when its own is added.
    Check(device, {{3, 3 * 4, 6}}, nullptr, weighted_sum([](Tape& tape, std::span<const Tensor> in) {
              return first_condition(tape, in[0], 4);
          }))
        .run({Before::a_sum});
}
