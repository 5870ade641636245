// The mask is computed, not stored (dropout_mask.h): a stored one would cost a byte per element of activation
// memory for every dropout of every block, and a second pass to draw it.
#include "kernels/pointwise/dropout.h"

#include "kernels/pointwise/dropout_mask.h"

namespace cpu {

void dropout_forward(float* y, const float* x, std::int64_t sequences, const Dropout& dropout) {
    if (dropout.probability == 0) {
        for_each_block(sequences * dropout.elements_per_sequence, [=](std::int64_t begin, std::int64_t end) {
#pragma omp simd
            for (std::int64_t i = begin; i < end; ++i) y[i] = x[i];
        });
        return;
    }
    for_each_dropout_group(sequences, dropout,
                           [=](std::int64_t offset, const float* factors, std::int64_t count) {
#pragma omp simd
                               for (std::int64_t i = 0; i < count; ++i)
                                   y[offset + i] = x[offset + i] * factors[i];
                           });
}

void dropout_backward(float* dx, const float* dy, std::int64_t sequences, const Dropout& dropout) {
    dropout_forward(dx, dy, sequences, dropout);
}

}  // namespace cpu
