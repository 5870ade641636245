// Backward of attention: the paths and their accuracy are those of attention.cu. A file of its own, so that the
// two halves of the kernels compile side by side.
//
// ptxas budget: 255 registers, no spills
#include "kernels/attention/attention.h"

#include "kernels/attention/attention_paths.cuh"
#include "kernels/attention/attention_plain.cuh"
#include "kernels/attention/attention_short.cuh"
#include "kernels/attention/attention_tiles_backward.cuh"

namespace cuda {
namespace attention {
namespace {

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
void attention_backward(Stream stream, T* d_qkv, const T* d_out, const T* out, const float* log_sum_exp,
                        const T* qkv, const AttentionShape& shape, const AttentionDropout& dropout) {
    using namespace attention;
    if (dropout.probability > 0)
        backward<true>(stream, d_qkv, d_out, out, log_sum_exp, qkv, Shape(shape), Drops(dropout));
    else
        backward<false>(stream, d_qkv, d_out, out, log_sum_exp, qkv, Shape(shape), Drops(dropout));
}

template void attention_backward(Stream, float*, const float*, const float*, const float*, const float*,
                                 const AttentionShape&, const AttentionDropout&);
template void attention_backward(Stream, bf16*, const bf16*, const bf16*, const float*, const bf16*,
                                 const AttentionShape&, const AttentionDropout&);

}  // namespace cuda
