#include "kernels/loss/l1_loss.h"

#include <doctest/doctest.h>

#include "tests/unit/kernels/bf16_check.h"

using namespace kernel_check;

namespace {

const std::vector<std::int64_t> counts = {1, 5, 129, 4097, 30001};

template <class T>
double expected_sum(const std::vector<T>& x, const std::vector<float>& target) {
    double sum = 0;
    for (std::size_t i = 0; i < x.size(); ++i) sum += std::abs(static_cast<double>(x[i]) - target[i]);
    return sum;
}

std::vector<double> workspace(Device device) {
    return std::vector<double>(static_cast<std::size_t>(SIZE_ON(device, l1_loss_workspace)), NAN);
}

}  // namespace

DEVICE_TEST("l1_loss agrees with the formula in double") {
    for (const std::int64_t count : counts) {
        std::vector<float> x = uniform(count, 1);
        const std::vector<float> target = uniform(count, 2);
        x.back() = target.back();
        std::vector<double> total = {7.5}, parts = workspace(device);
        RUN(device, l1_loss_accumulate, total, parts, x, target, count);
        CAPTURE(count);
        CHECK(std::abs(total[0] - 7.5 - expected_sum(x, target)) <= 1e-7 * static_cast<double>(count));

        std::vector<float> dx(x.size(), NAN), expected(x.size());
        for (std::size_t i = 0; i < x.size(); ++i)
            expected[i] = x[i] > target[i] ? 0.25f : x[i] < target[i] ? -0.25f : 0.0f;
        RUN(device, l1_loss_backward, dx, x, target, 0.25f, count);
        CHECK(same_bits(dx, expected));
        RUN(device, l1_loss_backward, x, x, target, 0.25f, count);
        CHECK(same_bits(x, expected));
    }
}

DEVICE_TEST("l1_loss does not depend on the number of threads") {
    const std::vector<float> x = uniform(300001, 1), target = uniform(300001, 2);
    CHECK(same_for_any_threads([&] {
        std::vector<double> total = {0}, parts = workspace(device);
        RUN(device, l1_loss_accumulate, total, parts, x, target, 300001);
        std::vector<float> bits(2);
        std::memcpy(bits.data(), total.data(), sizeof(double));
        return bits;
    }));
}

CUDA_TEST("l1_loss of a bf16 picture") {
    for (const std::int64_t count : counts) {
        const std::vector<bf16> x = to_bf16(uniform(count, 1));
        const std::vector<float> target = uniform(count, 2);
        std::vector<double> total = {0}, parts = workspace(Device::cuda);
        RUN_CUDA(l1_loss_accumulate, total, parts, x, target, count);
        CAPTURE(count);
        CHECK(std::abs(total[0] - expected_sum(to_floats(x), target)) <= 1e-7 * static_cast<double>(count));
        std::vector<bf16> dx(x.size());
        std::vector<float> float_dx(x.size());
        RUN_CUDA(l1_loss_backward, dx, x, target, 0.1f, count);
        RUN_CUDA(l1_loss_backward, float_dx, to_floats(x), target, 0.1f, count);
        CHECK(same_bits(dx, to_bf16(float_dx)));
    }
}
