// A discriminator gives some hundred logits a picture: the work is in getting here.
#include "kernels/loss/adversarial_loss.h"

#include <algorithm>

#include "kernels/common/total.h"

namespace cpu {
namespace {

float term_of(float logit, AdversarialTerm term) {
    switch (term) {
        case AdversarialTerm::real:
            return std::max(0.0f, 1 - logit);
        case AdversarialTerm::generated:
            return std::max(0.0f, 1 + logit);
        case AdversarialTerm::generator:
            break;
    }
    return -logit;
}

float slope_of(float logit, AdversarialTerm term) {
    switch (term) {
        case AdversarialTerm::real:
            return logit < 1 ? -1.0f : 0.0f;
        case AdversarialTerm::generated:
            return logit > -1 ? 1.0f : 0.0f;
        case AdversarialTerm::generator:
            break;
    }
    return -1;
}

}  // namespace

void adversarial_loss_accumulate(double* total, double* workspace, const float* logits, AdversarialTerm term,
                                 std::int64_t count) {
    *total += total_of(workspace, count,
                       [=](std::int64_t i) { return static_cast<double>(term_of(logits[i], term)); });
}
std::int64_t adversarial_loss_workspace() {
    return max_scalar_slices;
}

void adversarial_loss_backward(float* d_logits, const float* logits, AdversarialTerm term, float scale,
                               std::int64_t count) {
    for_each_block(count, [=](std::int64_t begin, std::int64_t end) {
        for (std::int64_t i = begin; i < end; ++i) d_logits[i] = scale * slope_of(logits[i], term);
    });
}

}  // namespace cpu
