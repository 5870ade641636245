#include "kernels/loss/adversarial_loss.h"

#include <doctest/doctest.h>

#include "tests/unit/kernels/bf16_check.h"

using namespace kernel_check;

namespace {

constexpr AdversarialTerm terms[] = {AdversarialTerm::real, AdversarialTerm::generated,
                                     AdversarialTerm::generator};
const std::vector<std::int64_t> counts = {1, 5, 900, 20011};

double term_of(double logit, AdversarialTerm term) {
    if (term == AdversarialTerm::real) return std::max(0.0, 1 - logit);
    if (term == AdversarialTerm::generated) return std::max(0.0, 1 + logit);
    return -logit;
}

std::vector<double> workspace(Device device) {
    return std::vector<double>(static_cast<std::size_t>(SIZE_ON(device, adversarial_loss_workspace)), NAN);
}

}  // namespace

DEVICE_TEST("adversarial_loss agrees with the formula in double, its slope with central differences") {
    for (const AdversarialTerm term : terms)
        for (const std::int64_t count : counts) {
            const std::vector<float> logits = uniform(count, 3, -2, 2);
            std::vector<double> total = {-2.5}, parts = workspace(device);
            RUN(device, adversarial_loss_accumulate, total, parts, logits, term, count);
            std::vector<float> slopes(logits.size(), NAN);
            RUN(device, adversarial_loss_backward, slopes, logits, term, 0.5f, count);
            double sum = 0, worst = 0;
            for (std::size_t i = 0; i < logits.size(); ++i) {
                const double l = logits[i];
                sum += term_of(l, term);
                if (std::abs(std::abs(l) - 1) < 1e-5) continue;  // the corner
                const double slope = (term_of(l + 1e-6, term) - term_of(l - 1e-6, term)) / 2e-6;
                worst = std::max(worst, std::abs(slopes[i] - 0.5 * slope));
            }
            CAPTURE(static_cast<int>(term));
            CAPTURE(count);
            CHECK(std::abs(total[0] + 2.5 - sum) <= 2e-7 * static_cast<double>(count));
            CHECK(worst < 1e-6);
        }
}

CUDA_TEST("adversarial_loss of bf16 logits") {
    for (const AdversarialTerm term : terms) {
        const std::vector<bf16> logits = to_bf16(uniform(900, 3, -2, 2));
        std::vector<double> total = {0}, float_total = {0}, parts = workspace(Device::cuda);
        RUN_CUDA(adversarial_loss_accumulate, total, parts, logits, term, 900);
        RUN_CUDA(adversarial_loss_accumulate, float_total, parts, to_floats(logits), term, 900);
        CHECK(total[0] == float_total[0]);
        std::vector<bf16> slopes(logits.size());
        std::vector<float> float_slopes(logits.size());
        RUN_CUDA(adversarial_loss_backward, slopes, logits, term, 0.3f, 900);
        RUN_CUDA(adversarial_loss_backward, float_slopes, to_floats(logits), term, 0.3f, 900);
        CHECK(same_bits(slopes, to_bf16(float_slopes)));
    }
}
