// A MAR level's input sequence: guiding pixel and conditions, then the patches, the masked ones replaced by a
// learned mask token; position embeddings added. With G = 0 or 1 guiding pixels and n conditions as a prefix,
// P = G + n and L patches:
//
//   x[m, 0] = guide[m] + pos[0]                                     (if G = 1)
//   x[m, G + n - 1 - i] = cond[m, i] + pos[G + n - 1 - i]           condition 0 next to the patches
//   x[m, P + t] = (mask[m, t] ? mask_token : tokens[m, t]) + pos[P + t]
//
//   dguide, dcond, dtokens take their rows of dx, dtokens 0 where masked
//   dmask_token += sum of dx[m, P + t] over the masked (m, t)       dpos[s] += sum_m dx[m, s]
//
// Source: Li et al., "Fractal Generative Models" (2025, arXiv 2502.17437), section 4.2; the order of the
// tokens is the release's.
#pragma once

#include <cstdint>

#include "kernels/common/stream.h"

struct MaskedSequenceShape {
    std::int64_t M;  // sequences
    std::int64_t L;  // patches
    std::int64_t n;  // conditions
    bool guided;     // the prefix begins with a guiding pixel
    std::int64_t D;  // width
    std::int64_t prefix() const { return n + (guided ? 1 : 0); }
    std::int64_t length() const { return prefix() + L; }
};

namespace cpu {

// x [M, P + L, D]; guide [M, D] (not read unless guided); cond [M, n, D]; tokens [M, L, D]; mask [M, L], 1 =
// masked; mask_token [D]; pos [P + L, D]. No aliasing. Moves 8 bytes per element of x, 1 operation.
void masked_sequence_forward(float* x, const float* guide, const float* cond, const float* tokens,
                             const std::uint8_t* mask, const float* mask_token, const float* pos,
                             const MaskedSequenceShape& shape);

// dguide (may be null unless guided), dcond and dtokens are overwritten, dmask_token and dpos accumulate.
// Moves 8 bytes per element of dx, 1 operation.
void masked_sequence_backward(float* dguide, float* dcond, float* dtokens, float* dmask_token, float* dpos,
                              float* workspace, const float* dx, const std::uint8_t* mask,
                              const MaskedSequenceShape& shape);

// Floats of workspace the backward needs: two rows for every position and slice of the sequences (16 slices
// at most).
std::int64_t masked_sequence_backward_workspace(const MaskedSequenceShape& shape);

}  // namespace cpu

namespace cuda {

// The same contracts on the device; pointers and sizes as in stream.h.
template <class T>
void masked_sequence_forward(Stream stream, float* x, const T* guide, const T* cond, const T* tokens,
                             const std::uint8_t* mask, const float* mask_token, const float* pos,
                             const MaskedSequenceShape& shape);
template <class T>
void masked_sequence_backward(Stream stream, T* dguide, T* dcond, T* dtokens, float* dmask_token, float* dpos,
                              float* workspace, const float* dx, const std::uint8_t* mask,
                              const MaskedSequenceShape& shape);
std::int64_t masked_sequence_backward_workspace(const MaskedSequenceShape& shape);

}  // namespace cuda
