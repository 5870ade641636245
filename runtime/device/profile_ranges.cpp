// Ranges for Nsight Systems and Nsight Compute: NVTX, whose header loads the tool that started the program,
// if any.
#include "runtime/device/profile.h"

#ifdef FRACTAL_NVTX

#include <nvtx3/nvToolsExt.h>

#include <cstdio>

ProfileRange::ProfileRange(const char* name, int number) {
    if (number < 0) {
        nvtxRangePushA(name);
        return;
    }
    char text[64];  // NVTX copies it
    std::snprintf(text, sizeof text, "%s %d", name, number);
    nvtxRangePushA(text);
}

ProfileRange::~ProfileRange() {
    nvtxRangePop();
}

#else

ProfileRange::ProfileRange(const char*, int) {}
ProfileRange::~ProfileRange() {}

#endif
