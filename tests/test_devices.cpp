#include "tests/test_devices.h"

#include <cstdlib>
#include <string_view>

#include "runtime/device/built_backends.h"

bool has_cuda_backend() {
    return cuda_backend_built;
}

std::vector<Device> test_devices() {
#ifdef __SANITIZE_THREAD__
    // It does not model OpenMP's barriers; on the emulated device, it checks those of the kernels.
    if constexpr (cuda_backend_built) return {Device::cuda};
#endif
    if constexpr (!cuda_backend_built) return {Device::cpu};
    const char* chosen = std::getenv("TEST_DEVICES");
    if (chosen != nullptr && std::string_view(chosen) == "cuda") return {Device::cuda};
    return {Device::cpu, Device::cuda};
}
