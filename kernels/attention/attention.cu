// Three paths, each in files of its own:
//
//   attention_plain.cuh                                any T, any shape, float arithmetic, no tensor cores
//   attention_short.cuh                                bf16, up to 32 tokens: a warp holds whole sequences
//   attention_tiles.cuh, attention_tiles_backward.cuh  bf16, beyond: online softmax over tiles of keys
//
// The tensor-core paths have bf16 operands (the inputs q, k, v, dout; P and dS, rounded) and keep scores,
// softmax and sums in float. Errors against double arithmetic on the same inputs, relative to the largest
// magnitude: 0.004 for `out`, 0.008 for gradients, 2e-7 for lse (attention_bf16_test.cpp).
//
// Sums have a fixed order everywhere and no block adds to another's results, so the same input gives the same
// bits. Dropout is drawn where it is used, forward and backward; without it, no kernel contains it.
//
// The tile kernels are instantiated for a few head sizes, each of which costs two forward and four backward
// kernels of code; others are zero-padded to the next one. They need at least 2 elements per row, in which
// the backward pass stores a float (attention_tiles_backward.cuh).
//
// ptxas budget: 255 registers, no spills
#include "kernels/attention/attention.h"

#include "kernels/attention/attention_plain.cuh"
#include "kernels/attention/attention_short.cuh"
#include "kernels/attention/attention_tiles.cuh"
#include "kernels/attention/attention_tiles_backward.cuh"

namespace cuda {
namespace attention {
namespace {

constexpr int min_tile_head_dim = 2, max_tile_head_dim = 128;

bool has_tensor_core_path(const Shape& shape) {
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

template <bool has_dropout>
void forward(Stream stream, float* out, float* log_sum_exp, const float* qkv, const Shape& shape,
             const Drops& drops) {
    launch_plain_forward<float, has_dropout>(stream, out, log_sum_exp, qkv, shape, drops);
}

template <bool has_dropout>
void forward(Stream stream, bf16* out, float* log_sum_exp, const bf16* qkv, const Shape& shape,
             const Drops& drops) {
    if (!has_tensor_core_path(shape))
        launch_plain_forward<bf16, has_dropout>(stream, out, log_sum_exp, qkv, shape, drops);
    else if (shape.length <= short_length / 2)
        launch_short_forward<1, has_dropout>(stream, out, log_sum_exp, qkv, shape, drops);
    else if (shape.length <= short_length)
        launch_short_forward<2, has_dropout>(stream, out, log_sum_exp, qkv, shape, drops);
    else
        with_columns(shape.head_dim, [&](auto columns) {
            launch_tiles_forward<columns(), has_dropout>(stream, out, log_sum_exp, qkv, shape, drops);
        });
}

template <bool has_dropout>
void backward(Stream stream, float* d_qkv, const float* d_out, const float* out, const float* log_sum_exp,
              const float* qkv, const Shape& shape, const Drops& drops) {
    launch_plain_backward<float, has_dropout>(stream, d_qkv, d_out, out, log_sum_exp, qkv, shape, drops);
}

template <bool has_dropout>
void backward(Stream stream, bf16* d_qkv, const bf16* d_out, const bf16* out, const float* log_sum_exp,
              const bf16* qkv, const Shape& shape, const Drops& drops) {
    if (!has_tensor_core_path(shape))
        launch_plain_backward<bf16, has_dropout>(stream, d_qkv, d_out, out, log_sum_exp, qkv, shape, drops);
    else if (shape.length <= short_length / 2)
        launch_short_backward<1, has_dropout>(stream, d_qkv, d_out, log_sum_exp, qkv, shape, drops);
    else if (shape.length <= short_length)
        launch_short_backward<2, has_dropout>(stream, d_qkv, d_out, log_sum_exp, qkv, shape, drops);
    else
        with_columns(shape.head_dim, [&](auto columns) {
            launch_tiles_backward<columns(), has_dropout>(stream, d_qkv, d_out, out, log_sum_exp, qkv, shape,
                                                          drops);
        });
}

}  // namespace
}  // namespace attention

template <class T>
void attention_forward(Stream stream, T* out, float* log_sum_exp, const T* qkv, const AttentionShape& shape,
                       const AttentionDropout& dropout) {
    using namespace attention;
    if (dropout.probability > 0)
        forward<true>(stream, out, log_sum_exp, qkv, Shape(shape), Drops(dropout));
    else
        forward<false>(stream, out, log_sum_exp, qkv, Shape(shape), Drops(dropout));
}

template <class T>
void attention_backward(Stream stream, T* d_qkv, const T* d_out, const T* out, const float* log_sum_exp,
                        const T* qkv, const AttentionShape& shape, const AttentionDropout& dropout) {
    using namespace attention;
    if (dropout.probability > 0)
        backward<true>(stream, d_qkv, d_out, out, log_sum_exp, qkv, Shape(shape), Drops(dropout));
    else
        backward<false>(stream, d_qkv, d_out, out, log_sum_exp, qkv, Shape(shape), Drops(dropout));
}

template void attention_forward(Stream, float*, float*, const float*, const AttentionShape&,
                                const AttentionDropout&);
template void attention_forward(Stream, bf16*, float*, const bf16*, const AttentionShape&,
                                const AttentionDropout&);
template void attention_backward(Stream, float*, const float*, const float*, const float*, const float*,
                                 const AttentionShape&, const AttentionDropout&);
template void attention_backward(Stream, bf16*, const bf16*, const bf16*, const float*, const bf16*,
                                 const AttentionShape&, const AttentionDropout&);

}  // namespace cuda
