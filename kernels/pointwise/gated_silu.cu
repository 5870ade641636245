// One pass over the two halves of each row: a thread takes 8 elements of y and the 8 of either half that
// belong to them. The backward pass computes the sigmoid again, as the CPU's does: keeping it would move 2 to
// 4 more bytes per element each way.
// ptxas budget: 64 registers, no spills
#include "kernels/pointwise/gated_silu.h"

#include "kernels/common/chunk.cuh"

namespace cuda {
namespace {

constexpr int gated_silu_threads = 256;

template <class T>
__global__ void forward(T* y, const T* gate_up, std::int64_t rows, std::int64_t hidden) {
    wait_for_previous_kernel();
    const RowChunk at = row_chunk(rows, hidden);
    if (at.count <= 0) return;
    const bool packed = packed_rows(y, hidden) && packed_rows(gate_up, hidden);
    const T* gate = gate_up + at.row * 2 * hidden + at.column;
    const Chunk a = load_chunk(gate, at.count, packed), b = load_chunk(gate + hidden, at.count, packed);
    Chunk result;
#pragma unroll
    for (int i = 0; i < chunk_size; ++i) result[i] = a[i] / (1.0f + expf(-a[i])) * b[i];
    store_chunk(y + at.row * hidden + at.column, result, at.count, packed);
}

template <class T>
__global__ void backward(T* d_gate_up, const T* dy, const T* gate_up, std::int64_t rows,
                         std::int64_t hidden) {
    wait_for_previous_kernel();
    const RowChunk at = row_chunk(rows, hidden);
    if (at.count <= 0) return;
    const bool packed =
        packed_rows(d_gate_up, hidden) && packed_rows(dy, hidden) && packed_rows(gate_up, hidden);
    const std::int64_t offset = at.row * 2 * hidden + at.column;
    const Chunk a = load_chunk(gate_up + offset, at.count, packed);
    const Chunk b = load_chunk(gate_up + offset + hidden, at.count, packed);
    const Chunk d = load_chunk(dy + at.row * hidden + at.column, at.count, packed);
    Chunk da, db;
#pragma unroll
    for (int i = 0; i < chunk_size; ++i) {
        const float sigmoid = 1.0f / (1.0f + expf(-a[i])), d_silu = d[i] * b[i];
        db[i] = d[i] * a[i] * sigmoid;
        da[i] = d_silu * sigmoid * (1.0f + a[i] * (1.0f - sigmoid));
    }
    store_chunk(d_gate_up + offset, da, at.count, packed);
    store_chunk(d_gate_up + offset + hidden, db, at.count, packed);
}

}  // namespace

template <class T>
void gated_silu_forward(Stream stream, T* y, const T* gate_up, std::int64_t rows, std::int64_t hidden) {
    launch(forward<T>, blocks_for_row_chunks(rows, hidden, gated_silu_threads), gated_silu_threads, 0, stream,
           y, gate_up, rows, hidden);
}

template <class T>
void gated_silu_backward(Stream stream, T* d_gate_up, const T* dy, const T* gate_up, std::int64_t rows,
                         std::int64_t hidden) {
    launch(backward<T>, blocks_for_row_chunks(rows, hidden, gated_silu_threads), gated_silu_threads, 0,
           stream, d_gate_up, dy, gate_up, rows, hidden);
}

template void gated_silu_forward(Stream, float*, const float*, std::int64_t, std::int64_t);
template void gated_silu_forward(Stream, bf16*, const bf16*, std::int64_t, std::int64_t);
template void gated_silu_backward(Stream, float*, const float*, const float*, std::int64_t, std::int64_t);
template void gated_silu_backward(Stream, bf16*, const bf16*, const bf16*, std::int64_t, std::int64_t);

}  // namespace cuda
