// One pass over x each way. A task of the backward pass is (slice of sequences, position), as on the CPU: a
// thread walks down its columns of the slice, copies them out and keeps their sum in registers. At the pixel
// level (4 positions, thousands of sequences) the slices give the threads, at the outermost level (hundreds
// of positions, a few sequences) the positions do. Traded: one part of [L, D] for each slice, at most an
// eighth of dx, is written and read again; none with one slice.
//
// ptxas budget: 128 registers, no spills
#include "kernels/layout/sequence.h"

#include "kernels/common/bf16.h"
#include "kernels/common/rows.cuh"
#include "kernels/common/slices.cuh"

namespace cuda {
namespace {

template <class T>
struct Forward {
    static constexpr int chunk = Packed<T>::count;
    float* x;
    const T *cond, *tokens;
    const float* pos;
    Divisor by_length;
    std::int64_t L, D;

    template <int n>
    __device__ void run(std::int64_t row, std::int64_t column) const {
        const std::int64_t m = by_length.quotient(static_cast<std::uint32_t>(row)), t = row - m * L;
        const T* source = t == 0 ? cond + m * D : tokens + (row - m - 1) * D;
        float sum[n], position[n];
        load_elements(sum, source + column);
        load_elements(position, pos + t * D + column);
#pragma unroll
        for (int i = 0; i < n; ++i) sum[i] += position[i];
        store_elements(x + row * D + column, sum);
    }
};

template <class T>
struct Backward {
    static constexpr int chunk = Packed<T>::count;
    T *dcond, *dtokens;
    float* sums;  // [slices, L, D], or dpos if there is one slice
    const float* dx;
    Divisor by_length;
    std::int64_t M, L, D, slices;

    template <int n>
    __device__ void run(std::int64_t task, std::int64_t column) const {
        const std::int64_t slice = by_length.quotient(static_cast<std::uint32_t>(task)), t = task - slice * L,
                           begin = M * slice / slices, end = M * (slice + 1) / slices;
        T* to = t == 0 ? dcond + begin * D : dtokens + (begin * (L - 1) + t - 1) * D;
        const SequencePosition<T> position = {
            dx + (begin * L + t) * D + column, to + column, nullptr,    L * D,
            t == 0 ? D : (L - 1) * D,          0,           end - begin};
        float total[n] = {}, none[n] = {};
        take_position(position, total, none);
        store_total(sums + task * D + column, total, slices == 1);
    }
};

}  // namespace

template <class T>
void level_sequence_forward(Stream stream, float* x, const T* cond, const T* tokens, const float* pos,
                            std::int64_t M, std::int64_t L, std::int64_t D) {
    const bool packed = D % Packed<T>::count == 0 && aligned(x, cond, tokens, pos);
    for_rows(stream, M * L, D, packed, Forward<T>{x, cond, tokens, pos, Divisor(L), L, D});
}

template <class T>
void level_sequence_backward(Stream stream, T* dcond, T* dtokens, float* dpos, float* workspace,
                             const float* dx, std::int64_t M, std::int64_t L, std::int64_t D) {
    const std::int64_t slices = sequence_slices(M, L * D);
    float* sums = slices == 1 ? dpos : workspace;
    const bool packed = D % Packed<T>::count == 0 && aligned(dcond, dtokens, sums, dx);
    for_rows(stream, slices * L, D, packed,
             Backward<T>{dcond, dtokens, sums, dx, Divisor(L), M, L, D, slices});
    if (slices > 1) add_slices(stream, dpos, workspace, L * D, slices, L * D);
}

std::int64_t level_sequence_backward_workspace(std::int64_t M, std::int64_t L, std::int64_t D) {
    return sequence_slices(M, L * D) * L * D;
}

template void level_sequence_forward(Stream, float*, const float*, const float*, const float*, std::int64_t,
                                     std::int64_t, std::int64_t);
template void level_sequence_forward(Stream, float*, const bf16*, const bf16*, const float*, std::int64_t,
                                     std::int64_t, std::int64_t);
template void level_sequence_backward(Stream, float*, float*, float*, float*, const float*, std::int64_t,
                                      std::int64_t, std::int64_t);
template void level_sequence_backward(Stream, bf16*, bf16*, float*, float*, const float*, std::int64_t,
                                      std::int64_t, std::int64_t);

}  // namespace cuda
