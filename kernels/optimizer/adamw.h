// Adam with decoupled weight decay, and the exponential moving average of parameters. At step t = 1, 2, ...:
//
//   g  = clip * gradient,  clip = min(1, max_norm / (|all gradients| + 1e-6))
//   m  = beta1 m + (1 - beta1) g        v = beta2 v + (1 - beta2) g^2
//   p  = (1 - learning_rate weight_decay) p
//        - learning_rate (m / correction1) / (sqrt(v / correction2) + epsilon)
//
// Source: Loshchilov, Hutter, "Decoupled Weight Decay Regularization" (2017, arXiv 1711.05101), algorithm 2,
// in torch.optim.AdamW's form (epsilon outside the root, decay not scaled by a schedule of its own).
#pragma once

#include <cstdint>

#include "kernels/common/bf16.h"
#include "kernels/common/stream.h"

struct AdamW {
    float learning_rate, beta1, beta2, epsilon, weight_decay;
    float correction1, correction2;  // 1 - beta1^t, 1 - beta2^t
    float max_norm;                  // 0: no clipping
    const double* squared_norm;      // of all gradients together; read only when max_norm is not 0
};

namespace cpu {

// parameter, exp_avg (m), exp_avg_sq (v) [count] are updated; gradient [count] is only read.
// A squared norm that is not a number makes every parameter so: the caller stops before the update.
// Moves 28 bytes per element (four read, three written); about 26 operations, one of them a division.
// rounded [count], may be null, receives the new parameters in bf16, for the matrix products of a device.
void adamw_update(float* parameter, bf16* rounded, float* exp_avg, float* exp_avg_sq, const float* gradient,
                  std::int64_t count, const AdamW& adamw);

// average = decay * average + (1 - decay) * parameter, [count] each. Moves 12 bytes per element, 2
// operations.
void ema_update(float* average, const float* parameter, std::int64_t count, float decay);

}  // namespace cpu

namespace cuda {

// The same contracts on the device; pointers and sizes as in stream.h.
void adamw_update(Stream stream, float* parameter, bf16* rounded, float* exp_avg, float* exp_avg_sq,
                  const float* gradient, std::int64_t count, const AdamW& adamw);
void ema_update(Stream stream, float* average, const float* parameter, std::int64_t count, float decay);

}  // namespace cuda
