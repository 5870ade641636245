// The kernels of norm.cuh with a mean and a bias: a row is read once and stays in registers, dweight and
// dbias come from the same reading of dy and x as dx. In bf16 the forward pass moves 6 bytes per element (x
// float, y bf16), 12 with the residual sum fused (two kernels: 16), the backward pass 10, 14 when it
// accumulates.
//
// ptxas budget: 128 registers, no spills
#include "kernels/norm/layernorm.h"

#include "kernels/norm/norm.cuh"

namespace cuda {

using norm_detail::Backward;
using norm_detail::Forward;

template <class T>
void layernorm_forward(Stream stream, T* y, float* mean, float* rstd, const float* x, const float* weight,
                       const float* bias, std::int64_t rows, std::int64_t width, float eps) {
    norm_detail::launch_forward<true>(stream, Forward<T>{y, mean, rstd, nullptr, x, nullptr, weight, bias,
                                                         rows, static_cast<int>(width), eps});
}

template <class T>
void residual_layernorm_forward(Stream stream, float* out, T* y, float* mean, float* rstd, const float* x,
                                const T* branch, const float* weight, const float* bias, std::int64_t rows,
                                std::int64_t width, float eps) {
    norm_detail::launch_forward<true>(
        stream, Forward<T>{y, mean, rstd, out, x, branch, weight, bias, rows, static_cast<int>(width), eps});
}

template <class T>
void layernorm_backward(Stream stream, float* dx, float* dweight, float* dbias, float* workspace, const T* dy,
                        const float* x, const float* weight, const float* mean, const float* rstd,
                        std::int64_t rows, std::int64_t width) {
    norm_detail::launch_backward<true>(stream, Backward<T>{dx, dweight, dbias, workspace, dy, x, weight, mean,
                                                           rstd, rows, static_cast<int>(width), false});
}

template <class T>
void layernorm_backward_accumulate(Stream stream, float* dx, float* dweight, float* dbias, float* workspace,
                                   const T* dy, const float* x, const float* weight, const float* mean,
                                   const float* rstd, std::int64_t rows, std::int64_t width) {
    norm_detail::launch_backward<true>(stream, Backward<T>{dx, dweight, dbias, workspace, dy, x, weight, mean,
                                                           rstd, rows, static_cast<int>(width), true});
}

std::int64_t layernorm_backward_workspace(std::int64_t width) {
    return norm_detail::backward_workspace<true>(width);
}

template void layernorm_forward(Stream, float*, float*, float*, const float*, const float*, const float*,
                                std::int64_t, std::int64_t, float);
template void layernorm_forward(Stream, bf16*, float*, float*, const float*, const float*, const float*,
                                std::int64_t, std::int64_t, float);
template void residual_layernorm_forward(Stream, float*, float*, float*, float*, const float*, const float*,
                                         const float*, const float*, std::int64_t, std::int64_t, float);
template void residual_layernorm_forward(Stream, float*, bf16*, float*, float*, const float*, const bf16*,
                                         const float*, const float*, std::int64_t, std::int64_t, float);
template void layernorm_backward(Stream, float*, float*, float*, float*, const float*, const float*,
                                 const float*, const float*, const float*, std::int64_t, std::int64_t);
template void layernorm_backward(Stream, float*, float*, float*, float*, const bf16*, const float*,
                                 const float*, const float*, const float*, std::int64_t, std::int64_t);
template void layernorm_backward_accumulate(Stream, float*, float*, float*, float*, const float*,
                                            const float*, const float*, const float*, const float*,
                                            std::int64_t, std::int64_t);
template void layernorm_backward_accumulate(Stream, float*, float*, float*, float*, const bf16*, const float*,
                                            const float*, const float*, const float*, std::int64_t,
                                            std::int64_t);

}  // namespace cuda
