#include "kernels/loss/cross_entropy.h"

#include <doctest/doctest.h>

#include "tests/unit/kernels/bf16_check.h"

using namespace kernel_check;

namespace {

// Rounding errors of a sum grow with the terms of each partial sum. Sanitizers keep loops scalar: one sum.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr double lost_by_term = 2e-9;
#elif !defined(__AVX512F__)
constexpr double lost_by_term = 2e-10;  // eight partial sums instead of sixteen
#else
constexpr double lost_by_term = 0;
#endif

double reference(const double* z, std::int64_t vocabulary, std::int64_t target, double smoothing = 0) {
    const double maximum = *std::max_element(z, z + vocabulary);
    double sum = 0, logits = 0;
    for (std::int64_t v = 0; v < vocabulary; ++v) {
        sum += std::exp(z[v] - maximum);
        logits += z[v];
    }
    return std::log(sum) + maximum - (1 - smoothing) * z[target] -
           smoothing * logits / static_cast<double>(vocabulary);
}

}  // namespace

DEVICE_TEST("cross entropy and its gradient agree with double") {
    for (const std::int64_t rows : row_counts)
        for (const std::int64_t vocabulary : {1, 5, 129, 256, 1000, 5000}) {
            if (rows * vocabulary > 300000) continue;
            const std::int64_t stride = 3;
            const float scale = 0.37f;
            const std::vector<float> logits = uniform(rows * vocabulary, 1, -9, 9);
            const std::vector<std::int32_t> targets =
                integers(rows * stride, 2, static_cast<std::int32_t>(vocabulary));
            std::vector<float> losses(static_cast<std::size_t>(rows), NAN), again = losses, gradient = logits;
            RUN(device, cross_entropy_forward, losses, logits, targets, stride, rows, vocabulary);
            RUN(device, cross_entropy_forward_backward, again, gradient, targets, stride, rows, vocabulary,
                scale);
            const std::vector<double> z = widened(logits);
            std::vector<double> expected(losses.size()), d_expected(z.size());
            for (std::int64_t row = 0; row < rows; ++row) {
                const std::int64_t target = targets[row * stride];
                expected[row] = reference(&z[row * vocabulary], vocabulary, target);
                const double log_sum = expected[row] + z[row * vocabulary + target];
                for (std::int64_t v = 0; v < vocabulary; ++v)
                    d_expected[row * vocabulary + v] =
                        static_cast<double>(scale) *
                        (std::exp(z[row * vocabulary + v] - log_sum) - (v == target));
            }
            CAPTURE(rows);
            CAPTURE(vocabulary);
            CHECK(relative_error(losses, expected) < 1e-6);
            CHECK(relative_error(again, expected) < 1e-6);
            if (vocabulary > 1) CHECK(relative_error(gradient, d_expected) < 1e-6);
        }
}

DEVICE_TEST("cross entropy's gradient agrees with central differences") {
    const std::vector<float> logits = uniform(5, 1, -3, 3);
    const std::int32_t target = 2;
    std::vector<float> gradient = logits, loss = {0};
    RUN(device, cross_entropy_forward_backward, loss, gradient, std::vector<std::int32_t>{target}, 1, 1, 5,
        2.0f);
    const auto numeric = central_differences(
        widened(logits), [&](const std::vector<double>& z) { return 2 * reference(z.data(), 5, target); });
    CHECK(relative_error(gradient, numeric) < 1e-6);
}

DEVICE_TEST("cross entropy with label smoothing agrees with double, its gradient with central differences") {
    for (const float smoothing : {0.1f, 1.0f})
        for (const auto& [rows, vocabulary] :
             {std::pair{17, 5}, {3, 256}, {5, 1001}, {3, 4099}, {2, 16384}}) {
            const std::vector<float> logits = uniform(rows * vocabulary, 1, -9, 9);
            const std::vector<std::int32_t> targets = integers(rows, 2, vocabulary);
            std::vector<float> losses(static_cast<std::size_t>(rows), NAN), again = losses, gradient = logits;
            RUN(device, cross_entropy_forward, losses, logits, targets, 1, rows, vocabulary, smoothing);
            RUN(device, cross_entropy_forward_backward, again, gradient, targets, 1, rows, vocabulary, 0.37f,
                smoothing);
            const std::vector<double> z = widened(logits);
            std::vector<double> expected(losses.size()), d_expected(z.size());
            for (std::int64_t row = 0; row < rows; ++row) {
                const double* const at = &z[row * vocabulary];
                const double s = static_cast<double>(smoothing), V = vocabulary,
                             log_sum = reference(at, vocabulary, 0) + at[0];
                expected[row] = reference(at, vocabulary, targets[row], s);
                for (std::int64_t v = 0; v < vocabulary; ++v)
                    d_expected[row * vocabulary + v] =
                        static_cast<double>(0.37f) *
                        (std::exp(at[v] - log_sum) - (1 - s) * (v == targets[row]) - s / V);
            }
            CAPTURE(vocabulary);
            const double tolerance = std::max(1e-6, lost_by_term * vocabulary);
            CHECK(relative_error(losses, expected) < tolerance);
            CHECK(relative_error(again, expected) < tolerance);
            CHECK(relative_error(gradient, d_expected) < tolerance);
        }
    const std::vector<float> logits = uniform(5, 1, -3, 3);
    std::vector<float> gradient = logits, loss = {0};
    RUN(device, cross_entropy_forward_backward, loss, gradient, std::vector<std::int32_t>{2}, 1, 1, 5, 2.0f,
        0.25f);
    const auto numeric = central_differences(
        widened(logits), [&](const std::vector<double>& z) { return 2 * reference(z.data(), 5, 2, 0.25); });
    CHECK(relative_error(gradient, numeric) < 1e-6);
}

DEVICE_TEST("cross entropy survives extreme logits") {
    const std::vector<float> logits = {1e4f, -1e4f, 0.0f, 1e4f, -1e4f, 0.0f};
    const std::vector<std::int32_t> targets = {0, 1};
    std::vector<float> losses(2), gradient = logits;
    RUN(device, cross_entropy_forward_backward, losses, gradient, targets, 1, 2, 3, 1.0f);
    CHECK(losses[0] == 0.0f);
    CHECK(losses[1] == 2e4f);
    CHECK(relative_error(gradient, {0, 0, 0, 1, -1, 0}) < 1e-7);
}

DEVICE_TEST("cross entropy does not depend on the number of threads") {
    CHECK(same_for_any_threads([&] {
        std::vector<float> logits = uniform(301 * 129, 1, -9, 9), losses(301);
        const std::vector<std::int32_t> targets = integers(301, 2, 129);
        RUN(device, cross_entropy_forward_backward, losses, logits, targets, 1, 301, 129, 1.0f);
        logits.insert(logits.end(), losses.begin(), losses.end());
        return logits;
    }));
}

DEVICE_TEST("cross entropy of logits that are not aligned") {
    for (const std::int64_t vocabulary : {256, 1000}) {
        const std::vector<float> logits = uniform(3 * vocabulary + 1, 1, -9, 9);
        const std::vector<std::int32_t> targets = {7, 0, static_cast<std::int32_t>(vocabulary - 1)};
        std::vector<float> losses(3), gradient = logits, aligned(logits.begin() + 1, logits.end()),
                                      expected(3);
        RUN(device, cross_entropy_forward_backward, losses, from(gradient, 1), targets, 1, 3, vocabulary,
            1.0f);
        RUN(device, cross_entropy_forward_backward, expected, aligned, targets, 1, 3, vocabulary, 1.0f);
        CHECK(gradient[0] == logits[0]);
        gradient.erase(gradient.begin());
        CHECK(relative_error(losses, widened(expected)) < 1e-6);
        CHECK(relative_error(gradient, widened(aligned)) < 1e-6);
    }
}

CUDA_TEST("cross entropy in bf16 is cross entropy in float of the same logits, the gradient rounded") {
    for (const auto& [vocabulary, smoothing] :
         {std::pair{5, 0.0f}, {129, 0.1f}, {256, 0.0f}, {1000, 0.1f}, {5000, 0.0f}}) {
        const std::vector<bf16> logits = to_bf16(uniform(17 * vocabulary, 1, -9, 9));
        const std::vector<std::int32_t> targets = integers(17, 2, static_cast<std::int32_t>(vocabulary));
        std::vector<bf16> gradient = logits;
        std::vector<float> expected = to_floats(logits), losses(17), again(17), expected_losses(17);
        RUN(Device::cuda, cross_entropy_forward_backward, expected_losses, expected, targets, 1, 17,
            vocabulary, 0.5f, smoothing);
        RUN_CUDA(cross_entropy_forward, losses, logits, targets, 1, 17, vocabulary, smoothing);
        RUN_CUDA(cross_entropy_forward_backward, again, gradient, targets, 1, 17, vocabulary, 0.5f,
                 smoothing);
        CAPTURE(vocabulary);
        CHECK(relative_error(losses, widened(expected_losses)) < 1e-6);
        CHECK(same_bits(again, losses));
        CHECK(rounds_to(gradient, expected));
    }
}
