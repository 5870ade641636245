// One pass; the conversion is one vector instruction.
#include "kernels/layout/codes.h"

#include "kernels/common/partition.h"

namespace cpu {

void codes_to_float(float* y, const std::int32_t* codes, std::int64_t count) {
    for_each_block(count, [=](std::int64_t begin, std::int64_t end) {
        for (std::int64_t i = begin; i < end; ++i) y[i] = static_cast<float>(codes[i]);
    });
}

void float_to_codes(std::int32_t* codes, const float* x, std::int64_t count) {
    for_each_block(count, [=](std::int64_t begin, std::int64_t end) {
        for (std::int64_t i = begin; i < end; ++i) codes[i] = static_cast<std::int32_t>(x[i]);
    });
}

}  // namespace cpu
