// The operations on feature maps (runtime/ops/feature_ops.h) against central differences.
#include "runtime/ops/feature_ops.h"

#include "runtime/ops/ops.h"
#include "runtime/ops/quantise_ops.h"
#include "tests/gradient/gradient_check.h"
#include "tests/test_devices.h"

using namespace gradient_check;

GRADIENT_TEST("gradient: groupnorm") {
    for (const Activation activation : {Activation::none, Activation::swish}) {
        CAPTURE(static_cast<int>(activation));
        Parameters parameters;
        const Parameter &weight = parameters.add("weight", {6}, Init::normal),
                        &bias = parameters.add("bias", {6}, Init::normal);
        parameters.allocate(device, true);
        parameters.initialize(5);
        Check(device, {{2 * 4, 6, 1}}, &parameters, weighted_sum([&](Tape& tape, std::span<const Tensor> in) {
                  return groupnorm(tape, in[0], 4, weight, bias, 3, 1e-6f, activation);
              }))
            .run();
    }
}

GRADIENT_TEST("gradient: average_pool, upsample_nearest, add_maps") {
    const MapSize size{4, 6};
    Check(device, {{2 * 24, 3, 2}}, nullptr, weighted_sum([&](Tape& tape, std::span<const Tensor> in) {
              return average_pool(tape, in[0], size);
          }))
        .run();
    Check(device, {{2 * 24, 3, 3}}, nullptr, weighted_sum([&](Tape& tape, std::span<const Tensor> in) {
              return upsample_nearest(tape, in[0], size);
          }))
        .run();
    Check(device, {{5, 3, 4}, {5, 3, 5}}, nullptr,
          weighted_sum([&](Tape& tape, std::span<const Tensor> in) { return add_maps(tape, in[0], in[1]); }))
        .run();
}

GRADIENT_TEST("gradient: max_pool, of an odd size too") {
    for (const MapSize size : {MapSize{4, 6}, MapSize{5, 3}}) {
        Input x(2 * size.height * size.width, 3, 2);
        // Numbers far enough apart that no step changes which is the largest.
        for (std::size_t i = 0; i < x.values.size(); ++i)
            x.values[i] = static_cast<float>(i * 37 % x.values.size()) / 8 - 5;
        CAPTURE(size.width);
        Check(device, {x}, nullptr, weighted_sum([&](Tape& tape, std::span<const Tensor> in) {
                  return max_pool(tape, in[0], size);
              }))
            .run();
    }
}

GRADIENT_TEST("gradient: a 1 x 1 convolution of maps is linear") {
    Parameters parameters;
    const Parameter& weight = parameters.add("weight", {4, 3, 1, 1}, Init::fan_in);
    parameters.allocate(device, true);
    parameters.initialize(6);
    Check(device, {{7, 3, 6}}, &parameters, weighted_sum([&](Tape& tape, std::span<const Tensor> in) {
              return linear(tape, in[0], weight, nullptr);
          }))
        .run();
}

// The straight-through value has no measurable slope: without a consumer its gradient is that of the loss,
// whose two terms are distinguished by beta; with one, the consumer's gradient is passed on unchanged.
DEVICE_TEST("quantise leaves the gradients of both terms of its loss, and passes on what comes back") {
    constexpr std::int64_t M = 5, K = 3, C = 4;
    constexpr float beta = 0.25f, scale = 0.5f;
    Parameters parameters;
    const Parameter& codebook = parameters.add("codebook", {K, C}, Init::codebook);
    parameters.allocate(device, true);
    parameters.initialize(7);
    const Input z(M, C, 8), passed(M, C, 9);
    const std::vector<float> entries = read_floats(device, codebook.value, K * C);
    const std::vector<std::int32_t> codes = {2, 0, 2, 2, 0};
    for (const bool followed : {false, true})
        for (const bool adds : {false, true}) {
            CAPTURE(followed);
            CAPTURE(adds);
            parameters.zero_gradients();
            double total = 0;
            std::vector<float> dz;
            Tape tape(device);
            tape.arena().poison_released(true);
            tape.set_recording(true);
            const auto job = [&] {
                const Tensor x = tape.create(M, C, true), sum = tape.create(1, 1, false, Element::f64);
                copy_to_tensor(tape, x, z.values.data(), z.values.size() * sizeof(float));
                if (adds) {
                    tape.begin_gradient(x.node());
                    write_gradient(tape, x.node(), std::vector<float>(M * C, 0.75f));
                }
                zero_tensor(tape, sum);
                const Tensor y = quantise(tape, x, constant(tape, M, codes), codebook, beta, scale, sum);
                if (followed) {
                    tape.begin_gradient(y.node());
                    write_gradient(tape, y.node(), passed.values);
                }
                tape.backward(0);
                if (tape.planning()) return;
                copy_from_tensor(tape, &total, sum, sizeof total);
                dz = read_floats(device, tape.gradient(x.node()), M * C);
            };
            const Plan plan = plan_job(tape, job);
            run_job(tape, plan, job);
            double expected_total = 0;
            std::vector<double> d_codebook(K * C);
            for (std::size_t i = 0; i < M * C; ++i) {
                const std::size_t entry = static_cast<std::size_t>(codes[i / C]) * C + i % C;
                const double d = static_cast<double>(z.values[i]) - static_cast<double>(entries[entry]);
                expected_total += d * d;
                d_codebook[entry] -= 2.0 * scale * beta * d;
                const double expected = 2.0 * scale * d + (adds ? 0.75 : 0.0) +
                                        (followed ? static_cast<double>(passed.values[i]) : 0.0);
                CHECK(dz[i] == doctest::Approx(expected).epsilon(1e-5));
            }
            CHECK(total == doctest::Approx(expected_total).epsilon(1e-6));
            const std::vector<float> gradient = read_floats(device, codebook.gradient, K * C);
            for (std::size_t i = 0; i < K * C; ++i)
                CHECK(gradient[i] == doctest::Approx(d_codebook[i]).epsilon(1e-5));
        }
}

GRADIENT_TEST("gradient: position_mean") {
    Check(device, {{2 * 6, 5, 2}}, nullptr,
          weighted_sum([](Tape& tape, std::span<const Tensor> in) { return position_mean(tape, in[0], 6); }))
        .run();
}

DEVICE_TEST("concatenate_channels puts maps side by side, window pooling keeps to the map") {
    const std::vector<float> first = {1, 2, 3, 4}, second = {5, 6};
    std::vector<float> joined(6), largest(4), mean(4);
    Tape tape(device);
    const auto job = [&] {
        const std::vector<Tensor> maps = {constant(tape, 2, first), constant(tape, 2, second)};
        copy_from_tensor(tape, joined.data(), concatenate_channels(tape, maps),
                         joined.size() * sizeof(float));
        const Tensor map = constant(tape, 4, first);
        copy_from_tensor(tape, largest.data(), window_max(tape, map, {2, 2}, 3, 1, 1), 4 * sizeof(float));
        copy_from_tensor(tape, mean.data(), window_mean(tape, map, {2, 2}, 3, 1, 1), 4 * sizeof(float));
    };
    const Plan plan = plan_job(tape, job);
    run_job(tape, plan, job);
    CHECK(joined == std::vector<float>{1, 2, 5, 3, 4, 6});
    CHECK(largest == std::vector<float>(4, 4));
    CHECK(mean == std::vector<float>(4, 2.5f));
}
