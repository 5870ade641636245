// Sums limited by memory alone: the stream in float, the branch in T. Training's dropout sits between the
// branch and the sum, so it is fused here (10 bytes per element in bf16 where two kernels move 14); the mask
// costs integer operations that hide behind the loads, as in dropout.cu.
// ptxas budget: 64 registers, no spills
#include "kernels/pointwise/residual.h"

#include "kernels/common/elementwise.cuh"
#include "kernels/pointwise/dropout_mask.cuh"

namespace cuda {
namespace {

constexpr int residual_threads = 256;

struct Sum {
    __device__ float operator()(float a, float b) const { return a + b; }
};

template <class T>
__global__ void add_dropped(float* out, const float* x, const T* branch, std::int64_t sequences,
                            std::int64_t elements, DropoutMask mask) {
    wait_for_previous_kernel();
    const RowChunk at = row_chunk(sequences, elements);
    if (at.count <= 0) return;
    const std::int64_t offset = at.row * elements + at.column;
    const bool packed =
        packed_rows(out, elements) && packed_rows(x, elements) && packed_rows(branch, elements);
    Chunk sums = load_chunk(x + offset, at.count, packed);
    const Chunk added = load_chunk(branch + offset, at.count, packed);
    const Chunk factors = dropout_factors(mask, at.row, at.column);
#pragma unroll
    for (int i = 0; i < chunk_size; ++i) sums[i] += added[i] * factors[i];
    store_chunk(out + offset, sums, at.count, packed);
}

}  // namespace

template <class S, class T>
void residual_forward(Stream stream, S* out, const S* x, const T* branch, std::int64_t count) {
    elementwise(stream, out, count, Sum{}, x, branch);
}

template <class T>
void residual_backward_accumulate(Stream stream, T* dx, const T* dy, std::int64_t count) {
    elementwise(stream, dx, count, Sum{}, static_cast<const T*>(dx), dy);
}

template <class T>
void residual_dropout_forward(Stream stream, float* out, const float* x, const T* branch,
                              std::int64_t sequences, const Dropout& dropout) {
    const std::int64_t elements = dropout.elements_per_sequence;
    if (dropout.probability == 0)
        residual_forward(stream, out, x, branch, sequences * elements);
    else
        launch(add_dropped<T>, blocks_for_row_chunks(sequences, elements, residual_threads), residual_threads,
               0, stream, out, x, branch, sequences, elements, mask_of(dropout));
}

template void residual_forward(Stream, float*, const float*, const float*, std::int64_t);
template void residual_forward(Stream, float*, const float*, const bf16*, std::int64_t);
template void residual_forward(Stream, bf16*, const bf16*, const bf16*, std::int64_t);
template void residual_backward_accumulate(Stream, float*, const float*, std::int64_t);
template void residual_backward_accumulate(Stream, bf16*, const bf16*, std::int64_t);
template void residual_dropout_forward(Stream, float*, const float*, const float*, std::int64_t,
                                       const Dropout&);
template void residual_dropout_forward(Stream, float*, const float*, const bf16*, std::int64_t,
                                       const Dropout&);

}  // namespace cuda
