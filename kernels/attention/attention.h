// Attention on the CPU: softmax(q k^T / sqrt(d)) v for every sequence and head; no [L, L] matrix is stored.
//
//   S_ij = q_i . k_j / sqrt(d)        (causal: only j <= i)
//   P_ij = exp(S_ij - lse_i),         lse_i = log sum_j exp(S_ij)
//   out_i = sum_j Z_ij P_ij v_j       Z: dropout, 0 or 1/(1-p)
//
// Forward: a tile of 64 queries loops over tiles of 64 keys. The running maximum, sum and output of a query
// are rescaled at each larger score ("online softmax"), so one pass over the keys suffices; only lse is
// stored.
//
// Backward: P is recomputed from lse as one exp per score, tile by tile. With D_i = sum_c dout_ic out_ic,
//
//   dv_j = sum_i Z_ij P_ij dout_i      dP_ij = Z_ij (dout_i . v_j)      dS_ij = P_ij (dP_ij - D_i)
//   dq_i = sum_j dS_ij k_j / sqrt(d)   dk_j = sum_i dS_ij q_i / sqrt(d)
//
// The tiles hold S transposed, [key, query]: then maximum and sum over keys need no operation across the
// lanes of a register, and only q and dout have to be transposed, once per tile of queries. In sequences of
// at most four tokens, where a tile would be mostly empty, all scores of a head share one register instead
// (attention_short.cpp).
//
// Cost, with N = pairs (i, j) attended (L^2, causal L (L+1) / 2) of all sequences and heads:
//   forward  4 d N operations, backward 10 d N; each one exp per pair;
//   forward  reads 3 and writes 1, backward reads 5 and writes 3 arrays of 4 S L H d bytes, plus 4 S H L of
//   lse.
// Beyond 64 tokens the keys and values of a head are copied once per group of up to 4 tiles of queries (256
// of them up to d = 64, 64 at d = 256): their rows, 12 H d bytes apart, share few sets of the caches.
//
// Threads divide (sequence, head, group of queries) forward and (sequence, head) backward, and every sum has
// a fixed order: the result does not depend on their number. Nothing is allocated; a thread uses at most 0.5
// MiB of its stack.
//
// Source: Dao, "FlashAttention-2: Faster Attention with Better Parallelism and Work Partitioning" (2023),
// section 3.
#pragma once

#include <cstdint>

#include "kernels/common/philox.h"
#include "kernels/common/stream.h"

// 1 <= head_dim <= 256. Causal: query i attends to keys 0..i.
struct AttentionShape {
    std::int64_t sequences, length, heads, head_dim;
    bool causal;
};

// Dropout on the attention weights, after softmax: an element is kept with probability 1 - p and then scaled
// by 1 / (1 - p). Element (sequence s, head h, query i, key j) uses word e % 4 of
//   philox({e / 4, low 32 bits of sequence_ids[s], high 32 bits of sequence_ids[s], step}, key),
//   e = (h * length + i) * length + j < 2^34,
// and is kept when unit_float(word) >= p. sequence_ids [S] is read only if 0 < p < 1; p = 0 means no dropout.
struct AttentionDropout {
    float probability = 0;
    PhiloxKey key;
    std::uint32_t step = 0;
    const std::int64_t* sequence_ids = nullptr;
};

namespace cpu {

// out [S, L, H*d] and log_sum_exp [S, H, L] are overwritten. qkv [S, L, 3, H, d]: the q, k and v parts of a
// row as one fused projection leaves them. No output may overlap an input. A tile on the diagonal multiplies
// values of later tokens by an exact zero: they must be finite (uninitialised memory may not be).
void attention_forward(float* out, float* log_sum_exp, const float* qkv, const AttentionShape& shape,
                       const AttentionDropout& dropout);

// d_qkv [S, L, 3, H, d] is overwritten, not accumulated into; d_out and out [S, L, H*d], qkv and
// log_sum_exp [S, H, L] as above, `out` and `log_sum_exp` from the forward call with the same dropout.
void attention_backward(float* d_qkv, const float* d_out, const float* out, const float* log_sum_exp,
                        const float* qkv, const AttentionShape& shape, const AttentionDropout& dropout);

}  // namespace cpu

namespace cuda {

// The same contracts on the device; pointers and sizes as in stream.h.
// In bf16, pairs (sequence, head) of at most 8 tokens share tiles: a number that is not finite spoils up to
// three neighbours, as one of a later token does. `out` of the forward call is the bf16 one, rounded.
template <class T>
void attention_forward(Stream stream, T* out, float* log_sum_exp, const T* qkv, const AttentionShape& shape,
                       const AttentionDropout& dropout);
template <class T>
void attention_backward(Stream stream, T* d_qkv, const T* d_out, const T* out, const float* log_sum_exp,
                        const T* qkv, const AttentionShape& shape, const AttentionDropout& dropout);

}  // namespace cuda
