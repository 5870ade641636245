// Rows of a head on their way to the tiles of mma_fragments.cuh and back; a row of a tile is head_dim rounded
// up to 16 long.
#pragma once

#include "kernels/attention/attention_head.cuh"
#include "kernels/linear/mma_fragments.cuh"

namespace cuda::attention {

using namespace mma;

// Eight columns of a row on their way to shared memory; zeros where the row does not exist or head_dim ends.
// Rows that are `packed` come asynchronously in 16 bytes: head_dim is a multiple of 8 and all addresses are
// 16-byte aligned.
__device__ inline void load_chunk(bf16* to, const bf16* from, int column, int head_dim, bool exists,
                                  bool packed) {
    if (packed) {
        const bool valid = exists && column < head_dim;
        copy_async_16(to + column, valid ? from + column : from, valid);
    } else {
        for (int c = column; c < column + 8; ++c) to[c] = exists && c < head_dim ? from[c] : bf16{0};
    }
}
__device__ inline void store_chunk(bf16* to, const bf16* from, int column, int head_dim, bool packed) {
    if (packed) {
        if (column < head_dim) store_packed(to + column, load_packed(from + column));
    } else {
        for (int c = column; c < column + 8 && c < head_dim; ++c) to[c] = from[c];
    }
}

inline bool packed_rows(const Shape& shape, std::initializer_list<const void*> addresses) {
    bool packed = shape.head_dim % 8 == 0;
    for (const void* address : addresses) packed = packed && aligned(address);
    return packed;
}

}  // namespace cuda::attention
