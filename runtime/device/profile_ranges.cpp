// Ranges for Nsight Systems and Nsight Compute: NVTX, whose header loads the tool that started the program,
// if any; of counted work; and for an observer in this process.
#include "runtime/device/profile_ranges.h"

#include <string>
#include <utility>
#include <vector>

#include "runtime/device/profile.h"
#include "runtime/device/work_count.h"

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

std::string text_of(const char* name, int number) {
    return number < 0 ? name : std::string(name) + " " + std::to_string(number);
}

}  // namespace

void observe_ranges(RangeObserver each) {
    observer = std::move(each);
}

// NVTX copies its text.
ProfileRange::ProfileRange(const char* name, int number) {
    if (counting_work()) begin_counted_range(text_of(name, number));
#ifdef FRACTAL_NVTX
    nvtxRangePushA(number < 0 ? name : text_of(name, number).c_str());
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
    if (counting_work()) end_counted_range();
}
