// Ranges for Nsight Systems and Nsight Compute: NVTX, whose header loads the tool that started the program,
// if any; and for an observer in this process.
#include "runtime/device/profile_ranges.h"

#include <stdexcept>
#include <utility>
#include <vector>

#include "runtime/device/profile.h"

#ifdef FRACTAL_NVTX
#include <nvtx3/nvToolsExt.h>
#endif

namespace {

struct Range {
    const char* name;
    int number;
};
RangeObserver observer;
std::vector<Range> open_ranges;  // while there is an observer, outermost first

}  // namespace

std::string range_text(std::string_view name, int number) {
    return number < 0 ? std::string(name) : std::string(name) + " " + std::to_string(number);
}

void observe_ranges(RangeObserver each) {
    if (each && observer) throw std::logic_error("ranges: a second observer at the same time");
    observer = std::move(each);
}

// NVTX copies its text.
ProfileRange::ProfileRange(const char* name, int number) {
#ifdef FRACTAL_NVTX
    nvtxRangePushA(number < 0 ? name : range_text(name, number).c_str());
#endif
    if (!observer) return;
    open_ranges.push_back({name, number});
    observer(name, number, RangeEdge::begin);
}

ProfileRange::~ProfileRange() {
    if (observer) {
        const Range range = open_ranges.back();
        open_ranges.pop_back();
        observer(range.name, range.number, RangeEdge::end);
    }
#ifdef FRACTAL_NVTX
    nvtxRangePop();
#endif
}
