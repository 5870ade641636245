// Group normalisation of feature maps, and the activation behind it in the same pass.
//
// Channels last: x [B, P, C] for B images of P positions. The C channels form G groups of C / G neighbours,
// each of which is normalised over all positions of an image:
//
//   mean_bg, rstd_bg over the P C / G elements of group g of image b, rstd = 1 / sqrt(variance + eps)
//   n = (x - mean_bg) rstd_bg         u = n weight_c + bias_c         y = f(u)
//
// f: identity; swish u s(u) with s(u) = 1 / (1 + e^-u); leaky ReLU, 0.2 u where u < 0. And with
// h = dy f'(u) and the means over a group's elements:
//
//   dx = rstd (h weight - mean(h weight) - n mean(h weight n))
//   dweight_c += sum h n              dbias_c += sum h
//
// Sources: Wu, He, "Group Normalization" (2018, arXiv 1803.08494); the sums are taken about each image's
// first position, the shifted form of Chan, Golub, LeVeque, "Algorithms for Computing the Sample Variance"
// (1983), which does not cancel where the mean is large.
#pragma once

#include <cstdint>

#include "kernels/common/stream.h"

enum class Activation { none, swish, leaky_relu };

struct GroupNormShape {
    std::int64_t images, positions, channels, groups;  // groups divide the channels

    constexpr std::int64_t elements() const { return images * positions * channels; }
    constexpr std::int64_t group_channels() const { return channels / groups; }
};

namespace cpu {

// y, x [B, P, C]; mean, rstd [B, G]; weight, bias [C]; workspace groupnorm_forward_workspace(shape) floats. y
// may be x.
// Moves 12 bytes per element (x read twice, y written once; less where an image's part fits into the cache);
// about 9 operations each, and an exponential for swish.
void groupnorm_forward(float* y, float* mean, float* rstd, float* workspace, const float* x,
                       const float* weight, const float* bias, const GroupNormShape& shape, float eps,
                       Activation activation);

// dx, dy, x [B, P, C]; dweight, dbias, weight, bias [C]; mean, rstd [B, G] as the forward pass wrote them;
// workspace groupnorm_backward_workspace(shape) floats. dx is overwritten and may be dy; dweight and dbias
// accumulate.
// Moves 20 bytes per element (dy and x read twice, dx written once); about 25 operations each, and two
// exponentials for swish, which cost a GPU less than keeping h. Here h waits in dx between the two passes: 24
// bytes and one exponential.
void groupnorm_backward(float* dx, float* dweight, float* dbias, float* workspace, const float* dy,
                        const float* x, const float* weight, const float* bias, const float* mean,
                        const float* rstd, const GroupNormShape& shape, Activation activation);

std::int64_t groupnorm_forward_workspace(const GroupNormShape& shape);
std::int64_t groupnorm_backward_workspace(const GroupNormShape& shape);

}  // namespace cpu

namespace cuda {

// The same contracts on the device; pointers and sizes as in stream.h.
template <class T>
void groupnorm_forward(Stream stream, T* y, float* mean, float* rstd, float* workspace, const T* x,
                       const float* weight, const float* bias, const GroupNormShape& shape, float eps,
                       Activation activation);
template <class T>
void groupnorm_backward(Stream stream, T* dx, float* dweight, float* dbias, float* workspace, const T* dy,
                        const T* x, const float* weight, const float* bias, const float* mean,
                        const float* rstd, const GroupNormShape& shape, Activation activation);
std::int64_t groupnorm_forward_workspace(const GroupNormShape& shape);
std::int64_t groupnorm_backward_workspace(const GroupNormShape& shape);

}  // namespace cuda
