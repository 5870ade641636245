// A level's input sequence: the condition in front of the patch tokens, position embeddings added.
//
//   x[m, 0] = cond[m] + pos[0]        x[m, 1 + t] = tokens[m, t] + pos[1 + t],  t < L - 1
//   dcond[m] = dx[m, 0]    dtokens[m, t] = dx[m, 1 + t]    dpos[t] += sum_m dx[m, t]
#pragma once

#include <cstdint>

#include "kernels/common/stream.h"

namespace cpu {

// x [M, L, D]; cond [M, D]; tokens [M, L-1, D] (not read when L is 1); pos [at least L, D]. No aliasing.
// Moves 8 bytes per element of x (pos from cache), 1 operation.
void level_sequence_forward(float* x, const float* cond, const float* tokens, const float* pos,
                            std::int64_t M, std::int64_t L, std::int64_t D);

// dcond [M, D] and dtokens [M, L-1, D] are overwritten, dpos [at least L, D] accumulates; dx [M, L, D].
// Moves 8 bytes per element of dx, 1 operation.
void level_sequence_backward(float* dcond, float* dtokens, float* dpos, float* workspace, const float* dx,
                             std::int64_t M, std::int64_t L, std::int64_t D);

// Floats of workspace the backward needs: one [L, D] for every 16 sequences, 16 at most, 1 at least.
std::int64_t level_sequence_backward_workspace(std::int64_t M, std::int64_t L, std::int64_t D);

}  // namespace cpu

namespace cuda {

// The same contracts on the device; pointers and sizes as in stream.h.
template <class T>
void level_sequence_forward(Stream stream, float* x, const T* cond, const T* tokens, const float* pos,
                            std::int64_t M, std::int64_t L, std::int64_t D);
template <class T>
void level_sequence_backward(Stream stream, T* dcond, T* dtokens, float* dpos, float* workspace,
                             const float* dx, std::int64_t M, std::int64_t L, std::int64_t D);
std::int64_t level_sequence_backward_workspace(std::int64_t M, std::int64_t L, std::int64_t D);

}  // namespace cuda
