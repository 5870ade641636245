// The hinge losses of adversarial training, over a discriminator's logits l:
//
//   the discriminator's, real pictures    total += sum_i max(0, 1 - l_i)    dl_i = -scale where l_i < 1
//   the discriminator's, generated ones   total += sum_i max(0, 1 + l_i)    dl_i = scale where l_i > -1
//   the generator's                       total += sum_i -l_i               dl_i = -scale
//
// and 0 elsewhere. Sums are taken in double.
// Source: Lim, Ye, "Geometric GAN" (2017, arXiv 1705.02894), section 4.
#pragma once

#include <cstdint>

#include "kernels/common/stream.h"

enum class AdversarialTerm { real, generated, generator };

namespace cpu {

// logits [count]; `workspace`: adversarial_loss_workspace() doubles. Moves 4 bytes per element, 3 operations.
void adversarial_loss_accumulate(double* total, double* workspace, const float* logits, AdversarialTerm term,
                                 std::int64_t count);
std::int64_t adversarial_loss_workspace();

// d_logits, logits [count]. d_logits is overwritten and may be logits. Moves 8 bytes per element, 2
// operations.
void adversarial_loss_backward(float* d_logits, const float* logits, AdversarialTerm term, float scale,
                               std::int64_t count);

}  // namespace cpu

namespace cuda {

// The same contracts on the device; pointers and sizes as in stream.h.
template <class T>
void adversarial_loss_accumulate(Stream stream, double* total, double* workspace, const T* logits,
                                 AdversarialTerm term, std::int64_t count);
std::int64_t adversarial_loss_workspace();
template <class T>
void adversarial_loss_backward(Stream stream, T* d_logits, const T* logits, AdversarialTerm term, float scale,
                               std::int64_t count);

}  // namespace cuda
