// Eight consecutive elements of an array as floats in registers: the unit of work of a thread in the
// memory-bound kernels.
//
// Eight elements are one 16-byte access of a bf16 array and two of a float array, so arrays of both types
// have the same chunks. If a chunk does not start at a 16-byte boundary, or its row ends within it, its
// elements are accessed one by one; arithmetic and results are the same.
#pragma once

#include <cstdint>

#include "kernels/common/device_math.cuh"
#include "kernels/common/launch.cuh"
#include "kernels/common/ptx.cuh"

namespace cuda {

constexpr int chunk_size = 8;

struct Chunk {
    float values[chunk_size];
    __device__ float& operator[](int i) { return values[i]; }
    __device__ const float& operator[](int i) const { return values[i]; }
};

// A whole chunk, 16-byte aligned.
template <class T>
__device__ inline Chunk load_chunk(const T* from) {
    Chunk chunk;
#pragma unroll
    for (int i = 0; i < chunk_size; i += Packed<T>::count) {
        const Packed<T> packed = load_packed(from + i);
#pragma unroll
        for (int j = 0; j < Packed<T>::count; ++j) chunk[i + j] = to_float(packed[j]);
    }
    return chunk;
}
template <class T>
__device__ inline void store_chunk(T* to, const Chunk& chunk) {
#pragma unroll
    for (int i = 0; i < chunk_size; i += Packed<T>::count) {
        Packed<T> packed;
#pragma unroll
        for (int j = 0; j < Packed<T>::count; ++j) packed[j] = as<T>(chunk[i + j]);
        store_packed(to + i, packed);
    }
}

// The elements i < count of a chunk, none where count <= 0; the others become `otherwise` and are not stored.
// `packed` promises 16-byte alignment.
template <class T>
__device__ inline Chunk load_chunk(const T* from, int count, bool packed, float otherwise = 0) {
    if (packed && count >= chunk_size) return load_chunk(from);
    Chunk chunk;
#pragma unroll
    for (int i = 0; i < chunk_size; ++i) chunk[i] = i < count ? to_float(from[i]) : otherwise;
    return chunk;
}
template <class T>
__device__ inline void store_chunk(T* to, const Chunk& chunk, int count, bool packed) {
    if (packed && count >= chunk_size) {
        store_chunk(to, chunk);
        return;
    }
#pragma unroll
    for (int i = 0; i < chunk_size; ++i)
        if (i < count) to[i] = as<T>(chunk[i]);
}

// Whether every chunk of the rows of a [rows, width] array starts at a 16-byte boundary.
__device__ inline bool packed_rows(const void* array, std::int64_t width) {
    return width % chunk_size == 0 && aligned(array);
}

// How many elements of a chunk exist when `left` are left.
__device__ inline int chunk_count(std::int64_t left) {
    return left < 0 ? 0 : left < chunk_size ? static_cast<int>(left) : chunk_size;
}

// This thread's chunk of a [rows, width] array; each row is divided into chunks, and block_threads threads
// take consecutive ones.
struct RowChunk {
    std::int64_t row, column;
    std::int64_t
        count;  // elements up to the row's end, may exceed chunk_size; 0 for threads behind the last row
};
__device__ inline RowChunk row_chunk(std::int64_t rows, std::int64_t width) {
    const std::int64_t per_row = (width + chunk_size - 1) / chunk_size, index = thread_index();
    const std::int64_t row = index / per_row, column = index % per_row * chunk_size;
    return {row, column, row < rows ? chunk_count(width - column) : 0};
}
inline unsigned blocks_for_row_chunks(std::int64_t rows, std::int64_t width, int block_threads) {
    return blocks_for(rows * ((width + chunk_size - 1) / chunk_size), block_threads);
}

}  // namespace cuda
