// Ranges for Nsight Systems and Nsight Compute: NVTX, whose header loads the tool that started the program,
// if any; and for an observer in this process.
#include "runtime/device/profile_ranges.h"

#include "runtime/device/profile.h"

#ifdef FRACTAL_NVTX
#include <nvtx3/nvToolsExt.h>

#include <cstdio>
#endif

#include <utility>
#include <vector>

namespace {

struct Range {
    const char* name;
    int number;
};
RangeObserver observer;
std::vector<Range> open_ranges;  // while there is an observer, outermost first

#ifdef FRACTAL_NVTX
void push(const char* name, int number) {
    if (number < 0) {
        nvtxRangePushA(name);
        return;
    }
    char text[64];  // NVTX copies it
    std::snprintf(text, sizeof text, "%s %d", name, number);
    nvtxRangePushA(text);
}
void pop() {
    nvtxRangePop();
}
#else
void push(const char*, int) {}
void pop() {}
#endif

}  // namespace

void observe_ranges(RangeObserver each) {
    observer = std::move(each);
}

ProfileRange::ProfileRange(const char* name, int number) {
    push(name, number);
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
    pop();
}
