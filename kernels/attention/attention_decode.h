// Attention of one new token per sequence over the cached keys and values of the previous tokens and its own,
// for autoregressive sampling. The result is that token's row of attention_forward (causal).
//
// Cost: 4 S H d (position + 1) operations and 8 S H d (position + 1) bytes read from the cache: with half an
// operation per byte the cache's level of memory sets the time.
//
// Source of the formulas: kernels/attention/attention.h.
#pragma once

#include <cstdint>

#include "kernels/common/stream.h"

namespace cpu {

// out [S, H*d] is overwritten. qkv [S, 3, H, d] is the new token's projection. key_cache and value_cache [S,
// H, capacity, d], entries 0..position-1 written by earlier calls; entry `position` is written here, 0 <=
// position < capacity. Entries beyond it are not read. 1 <= head_dim <= 256.
void attention_decode(float* out, float* key_cache, float* value_cache, const float* qkv,
                      std::int64_t sequences, std::int64_t heads, std::int64_t head_dim,
                      std::int64_t position, std::int64_t capacity);

}  // namespace cpu

namespace cuda {

// The same contracts on the device; pointers and sizes as in stream.h.
template <class T>
void attention_decode(Stream stream, T* out, T* key_cache, T* value_cache, const T* qkv,
                      std::int64_t sequences, std::int64_t heads, std::int64_t head_dim,
                      std::int64_t position, std::int64_t capacity);

}  // namespace cuda
