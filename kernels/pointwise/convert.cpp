// One pass; the rounding is a few integer operations, which the compiler turns into vector code.
#include "kernels/pointwise/convert.h"

#include "kernels/common/partition.h"

namespace cpu {

void round_to_bf16(bf16* y, const float* x, std::int64_t count) {
    for_each_block(count, [=](std::int64_t begin, std::int64_t end) {
        for (std::int64_t i = begin; i < end; ++i) y[i] = nearest_bf16(x[i]);
    });
}

void widen_bf16(float* y, const bf16* x, std::int64_t count) {
    for_each_block(count, [=](std::int64_t begin, std::int64_t end) {
        for (std::int64_t i = begin; i < end; ++i) y[i] = to_float(x[i]);
    });
}

}  // namespace cpu
