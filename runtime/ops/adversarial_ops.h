// Operations of adversarial and perceptual training: the discriminator's activation, losses, and the adaptive
// weight between two losses. Losses add their sum to `total`, double [1, 1]; means and weights are the
// caller's `scale`. While the tape records, a loss adds the gradient of scale * total to its input's gradient
// at once.
#pragma once

#include "kernels/loss/adversarial_loss.h"
#include "runtime/ops/conv_ops.h"
#include "runtime/tensor/parameters.h"
#include "runtime/tensor/tape.h"

// x where positive, slope * x elsewhere, 0 <= slope < 1; slope 0 is ReLU.
Tensor leaky_relu(Tape& tape, const Tensor& x, float slope);

// sum |x - target|, target fp32 of x's shape.
void l1_loss(Tape& tape, const Tensor& x, const Tensor& target, float scale, const Tensor& total);
// factor sum weight (x / |x| - target / |target|)^2, norms over channels: kernels/loss/feature_distance.h.
// Maps x and target [B * H * W, C] of one type, weight [C] float.
void feature_distance(Tape& tape, const Tensor& x, const Tensor& target, const Parameter& weight,
                      double factor, float scale, const Tensor& total);
// The hinge loss of a discriminator's logits, or the generator's (kernels/loss/adversarial_loss.h).
void adversarial_loss(Tape& tape, const Tensor& logits, AdversarialTerm term, float scale,
                      const Tensor& total);

// A copy of x whose gradient is not propagated to x. `differentiable`: the copy has a gradient.
Tensor detached(Tape& tape, const Tensor& x, bool differentiable);

// The gradient of y += lambda times the gradient of `other`, both tensors of one shape with a gradient, and
// `lambda` (float [1, 1]) as in kernels/loss/adaptive_weight.h, from the norms of the two losses' gradients
// with respect to the weight [N, C, kernel, kernel] of the convolution y = conv2d(input), which preserves the
// map's size. The parameter's own gradient is not changed.
void add_adaptive_gradient(Tape& tape, const Tensor& y, const Tensor& other, const Tensor& input,
                           MapSize size, const Parameter& weight, float factor, const Tensor& lambda);
