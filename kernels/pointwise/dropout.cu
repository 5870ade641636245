// The mask is computed, not stored (dropout_mask.cuh): about 25 integer operations per element, which a device
// does in the time that its memory takes for the element itself, while a stored mask would cost a byte per
// element of activation memory and a pass to draw it.
//
// A thread takes a chunk of one sequence, so that no counter is drawn by two threads; the last chunk of a
// sequence whose length is not a multiple of 8 draws up to 7 words in vain.
// ptxas budget: 64 registers, no spills
#include "kernels/pointwise/dropout.h"

#include "kernels/common/elementwise.cuh"
#include "kernels/pointwise/dropout_mask.cuh"

namespace cuda {
namespace {

constexpr int dropout_threads = 256;

struct Identity {
    __device__ float operator()(float x) const { return x; }
};

template <class T>
__global__ void drop(T* y, const T* x, std::int64_t sequences, std::int64_t elements, DropoutMask mask) {
    wait_for_previous_kernel();
    const RowChunk at = row_chunk(sequences, elements);
    if (at.count <= 0) return;
    const std::int64_t offset = at.row * elements + at.column;
    const bool packed = packed_rows(y, elements) && packed_rows(x, elements);
    Chunk values = load_chunk(x + offset, at.count, packed);
    const Chunk factors = dropout_factors(mask, at.row, at.column);
#pragma unroll
    for (int i = 0; i < chunk_size; ++i) values[i] *= factors[i];
    store_chunk(y + offset, values, at.count, packed);
}

}  // namespace

template <class T>
void dropout_forward(Stream stream, T* y, const T* x, std::int64_t sequences, const Dropout& dropout) {
    const std::int64_t elements = dropout.elements_per_sequence;
    if (dropout.probability == 0)
        elementwise(stream, y, sequences * elements, Identity{}, x);
    else
        launch(drop<T>, blocks_for_row_chunks(sequences, elements, dropout_threads), dropout_threads, 0,
               stream, y, x, sequences, elements, mask_of(dropout));
}

template <class T>
void dropout_backward(Stream stream, T* dx, const T* dy, std::int64_t sequences, const Dropout& dropout) {
    dropout_forward(stream, dx, dy, sequences, dropout);
}

template void dropout_forward(Stream, float*, const float*, std::int64_t, const Dropout&);
template void dropout_forward(Stream, bf16*, const bf16*, std::int64_t, const Dropout&);
template void dropout_backward(Stream, float*, const float*, std::int64_t, const Dropout&);
template void dropout_backward(Stream, bf16*, const bf16*, std::int64_t, const Dropout&);

}  // namespace cuda
