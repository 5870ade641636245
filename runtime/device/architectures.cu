// The list comes from nvcc, so that no object of the host compiler depends on ARCH.
#include "runtime/device/architectures.h"

#include <cuda_runtime.h>

#include <array>

std::span<const int> built_architectures() {
    static constexpr std::array list = {__CUDA_ARCH_LIST__};  // 900 for sm_90
    return list;
}
