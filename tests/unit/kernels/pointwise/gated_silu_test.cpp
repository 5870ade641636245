#include "kernels/pointwise/gated_silu.h"

#include <doctest/doctest.h>

#include "tests/unit/kernels/bf16_check.h"

using namespace kernel_check;

namespace {

double reference(double a, double b) {
    return a / (1 + std::exp(-a)) * b;
}

}  // namespace

DEVICE_TEST("gated silu agrees with the formula and its central differences") {
    for (const std::int64_t rows : row_counts)
        for (const std::int64_t hidden : widths) {
            const std::vector<float> gate_up = uniform(rows * 2 * hidden, 5, -8, 8);
            const std::vector<float> dy = uniform(rows * hidden, 6);
            std::vector<float> y(dy.size(), NAN), d_gate_up(gate_up.size(), NAN);
            RUN(device, gated_silu_forward, y, gate_up, rows, hidden);
            RUN(device, gated_silu_backward, d_gate_up, dy, gate_up, rows, hidden);
            std::vector<double> expected(y.size()), d_expected(gate_up.size());
            for (std::int64_t i = 0; i < rows * hidden; ++i) {
                const std::int64_t at_a = i / hidden * 2 * hidden + i % hidden, at_b = at_a + hidden;
                const double a = gate_up[at_a], b = gate_up[at_b], step = 1e-5;
                expected[i] = reference(a, b);
                d_expected[at_a] = dy[i] * (reference(a + step, b) - reference(a - step, b)) / (2 * step);
                d_expected[at_b] = dy[i] * (reference(a, b + step) - reference(a, b - step)) / (2 * step);
            }
            CAPTURE(rows);
            CAPTURE(hidden);
            CHECK(relative_error(y, expected) < 1e-6);
            CHECK(relative_error(d_gate_up, d_expected) < 2e-6);
            std::vector<float> in_place = gate_up;
            RUN(device, gated_silu_backward, in_place, dy, in_place, rows, hidden);
            CHECK(same_bits(in_place, d_gate_up));
        }
}

DEVICE_TEST("gated silu stays finite for large gates") {
    const std::vector<float> gate_up = {-1e4f, -100.0f, 100.0f, 1e4f, 2.0f, 2.0f, 2.0f, 2.0f};
    const std::vector<float> dy(4, 1.0f);
    std::vector<float> y(4), d_gate_up(8);
    RUN(device, gated_silu_forward, y, gate_up, 1, 4);
    RUN(device, gated_silu_backward, d_gate_up, dy, gate_up, 1, 4);
    CHECK(relative_error(y, {0, 0, 200, 2e4}) < 1e-6);
    CHECK(relative_error(d_gate_up, {0, 0, 2, 2, 0, 0, 100, 1e4}) < 1e-6);
}

DEVICE_TEST("gated silu does not depend on the number of threads") {
    CHECK(same_for_any_threads([&] {
        const std::vector<float> gate_up = uniform(301 * 2 * 129, 5, -8, 8);
        std::vector<float> y(301 * 129);
        RUN(device, gated_silu_forward, y, gate_up, 301, 129);
        return y;
    }));
}

DEVICE_TEST("gated silu from addresses that are not aligned") {
    const std::vector<float> gate_up = uniform(3 * 128 + 1, 5, -8, 8), dy = uniform(3 * 64 + 1, 6);
    const std::vector<float> gate_up_aligned(gate_up.begin() + 1, gate_up.end()),
        dy_aligned(dy.begin() + 1, dy.end());
    std::vector<float> y(dy.size(), 7.0f), d_gate_up(gate_up.size(), 7.0f), y_aligned(3 * 64),
        d_aligned(3 * 128);
    RUN(device, gated_silu_forward, from(y, 1), from(gate_up, 1), 3, 64);
    RUN(device, gated_silu_backward, from(d_gate_up, 1), from(dy, 1), from(gate_up, 1), 3, 64);
    RUN(device, gated_silu_forward, y_aligned, gate_up_aligned, 3, 64);
    RUN(device, gated_silu_backward, d_aligned, dy_aligned, gate_up_aligned, 3, 64);
    y_aligned.insert(y_aligned.begin(), 7.0f);
    d_aligned.insert(d_aligned.begin(), 7.0f);
    CHECK(relative_error(y, widened(y_aligned)) < 1e-6);
    CHECK(relative_error(d_gate_up, widened(d_aligned)) < 1e-6);
}

CUDA_TEST("gated silu in bf16 is gated silu in float, rounded once") {
    for (const std::int64_t hidden : widths) {
        const std::vector<bf16> gate_up = to_bf16(uniform(17 * 2 * hidden, 5, -8, 8)),
                                dy = to_bf16(uniform(17 * hidden, 6));
        const std::vector<float> gate_up_in_float = to_floats(gate_up), dy_in_float = to_floats(dy);
        std::vector<float> expected(dy.size()), d_expected(gate_up.size());
        std::vector<bf16> y(dy.size()), d_gate_up = gate_up;
        RUN(Device::cuda, gated_silu_forward, expected, gate_up_in_float, 17, hidden);
        RUN(Device::cuda, gated_silu_backward, d_expected, dy_in_float, gate_up_in_float, 17, hidden);
        RUN_CUDA(gated_silu_forward, y, gate_up, 17, hidden);
        RUN_CUDA(gated_silu_backward, d_gate_up, dy, d_gate_up, 17, hidden);
        CAPTURE(hidden);
        CHECK(rounds_to(y, expected));
        CHECK(rounds_to(d_gate_up, d_expected));
    }
}
