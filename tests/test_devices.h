// The devices that tests run on: every one this build has.
#pragma once

#include <vector>

#include "runtime/device.h"

inline std::vector<Device> test_devices() {
    if constexpr (cuda_backend_built) return {Device::cpu, Device::cuda};
    return {Device::cpu};
}
