// A thread per element: images of codes are small beside everything that is computed of them.
// ptxas budget: 32 registers, no spills
#include "kernels/layout/codes.h"

#include "kernels/common/rows.cuh"

namespace cuda {
namespace {

// A row of for_rows is one code.
template <class To, class From>
struct Convert {
    static constexpr int chunk = 1;
    To* to;
    const From* from;

    template <int n>
    __device__ void run(std::int64_t i, std::int64_t) const {
        to[i] = static_cast<To>(from[i]);
    }
};

}  // namespace

void codes_to_float(Stream stream, float* y, const std::int32_t* codes, std::int64_t count) {
    for_rows(stream, count, 1, false, Convert<float, std::int32_t>{y, codes});
}

void float_to_codes(Stream stream, std::int32_t* codes, const float* x, std::int64_t count) {
    for_rows(stream, count, 1, false, Convert<std::int32_t, float>{codes, x});
}

}  // namespace cuda
