// One thread computes the weight on the device, so that the host need not wait for two norms. The addition is
// bound by memory, 6 bytes per element in bf16; the weight is read from cache.
//
// ptxas budget: 40 registers, no spills
#include "kernels/loss/adaptive_weight.h"

#include <algorithm>

#include "kernels/common/bf16.h"
#include "kernels/common/elementwise.cuh"

namespace cuda {
namespace {

__global__ void find_weight(float* weight, const double* squared_norms, float factor) {
    wait_for_previous_kernel();
    const double ratio = sqrt(squared_norms[0]) / (sqrt(squared_norms[1]) + 1e-4);
    *weight = static_cast<float>(fmin(static_cast<double>(factor) * ratio, 1e4));
}

struct AddWeighted {
    const float* weight;
    __device__ float operator()(float y, float x) const { return y + *weight * x; }
};

}  // namespace

void adaptive_weight(Stream stream, float* weight, const double* squared_norms, float factor) {
    launch(find_weight, 1, 1, 0, stream, weight, squared_norms, factor);
}

template <class T>
void add_weighted(Stream stream, T* y, const T* x, const float* weight, std::int64_t count) {
    elementwise(stream, y, count, AddWeighted{weight}, static_cast<const T*>(y), x);
}

template void add_weighted(Stream, float*, const float*, const float*, std::int64_t);
template void add_weighted(Stream, bf16*, const bf16*, const float*, std::int64_t);

}  // namespace cuda
