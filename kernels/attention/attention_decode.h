// Attention of one new token per sequence over the keys and values of the tokens before it and its own, kept
// in a cache: what a causal model needs to draw token by token. Gives the row that attention_forward (causal)
// gives for that token.
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
// position < capacity. What lies beyond is not read. 1 <= head_dim <= 256.
void attention_decode(float* out, float* key_cache, float* value_cache, const float* qkv,
                      std::int64_t sequences, std::int64_t heads, std::int64_t head_dim,
                      std::int64_t position, std::int64_t capacity);

}  // namespace cpu

namespace cuda {

// The same contracts on the device: stream.h says what pointers and sizes mean there.
template <class T>
void attention_decode(Stream stream, T* out, T* key_cache, T* value_cache, const T* qkv,
                      std::int64_t sequences, std::int64_t heads, std::int64_t head_dim,
                      std::int64_t position, std::int64_t capacity);

}  // namespace cuda
