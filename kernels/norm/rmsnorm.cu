// The kernels of norm.cuh without mean and bias. In bf16 the forward pass moves 6 bytes per element (x float,
// y bf16), 12 with the residual sum fused (two kernels: 16), the backward pass 10, 14 when it accumulates.
// ptxas budget: 128 registers, no spills
#include "kernels/norm/rmsnorm.h"

#include "kernels/norm/norm.cuh"

namespace cuda {

using norm_detail::Backward;
using norm_detail::Forward;

template <class T>
void rmsnorm_forward(Stream stream, T* y, float* rstd, const float* x, const float* weight, std::int64_t rows,
                     std::int64_t width, float eps) {
    norm_detail::launch_forward<false>(stream, Forward<T>{y, nullptr, rstd, nullptr, x, nullptr, weight,
                                                          nullptr, rows, static_cast<int>(width), eps});
}

template <class T>
void residual_rmsnorm_forward(Stream stream, float* out, T* y, float* rstd, const float* x, const T* branch,
                              const float* weight, std::int64_t rows, std::int64_t width, float eps) {
    norm_detail::launch_forward<false>(stream, Forward<T>{y, nullptr, rstd, out, x, branch, weight, nullptr,
                                                          rows, static_cast<int>(width), eps});
}

template <class T>
void rmsnorm_backward(Stream stream, float* dx, float* dweight, float* workspace, const T* dy, const float* x,
                      const float* weight, const float* rstd, std::int64_t rows, std::int64_t width) {
    norm_detail::launch_backward<false>(
        stream, Backward<T>{dx, dweight, nullptr, workspace, dy, x, weight, nullptr, rstd, rows,
                            static_cast<int>(width), false});
}

template <class T>
void rmsnorm_backward_accumulate(Stream stream, float* dx, float* dweight, float* workspace, const T* dy,
                                 const float* x, const float* weight, const float* rstd, std::int64_t rows,
                                 std::int64_t width) {
    norm_detail::launch_backward<false>(
        stream, Backward<T>{dx, dweight, nullptr, workspace, dy, x, weight, nullptr, rstd, rows,
                            static_cast<int>(width), true});
}

std::int64_t rmsnorm_backward_workspace(std::int64_t width) {
    return norm_detail::backward_workspace<false>(width);
}

template void rmsnorm_forward(Stream, float*, float*, const float*, const float*, std::int64_t, std::int64_t,
                              float);
template void rmsnorm_forward(Stream, bf16*, float*, const float*, const float*, std::int64_t, std::int64_t,
                              float);
template void residual_rmsnorm_forward(Stream, float*, float*, float*, const float*, const float*,
                                       const float*, std::int64_t, std::int64_t, float);
template void residual_rmsnorm_forward(Stream, float*, bf16*, float*, const float*, const bf16*, const float*,
                                       std::int64_t, std::int64_t, float);
template void rmsnorm_backward(Stream, float*, float*, float*, const float*, const float*, const float*,
                               const float*, std::int64_t, std::int64_t);
template void rmsnorm_backward(Stream, float*, float*, float*, const bf16*, const float*, const float*,
                               const float*, std::int64_t, std::int64_t);
template void rmsnorm_backward_accumulate(Stream, float*, float*, float*, const float*, const float*,
                                          const float*, const float*, std::int64_t, std::int64_t);
template void rmsnorm_backward_accumulate(Stream, float*, float*, float*, const bf16*, const float*,
                                          const float*, const float*, std::int64_t, std::int64_t);

}  // namespace cuda
