// Bound by memory: a thread takes 16 bytes at a time, and the arithmetic (erff of the CUDA math library,
// exact to 2 units in the last place) is hidden by the loads. The last few elements, and arrays that do not
// start at a 16-byte boundary, go one by one through the same function.
// ptxas budget: 40 registers, no spills
#include "kernels/pointwise/gelu.h"

#include "kernels/common/bf16.h"
#include "kernels/common/elementwise.cuh"

namespace cuda {
namespace {

constexpr float inverse_sqrt_2_pi = 0.39894228f;

__device__ float gelu_slope(float x) {
    return 0.5f * (1.0f + erff(x * inverse_sqrt_2)) + x * inverse_sqrt_2_pi * expf(-0.5f * x * x);
}

struct Forward {
    __device__ float operator()(float x) const { return cuda::gelu(x); }
};
struct Backward {
    __device__ float operator()(float dy, float x) const { return dy * gelu_slope(x); }
};

}  // namespace

template <class T>
void gelu_forward(Stream stream, T* y, const T* x, std::int64_t count) {
    elementwise(stream, y, count, Forward{}, x);
}

template <class T>
void gelu_backward(Stream stream, T* dx, const T* dy, const T* x, std::int64_t count) {
    elementwise(stream, dx, count, Backward{}, dy, x);
}

template void gelu_forward(Stream, float*, const float*, std::int64_t);
template void gelu_forward(Stream, bf16*, const bf16*, std::int64_t);
template void gelu_backward(Stream, float*, const float*, const float*, std::int64_t);
template void gelu_backward(Stream, bf16*, const bf16*, const bf16*, std::int64_t);

}  // namespace cuda
