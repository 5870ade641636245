// Bound by memory: 6 bytes move per element with x in bf16, 8 backward.
//
// ptxas budget: 40 registers, no spills
#include "kernels/loss/l1_loss.h"

#include "kernels/common/bf16.h"
#include "kernels/common/total.cuh"

namespace cuda {
namespace {

struct Distance {
    __device__ float operator()(float x, float target) const { return fabsf(x - target); }
};
struct Slope {
    float scale;
    __device__ float operator()(float x, float target) const {
        return x > target ? scale : x < target ? -scale : 0.0f;
    }
};

}  // namespace

template <class T>
void l1_loss_accumulate(Stream stream, double* total, double* workspace, const T* x, const float* target,
                        std::int64_t count) {
    total_accumulate(stream, total, workspace, count, Distance{}, x, target);
}
std::int64_t l1_loss_workspace() {
    return max_parts;
}

template <class T>
void l1_loss_backward(Stream stream, T* dx, const T* x, const float* target, float scale,
                      std::int64_t count) {
    elementwise(stream, dx, count, Slope{scale}, x, target);
}

template void l1_loss_accumulate(Stream, double*, double*, const float*, const float*, std::int64_t);
template void l1_loss_accumulate(Stream, double*, double*, const bf16*, const float*, std::int64_t);
template void l1_loss_backward(Stream, float*, const float*, const float*, float, std::int64_t);
template void l1_loss_backward(Stream, bf16*, const bf16*, const float*, float, std::int64_t);

}  // namespace cuda
