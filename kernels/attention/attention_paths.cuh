// Which of the attention kernels runs: the choice that forward (attention.cu) and backward
// (attention_backward.cu) share.
#pragma once

#include <type_traits>

#include "kernels/attention/attention_head.cuh"

namespace cuda::attention {

// The head sizes of the tile kernels are a trade: each costs two forward and four backward kernels of code.
// Other sizes are padded with zeros to the next one. A row needs at least 2 elements, in which the backward
// pass keeps a float (attention_tiles_backward.cuh).
constexpr int min_tile_head_dim = 2, max_tile_head_dim = 128;

inline bool has_tensor_core_path(const Shape& shape) {
    return shape.head_dim >= min_tile_head_dim && shape.head_dim <= max_tile_head_dim;
}

template <int value>
using Constant = std::integral_constant<int, value>;

// Calls body with the number of columns as a constant.
template <class Body>
void with_columns(int head_dim, Body body) {
    if (head_dim <= 16) return body(Constant<16>());
    if (head_dim <= 32) return body(Constant<32>());
    if (head_dim <= 48) return body(Constant<48>());
    if (head_dim <= 64) return body(Constant<64>());
    if (head_dim <= 80) return body(Constant<80>());
    if (head_dim <= 96) return body(Constant<96>());
    return body(Constant<128>());
}

}  // namespace cuda::attention
