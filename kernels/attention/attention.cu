// Forward; attention_backward.cu has the backward pass. Three paths, each in files of its own:
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
// ptxas budget: 255 registers, no spills
#include "kernels/attention/attention.h"

#include "kernels/attention/attention_paths.cuh"
#include "kernels/attention/attention_plain.cuh"
#include "kernels/attention/attention_short.cuh"
#include "kernels/attention/attention_tiles.cuh"

namespace cuda {
namespace attention {
namespace {

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

template void attention_forward(Stream, float*, float*, const float*, const AttentionShape&,
                                const AttentionDropout&);
template void attention_forward(Stream, bf16*, float*, const bf16*, const AttentionShape&,
                                const AttentionDropout&);

}  // namespace cuda
