// Ranges for Nsight Systems and Nsight Compute: NVTX, whose header loads the tool that started the program,
// if any; and of counted work.
#include "runtime/device/profile.h"

#include <string>

#include "runtime/device/work_count.h"

#ifdef FRACTAL_NVTX
#include <nvtx3/nvToolsExt.h>
#endif

namespace {

std::string text_of(const char* name, int number) {
    return number < 0 ? name : std::string(name) + " " + std::to_string(number);
}

}  // namespace

// NVTX copies its text.
ProfileRange::ProfileRange(const char* name, int number) {
    if (counting_work()) begin_counted_range(text_of(name, number));
#ifdef FRACTAL_NVTX
    nvtxRangePushA(number < 0 ? name : text_of(name, number).c_str());
#endif
}

ProfileRange::~ProfileRange() {
    if (counting_work()) end_counted_range();
#ifdef FRACTAL_NVTX
    nvtxRangePop();
#endif
}
