// The operations of the masked-token transformer (runtime/ops/token_ops.h) against central differences.
#include "runtime/ops/token_ops.h"

#include "runtime/ops/row_ops.h"
#include "tests/gradient/gradient_check.h"

using namespace gradient_check;

GRADIENT_TEST("gradient: add_positions") {
    constexpr std::int64_t M = 3, L = 4, D = 5;
    Parameters parameters;
    const Parameter& positions = parameters.add("positions", {L, D}, Init::normal);
    parameters.allocate(device, true);
    parameters.initialize(3);
    // Tokens in rows of their own, and a whole sequence in a row, as embeddings lie.
    for (const auto& [rows, width] : {std::pair{M * L, D}, {M, L * D}})
        Check(device, {{rows, width, 1}}, &parameters,
              weighted_sum([&](Tape& tape, std::span<const Tensor> in) {
                  const Tensor y = add_positions(tape, in[0], positions);
                  CHECK(y.rows() == M * L);
                  CHECK(y.width() == D);
                  return y;
              }))
            .run({Before::nothing});
}

GRADIENT_TEST("gradient: prepend_tokens, one and several") {
    for (const std::int64_t rows : {3, 9})
        Check(device, {{rows, 4, 1}, {6, 4, 2}}, nullptr,
              weighted_sum([](Tape& tape, std::span<const Tensor> in) {
                  return prepend_tokens(tape, in[0], in[1], 3);
              }))
            .run({Before::nothing});
}

GRADIENT_TEST("gradient: join_columns, whose inputs may feed something else as well") {
    Check(device, {{3, 4, 1}, {3, 4, 2}}, nullptr, weighted_sum([](Tape& tape, std::span<const Tensor> in) {
              return join_columns(tape, in[0], in[1]);
          }))
        .run();
}

GRADIENT_TEST("gradient: select_rows, whole rows and parts of them") {
    const std::vector<std::int32_t> index = {4, 0, 3};
    for (const auto& [rows, width] : {std::pair{std::int64_t{5}, std::int64_t{4}}, {3, 8}})
        Check(device, {{rows, width, 1}}, nullptr, weighted_sum([&](Tape& tape, std::span<const Tensor> in) {
                  return select_rows(tape, in[0], constant(tape, 3, index), 4);
              }))
            .run({Before::nothing});
}

DEVICE_TEST("prepend_tokens and drop_first_tokens are each other's inverse") {
    Tape tape(device);
    std::vector<float> first(4 * 3, 7), tokens(2 * 4 * 3), back(tokens.size());
    for (std::size_t i = 0; i < tokens.size(); ++i) tokens[i] = static_cast<float>(i);
    const auto job = [&] {
        const Tensor y = prepend_tokens(tape, constant(tape, 4, first), constant(tape, 8, tokens), 2);
        copy_from_tensor(tape, back.data(), drop_first_tokens(tape, y, 6, 2), back.size() * sizeof(float));
    };
    const Plan plan = plan_job(tape, job);
    run_job(tape, plan, job);
    CHECK(back == tokens);
}

// Of the table no gradient: only x and the bias have slopes of their own here.
GRADIENT_TEST("gradient: tied_cross_entropy of the first rows of a table") {
    constexpr std::int64_t n = 4, D = 6, K = 5;
    Parameters table_of, parameters;
    const Parameter& table = table_of.add("table", {K + 1, D}, Init::normal);
    table_of.allocate(device, true);
    std::vector<float> values(static_cast<std::size_t>((K + 1) * D));
    random_normal(values.data(), (K + 1) * D, random_key(5, "table"), 1);
    copy_to_device(device, table.value, values.data(), values.size() * sizeof(float));
    const Parameter& bias = parameters.add("bias", {K}, Init::normal);
    parameters.allocate(device, true);
    parameters.initialize(3);
    const std::vector<std::int32_t> targets = {0, 4, 2, 2};
    for (const float smoothing : {0.0f, 0.3f})
        Check(device, {{n, D, 1}}, &parameters, [&](Tape& tape, std::span<const Tensor> in, double& loss) {
            const Tensor total = tape.create(1, 1, false, Element::f64);
            zero_tensor(tape, total);
            tied_cross_entropy(tape, in[0], constant(tape, n, targets), table, bias, K, {smoothing, 0.25f},
                               total);
            double sum = 0;
            copy_from_tensor(tape, &sum, total, sizeof sum);
            loss += 0.25 * sum;
        }).run({Before::nothing});
    for (const float gradient : read_floats(device, table.gradient, table.count)) CHECK(gradient == 0.0f);
}

GRADIENT_TEST("gradient: cross_entropy of logits") {
    const std::vector<std::int32_t> targets = {0, 4, 2, 2};
    for (const float smoothing : {0.0f, 0.3f})
        Check(device, {{4, 5, 1}}, nullptr, [&](Tape& tape, std::span<const Tensor> in, double& loss) {
            const Tensor total = tape.create(1, 1, false, Element::f64);
            zero_tensor(tape, total);
            cross_entropy(tape, in[0], constant(tape, 4, targets), {smoothing, 0.25f}, total);
            double sum = 0;
            copy_from_tensor(tape, &sum, total, sizeof sum);
            loss += 0.25 * sum;
        }).run({Before::nothing});
}
