#include "kernels/pointwise/residual.h"

#include <doctest/doctest.h>

#include "tests/unit/kernels/bf16_check.h"

using namespace kernel_check;

DEVICE_TEST("residual adds, into either operand too") {
    for (const std::int64_t count : {1, 5, 129, 4097, 30001}) {
        const std::vector<float> x = uniform(count, 1), branch = uniform(count, 2);
        std::vector<float> out(x.size(), NAN), expected(x.size()), into_x = x, into_branch = branch, dx = x;
        for (std::size_t i = 0; i < x.size(); ++i) expected[i] = x[i] + branch[i];
        RUN(device, residual_forward, out, x, branch, count);
        RUN(device, residual_forward, into_x, into_x, branch, count);
        RUN(device, residual_forward, into_branch, x, into_branch, count);
        RUN(device, residual_backward_accumulate, dx, branch, count);
        CAPTURE(count);
        CHECK(same_bits(out, expected));
        CHECK(same_bits(into_x, expected));
        CHECK(same_bits(into_branch, expected));
        CHECK(same_bits(dx, expected));
    }
}

DEVICE_TEST("residual with dropout is dropout, then the sum") {
    const DeviceArray<std::int64_t> ids(device, {11, 12, 13});
    for (const float probability : {0.0f, 0.1f})
        for (const std::int64_t elements : {1, 65, 9001}) {
            const Dropout d{probability, {1, 2}, 3, ids.data(), elements};
            const std::vector<float> x = uniform(3 * elements, 1), branch = uniform(3 * elements, 2);
            std::vector<float> dropped(x.size()), out(x.size(), NAN), in_place = x;
            RUN(device, dropout_forward, dropped, branch, 3, d);
            std::vector<double> expected = widened(x);
            for (std::size_t i = 0; i < expected.size(); ++i) expected[i] += dropped[i];
            RUN(device, residual_dropout_forward, out, x, branch, 3, d);
            RUN(device, residual_dropout_forward, in_place, in_place, branch, 3, d);
            CAPTURE(probability);
            CAPTURE(elements);
            CHECK(relative_error(out, expected) < 2e-7);
            CHECK(same_bits(in_place, out));
        }
}

DEVICE_TEST("residual with dropout does not depend on the number of threads") {
    const DeviceArray<std::int64_t> ids(device, {11, 12, 13});
    CHECK(same_for_any_threads([&] {
        std::vector<float> x = uniform(3 * 20001, 1);
        const std::vector<float> branch = uniform(3 * 20001, 2);
        RUN(device, residual_dropout_forward, x, x, branch, 3, Dropout{0.1f, {1, 2}, 3, ids.data(), 20001});
        return x;
    }));
}

CUDA_TEST("residual with a bf16 branch adds it to the stream in float") {
    const DeviceArray<std::int64_t> ids(Device::cuda, {11, 12, 13});
    for (const std::int64_t elements : {1, 64, 65, 9001}) {
        const Dropout d{0.1f, {1, 2}, 3, ids.data(), elements};
        const std::int64_t count = 3 * elements;
        const std::vector<float> x = uniform(count, 1);
        const std::vector<bf16> branch = to_bf16(uniform(count, 2)), dx = to_bf16(x);
        const std::vector<float> wide = to_floats(branch), dx_wide = to_floats(dx);
        std::vector<float> out(x.size()), expected(x.size()), sum(x.size());
        CAPTURE(elements);
        RUN(Device::cuda, residual_forward, expected, x, wide, count);
        RUN_CUDA(residual_forward, out, x, branch, count);
        CHECK(same_bits(out, expected));
        RUN(Device::cuda, residual_dropout_forward, expected, x, wide, 3, d);
        RUN_CUDA(residual_dropout_forward, out, x, branch, 3, d);
        CHECK(relative_error(out, widened(expected)) < 2e-7);
        std::vector<bf16> accumulated = dx;
        RUN_CUDA(residual_backward_accumulate, accumulated, branch, count);
        for (std::size_t i = 0; i < sum.size(); ++i) sum[i] = dx_wide[i] + wide[i];
        CHECK(rounds_to(accumulated, sum));
    }
}
