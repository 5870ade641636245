// Operations of training against losses other than a model's own: the discriminator's activation, losses, and
// the weight between two losses. Those that have a sum to give add it to `total`, double [1, 1]; means and
// weights are the caller's `scale`. While the tape records, a loss leaves the gradient of scale * total in its
// input at once, added to what is there.
#pragma once

#include "kernels/loss/adversarial_loss.h"
#include "runtime/ops/conv_ops.h"
#include "runtime/tensor/parameters.h"
#include "runtime/tensor/tape.h"

// x where positive, slope * x elsewhere, 0 <= slope < 1; slope 0 is ReLU.
Tensor leaky_relu(Tape& tape, const Tensor& x, float slope);

// sum |x - target|, target fp32 of x's shape.
void l1_loss(Tape& tape, const Tensor& x, const Tensor& target, float scale, const Tensor& total);
// factor sum weight (x / |x| - target / |target|)^2, norms over channels: kernels/loss/feature_distance.h. Maps x
// and target [B * H * W, C] of one type, weight [C] float.
void feature_distance(Tape& tape, const Tensor& x, const Tensor& target, const Parameter& weight,
                      double factor, float scale, const Tensor& total);
// The hinge loss of a discriminator's logits, or the generator's (kernels/loss/adversarial_loss.h).
void adversarial_loss(Tape& tape, const Tensor& logits, AdversarialTerm term, float scale,
                      const Tensor& total);

// x cut loose: the same values in a tensor of its own, whose gradient does not reach x. `differentiable`:
// gradients flow into the copy.
Tensor detached(Tape& tape, const Tensor& x, bool differentiable);

// The gradient of y += lambda times the gradient of `other`, both tensors of one shape with a gradient, and
// `lambda` (float [1, 1]) as kernels/loss/adaptive_weight.h says from the norms that the two gradients have at the
// weight [N, C, kernel, kernel] of the convolution y = conv2d(input) that keeps the map's size. Leaves the
// weight's own gradient alone.
void add_adaptive_gradient(Tape& tape, const Tensor& y, const Tensor& other, const Tensor& input,
                           MapSize size, const Parameter& weight, float factor, const Tensor& lambda);
