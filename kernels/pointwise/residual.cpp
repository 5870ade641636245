// Sums limited by memory alone. Training's dropout sits between the branch and the sum, so it is fused here:
// the dropped branch is never written.
#include "kernels/pointwise/residual.h"

#include "kernels/common/partition.h"
#include "kernels/pointwise/dropout_mask.h"

namespace cpu {

void residual_forward(float* out, const float* x, const float* branch, std::int64_t count) {
    for_each_block(count, [=](std::int64_t begin, std::int64_t end) {
#pragma omp simd
        for (std::int64_t i = begin; i < end; ++i) out[i] = x[i] + branch[i];
    });
}

void residual_backward_accumulate(float* dx, const float* dy, std::int64_t count) {
    for_each_block(count, [=](std::int64_t begin, std::int64_t end) {
#pragma omp simd
        for (std::int64_t i = begin; i < end; ++i) dx[i] += dy[i];
    });
}

void residual_dropout_forward(float* out, const float* x, const float* branch, std::int64_t sequences,
                              const Dropout& dropout) {
    if (dropout.probability == 0) {
        residual_forward(out, x, branch, sequences * dropout.elements_per_sequence);
        return;
    }
    for_each_dropout_group(sequences, dropout,
                           [=](std::int64_t offset, const float* factors, std::int64_t count) {
#pragma omp simd
                               for (std::int64_t i = 0; i < count; ++i)
                                   out[offset + i] = x[offset + i] + branch[offset + i] * factors[i];
                           });
}

}  // namespace cpu
