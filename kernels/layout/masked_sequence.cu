// As in sequence.cu, with three sources instead of two and a second sum: a task of the backward pass is
// (slice of sequences, position), whose rows go to one destination, and whose masked rows are also summed for
// the mask token. Those sums are [slices, L, D] in the workspace and are added over slices and patches in one
// go. Traded: the parts, at most a quarter of dx in all, are written and read again.
//
// ptxas budget: 128 registers, no spills
#include "kernels/layout/masked_sequence.h"

#include "kernels/common/bf16.h"
#include "kernels/common/rows.cuh"
#include "kernels/common/slices.cuh"

namespace cuda {
namespace {

template <class T>
struct Forward {
    static constexpr int chunk = Packed<T>::count;
    float* x;
    const T *guide, *cond, *tokens;
    const std::uint8_t* mask;
    const float *mask_token, *pos;
    Divisor by_length;
    MaskedSequenceShape shape;

    template <int n>
    __device__ void run(std::int64_t row, std::int64_t column) const {
        const std::int64_t D = shape.D, P = shape.n + (shape.guided ? 1 : 0);
        const std::int64_t m = by_length.quotient(static_cast<std::uint32_t>(row)),
                           s = row - m * (P + shape.L);
        float sum[n], position[n];
        load_elements(position, pos + s * D + column);
        if (s >= P) {
            const std::int64_t token = m * shape.L + s - P;
            if (mask[token] != 0)
                load_elements(sum, mask_token + column);
            else
                load_elements(sum, tokens + token * D + column);
        } else {
            const T* source = s >= P - shape.n ? cond + (m * shape.n + P - 1 - s) * D : guide + m * D;
            load_elements(sum, source + column);
        }
#pragma unroll
        for (int i = 0; i < n; ++i) sum[i] += position[i];
        store_elements(x + row * D + column, sum);
    }
};

template <class T>
struct Backward {
    static constexpr int chunk = Packed<T>::count;
    T *dguide, *dcond, *dtokens;
    float* position_sums;  // [slices, P + L, D], or dpos if there is one slice
    float* mask_sums;      // [slices, L, D]
    const float* dx;
    const std::uint8_t* mask;
    Divisor by_length;
    MaskedSequenceShape shape;
    std::int64_t slices;

    template <int n>
    __device__ void run(std::int64_t task, std::int64_t column) const {
        const std::int64_t D = shape.D, L = shape.L, P = shape.n + (shape.guided ? 1 : 0), length = P + L;
        const std::int64_t slice = by_length.quotient(static_cast<std::uint32_t>(task)),
                           s = task - slice * length, begin = shape.M * slice / slices,
                           end = shape.M * (slice + 1) / slices;
        SequencePosition<T> position = {
            dx + (begin * length + s) * D + column, dguide, nullptr, length * D, D, L, end - begin};
        if (s >= P) {
            position.to = dtokens + (s - P) * D;
            position.to_step = L * D;
            position.mask = mask + begin * L + s - P;
        } else if (s >= P - shape.n) {
            position.to = dcond + (P - 1 - s) * D;
            position.to_step = shape.n * D;
        }
        position.to += begin * position.to_step + column;
        float total[n] = {}, masked_total[n] = {};
        take_position(position, total, masked_total);
        store_total(position_sums + task * D + column, total, slices == 1);
        if (s >= P) store_total(mask_sums + (slice * L + s - P) * D + column, masked_total, false);
    }
};

std::int64_t slices_of(const MaskedSequenceShape& shape) {
    return sequence_slices(shape.M, shape.length() * shape.D);
}

}  // namespace

template <class T>
void masked_sequence_forward(Stream stream, float* x, const T* guide, const T* cond, const T* tokens,
                             const std::uint8_t* mask, const float* mask_token, const float* pos,
                             const MaskedSequenceShape& shape) {
    const bool packed = shape.D % Packed<T>::count == 0 &&
                        aligned(x, shape.guided ? guide : nullptr, cond, tokens, mask_token, pos);
    for_rows(stream, shape.M * shape.length(), shape.D, packed,
             Forward<T>{x, guide, cond, tokens, mask, mask_token, pos, Divisor(shape.length()), shape});
}

template <class T>
void masked_sequence_backward(Stream stream, T* dguide, T* dcond, T* dtokens, float* dmask_token, float* dpos,
                              float* workspace, const float* dx, const std::uint8_t* mask,
                              const MaskedSequenceShape& shape) {
    const std::int64_t slices = slices_of(shape), D = shape.D, positions = shape.length() * D;
    float* position_sums = slices == 1 ? dpos : workspace;
    float* mask_sums = workspace + (slices == 1 ? 0 : slices * positions);
    const bool packed = D % Packed<T>::count == 0 && aligned(shape.guided ? dguide : nullptr, dcond, dtokens,
                                                             position_sums, mask_sums, dx);
    for_rows(stream, slices * shape.length(), D, packed,
             Backward<T>{dguide, dcond, dtokens, position_sums, mask_sums, dx, mask, Divisor(shape.length()),
                         shape, slices});
    if (slices > 1) add_slices(stream, dpos, position_sums, positions, slices, positions);
    add_slices(stream, dmask_token, mask_sums, D, slices * shape.L, D);
}

std::int64_t masked_sequence_backward_workspace(const MaskedSequenceShape& shape) {
    const std::int64_t slices = slices_of(shape);
    return slices * (shape.length() + shape.L) * shape.D;
}

template void masked_sequence_forward(Stream, float*, const float*, const float*, const float*,
                                      const std::uint8_t*, const float*, const float*,
                                      const MaskedSequenceShape&);
template void masked_sequence_forward(Stream, float*, const bf16*, const bf16*, const bf16*,
                                      const std::uint8_t*, const float*, const float*,
                                      const MaskedSequenceShape&);
template void masked_sequence_backward(Stream, float*, float*, float*, float*, float*, float*, const float*,
                                       const std::uint8_t*, const MaskedSequenceShape&);
template void masked_sequence_backward(Stream, bf16*, bf16*, bf16*, float*, float*, float*, const float*,
                                       const std::uint8_t*, const MaskedSequenceShape&);

}  // namespace cuda
