// Ranges for Nsight Systems and Nsight Compute: NVTX, whose header loads the tool that started the program,
// if any.
#include <nvtx3/nvToolsExt.h>

#include <cstdio>

#include "runtime/device/profile.h"

namespace profile_cuda {

void push_range(const char* name, int number) {
    if (number < 0) {
        nvtxRangePushA(name);
        return;
    }
    char text[64];  // NVTX copies it
    std::snprintf(text, sizeof text, "%s %d", name, number);
    nvtxRangePushA(text);
}

void pop_range() {
    nvtxRangePop();
}

}  // namespace profile_cuda
