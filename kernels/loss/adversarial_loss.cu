// A discriminator gives some hundred logits a picture: the work is in getting here.
//
// ptxas budget: 40 registers, no spills
#include "kernels/loss/adversarial_loss.h"

#include "kernels/common/bf16.h"
#include "kernels/common/total.cuh"

namespace cuda {
namespace {

struct Term {
    AdversarialTerm term;
    __device__ float operator()(float logit) const {
        if (term == AdversarialTerm::generator) return -logit;
        return fmaxf(0, term == AdversarialTerm::real ? 1 - logit : 1 + logit);
    }
};
struct Slope {
    AdversarialTerm term;
    float scale;
    __device__ float operator()(float logit) const {
        if (term == AdversarialTerm::generator) return -scale;
        if (term == AdversarialTerm::real) return logit < 1 ? -scale : 0.0f;
        return logit > -1 ? scale : 0.0f;
    }
};

}  // namespace

template <class T>
void adversarial_loss_accumulate(Stream stream, double* total, double* workspace, const T* logits,
                                 AdversarialTerm term, std::int64_t count) {
    total_accumulate(stream, total, workspace, count, Term{term}, logits);
}
std::int64_t adversarial_loss_workspace() {
    return max_parts;
}

template <class T>
void adversarial_loss_backward(Stream stream, T* d_logits, const T* logits, AdversarialTerm term, float scale,
                               std::int64_t count) {
    elementwise(stream, d_logits, count, Slope{term, scale}, logits);
}

template void adversarial_loss_accumulate(Stream, double*, double*, const float*, AdversarialTerm,
                                          std::int64_t);
template void adversarial_loss_accumulate(Stream, double*, double*, const bf16*, AdversarialTerm,
                                          std::int64_t);
template void adversarial_loss_backward(Stream, float*, const float*, AdversarialTerm, float, std::int64_t);
template void adversarial_loss_backward(Stream, bf16*, const bf16*, AdversarialTerm, float, std::int64_t);

}  // namespace cuda
