// The gradient is a sum over the rows of each id, in an order that must not depend on scheduling; hence no
// atomics, and no sorting either, which would move as many bytes as the sum itself.
//
// Many rows: a block of one warp holds 32 columns of the table (of 512 entries at most) in shared memory and
// walks down a slice of the rows, adding each to its entry. A lane owns a column, so no barrier is needed,
// and the frequency of an id (images may have one background colour) changes neither balance nor speed. To
// run at memory bandwidth, a ring of registers keeps 4 KiB of rows in flight, and four rows are added at a
// time, a repeated id taking the previous row's value from a register instead of shared memory. Traded: each
// slice's table is written and read again, at most the size of dy since slices have at least 4 rows per
// entry, and ids are read once per 32 columns.
//
// Few rows (labels): a warp for each row and 128 columns; the warp of the first row of an id adds all rows of
// that id. Quadratic in the number of rows, but only in reads of ids, and without a table.
//
// With one slice (fewer than 512 rows, or than 8 per entry) an entry is summed in the order of rows, starting
// from its previous value: the CPU's bits.
//
// ptxas budget: 160 registers, no spills
#include "kernels/layout/embedding.h"

#include <stdexcept>

#include "kernels/common/bf16.h"
#include "kernels/common/rows.cuh"
#include "kernels/common/slices.cuh"

namespace cuda {
namespace {

template <class T>
struct Forward {
    static constexpr int chunk = Packed<T>::count;
    T* y;
    std::int64_t y_stride;
    const float* table;
    const std::int32_t* ids;
    std::int64_t ids_stride, width;

    template <int n>
    __device__ void run(std::int64_t row, std::int64_t column) const {
        float entry[n];
        load_elements(entry, table + ids[row * ids_stride] * width + column);
        store_elements(y + row * y_stride + column, entry);
    }
};

template <class T>
struct Gradient {
    float* dtable;
    const T* dy;
    std::int64_t dy_stride;
    const std::int32_t* ids;
    std::int64_t ids_stride, rows, vocabulary, width;
};

// ---- few rows ----------------------------------------------------------------------------------

constexpr std::int64_t few_rows = 512;
constexpr int warps_per_block = 4, columns_per_lane = 4, group = 4;
constexpr std::int64_t columns_per_warp = columns_per_lane * warp_size;

// Adds the rows first + (the set bits of `matches`) to `sums`, in their order.
template <class T>
__device__ void add_matches(float (&sums)[columns_per_lane], const Gradient<T>& to, std::int64_t first,
                            unsigned matches, std::int64_t column) {
    while (matches != 0) {
        T values[group][columns_per_lane];
        bool taken[group];
#pragma unroll
        for (int k = 0; k < group; ++k) {
            taken[k] = matches != 0;
            const T* row = to.dy + (first + __ffs(static_cast<int>(matches)) - 1) * to.dy_stride;
            matches &= matches - 1;
#pragma unroll
            for (int i = 0; i < columns_per_lane; ++i)
                if (taken[k] && column + i * warp_size < to.width) values[k][i] = row[column + i * warp_size];
        }
#pragma unroll
        for (int k = 0; k < group; ++k)
#pragma unroll
            for (int i = 0; i < columns_per_lane; ++i)
                if (taken[k] && column + i * warp_size < to.width) sums[i] += to_float(values[k][i]);
    }
}

template <class T>
__global__ void add_few_rows(Gradient<T> to) {
    wait_for_previous_kernel();
    const int lane = static_cast<int>(threadIdx.x) % warp_size,
              warp = static_cast<int>(threadIdx.x) / warp_size;
    const std::int64_t own = blockIdx.x, id = to.ids[own * to.ids_stride],
                       column = (static_cast<std::int64_t>(blockIdx.y) * warps_per_block + warp) *
                                    columns_per_warp +
                                lane;
    if (column - lane >= to.width) return;
    for (std::int64_t first = 0; first < own; first += warp_size) {
        const std::int64_t row = first + lane;
        if (__any_sync(all_lanes, row < own && to.ids[row * to.ids_stride] == id)) return;
    }
    float* entry = to.dtable + id * to.width;
    float sums[columns_per_lane];
#pragma unroll
    for (int i = 0; i < columns_per_lane; ++i)
        sums[i] = column + i * warp_size < to.width ? entry[column + i * warp_size] : 0.0f;
    for (std::int64_t first = own; first < to.rows; first += warp_size) {
        const std::int64_t row = first + lane;
        const unsigned matches = __ballot_sync(all_lanes, row < to.rows && to.ids[row * to.ids_stride] == id);
        add_matches(sums, to, first, matches, column);
    }
#pragma unroll
    for (int i = 0; i < columns_per_lane; ++i)
        if (column + i * warp_size < to.width) entry[column + i * warp_size] = sums[i];
}

// ---- many rows ---------------------------------------------------------------------------------

// 6 blocks with 256 entries each share a multiprocessor of an H100, and it has 132 of them.
constexpr std::int64_t max_entries = 512, wanted_blocks = 6 * 128, rows_per_entry = 4, min_slice_rows = 256;

struct Tiling {
    Tiling(std::int64_t rows, std::int64_t vocabulary, std::int64_t width) {
        columns = (width + warp_size - 1) / warp_size;
        vocabularies = (vocabulary + max_entries - 1) / max_entries;
        entries = vocabularies == 0 ? 0 : (vocabulary + vocabularies - 1) / vocabularies;
        const std::int64_t by_rows = rows / std::max(min_slice_rows, rows_per_entry * vocabulary),
                           by_blocks = wanted_blocks / std::max(columns * vocabularies, std::int64_t{1});
        slices = rows <= few_rows ? 1 : std::max(std::min(by_rows, by_blocks), std::int64_t{1});
    }
    std::int64_t columns, vocabularies, entries, slices;
};

// Rows in flight in the ring: 32 columns of them are 4 KiB.
template <class T>
constexpr int ring_rows = 128 / sizeof(T);

// The ids of ring_rows rows, spread over the lanes.
template <class T>
struct Ids {
    static constexpr int count = ring_rows<T> / warp_size;
    int entry[count];  // relative to the tile's first; the tile's number of entries if outside the tile

    __device__ void load(const Gradient<T>& to, std::int64_t row, std::int64_t end, std::int64_t first_entry,
                         int entries) {
#pragma unroll
        for (int i = 0; i < count; ++i) {
            const std::int64_t here = row + i * warp_size + static_cast<int>(threadIdx.x);
            const std::int64_t id = here < end ? to.ids[here * to.ids_stride] - first_entry : -1;
            entry[i] = id >= 0 && id < entries ? static_cast<int>(id) : entries;
        }
    }
    __device__ int of(int row) const {
        return __shfl_sync(all_lanes, entry[row / warp_size], row % warp_size);
    }
};

// Adds `values` of four rows to their entries of a column of the tile, in the order of rows. Entries are
// multiples of warp_size, the distance of rows of the tile.
__device__ inline void add_group(float* column, const int (&entries)[group], const float (&values)[group]) {
    float sums[group];
#pragma unroll
    for (int k = 0; k < group; ++k) sums[k] = column[entries[k]];
#pragma unroll
    for (int k = 0; k < group; ++k) {
#pragma unroll
        for (int earlier = 0; earlier < k; ++earlier)
            if (entries[earlier] == entries[k]) sums[k] = sums[earlier];
        sums[k] += values[k];
    }
#pragma unroll
    for (int k = 0; k < group; ++k) column[entries[k]] = sums[k];
}

// Block (slice, 32 columns, tile of the vocabulary). `parts` [slices, vocabulary, width], or null if there is
// one slice, which adds to the table.
template <class T>
__global__ void add_slice(Gradient<T> to, float* parts, std::int64_t slices, int tile_entries) {
    wait_for_previous_kernel();
    constexpr int ring = ring_rows<T>;
    const std::int64_t slice = blockIdx.x, first_entry = static_cast<std::int64_t>(blockIdx.z) * tile_entries,
                       column = static_cast<std::int64_t>(blockIdx.y) * warp_size + threadIdx.x;
    const std::int64_t begin = to.rows * slice / slices, end = to.rows * (slice + 1) / slices;
    const std::int64_t left = to.vocabulary - first_entry;
    const int entries = left < tile_entries ? static_cast<int>(left) : tile_entries;
    const bool valid = column < to.width;

    // One entry more than there are, for rows of other tiles.
    SharedMemory shared;
    float* tile = shared.take<float>(static_cast<std::size_t>(tile_entries + 1) * warp_size) + threadIdx.x;
    float* table = (parts == nullptr ? to.dtable : parts + slice * to.vocabulary * to.width) +
                   first_entry * to.width + column;
#pragma unroll 16
    for (int i = 0; i < entries; ++i)
        tile[i * warp_size] = parts == nullptr && valid ? table[i * to.width] : 0.0f;
    tile[entries * warp_size] = 0;

    Ids<T> ids, next_ids, later_ids;
    ids.load(to, begin, end, first_entry, entries);
    next_ids.load(to, begin + ring, end, first_entry, entries);
    T values[ring];
    const T* next = to.dy + begin * to.dy_stride + column;
#pragma unroll
    for (int k = 0; k < ring; ++k) {
        const bool wanted = ids.of(k) < entries && valid;
        values[k] = wanted ? *next : T{};
        next += to.dy_stride;
    }
    for (std::int64_t first = begin; first < end; first += ring) {
        later_ids.load(to, first + 2 * ring, end, first_entry, entries);
        // Through a shuffle, so that the compiler does not take it for a constant of the loop and keep the
        // distances of all rows of the ring in registers.
        const int stride = __shfl_sync(all_lanes, static_cast<int>(to.dy_stride), 0);
#pragma unroll
        for (int begin_of_group = 0; begin_of_group < ring; begin_of_group += group) {
            int here[group];
            float addends[group];
#pragma unroll
            for (int k = 0; k < group; ++k) {
                here[k] = ids.of(begin_of_group + k) * warp_size;
                addends[k] = to_float(values[begin_of_group + k]);
                const bool wanted = next_ids.of(begin_of_group + k) < entries && valid;
                values[begin_of_group + k] = wanted ? next[k * stride] : T{};
            }
            add_group(tile, here, addends);
            next += static_cast<std::int64_t>(group) * stride;
        }
        ids = next_ids;
        next_ids = later_ids;
    }
    if (!valid) return;
#pragma unroll 8
    for (int i = 0; i < entries; ++i) table[i * to.width] = tile[i * warp_size];
}

}  // namespace

template <class T>
void embedding_forward(Stream stream, T* y, std::int64_t y_stride, const float* table,
                       const std::int32_t* ids, std::int64_t ids_stride, std::int64_t rows,
                       std::int64_t width) {
    constexpr int n = Packed<T>::count;
    const bool packed = width % n == 0 && (rows == 1 || y_stride % n == 0) && aligned(y, table);
    for_rows(stream, rows, width, packed, Forward<T>{y, y_stride, table, ids, ids_stride, width});
}

template <class T>
void embedding_backward(Stream stream, float* dtable, float* workspace, const T* dy, std::int64_t dy_stride,
                        const std::int32_t* ids, std::int64_t ids_stride, std::int64_t rows,
                        std::int64_t vocabulary, std::int64_t width) {
    if (rows == 0) return;
    if (dy_stride > INT32_MAX / group) throw std::runtime_error("CUDA: rows of an embedding too far apart");
    const Gradient<T> to = {dtable, dy, dy_stride, ids, ids_stride, rows, vocabulary, width};
    if (rows <= few_rows) {
        const unsigned y = blocks_for(width, warps_per_block * columns_per_warp);
        launch(add_few_rows<T>, dim3(blocks_for(rows, 1), y), warps_per_block * warp_size, 0, stream, to);
        return;
    }
    const Tiling tiling(rows, vocabulary, width);
    const auto entries = static_cast<int>(tiling.entries);
    float* parts = tiling.slices > 1 ? workspace : nullptr;
    const std::size_t shared = shared_array_bytes((tiling.entries + 1) * warp_size * sizeof(float));
    launch(
        add_slice<T>,
        dim3(blocks_for(tiling.slices, 1), blocks_for(tiling.columns, 1), blocks_for(tiling.vocabularies, 1)),
        warp_size, shared, stream, to, parts, tiling.slices, entries);
    if (parts != nullptr)
        add_slices(stream, dtable, parts, vocabulary * width, tiling.slices, vocabulary * width);
}

std::int64_t embedding_backward_workspace(std::int64_t rows, std::int64_t vocabulary, std::int64_t width) {
    const std::int64_t slices = Tiling(rows, vocabulary, width).slices;
    return slices > 1 ? slices * vocabulary * width : 0;
}

template void embedding_forward(Stream, float*, std::int64_t, const float*, const std::int32_t*, std::int64_t,
                                std::int64_t, std::int64_t);
template void embedding_forward(Stream, bf16*, std::int64_t, const float*, const std::int32_t*, std::int64_t,
                                std::int64_t, std::int64_t);
template void embedding_backward(Stream, float*, float*, const float*, std::int64_t, const std::int32_t*,
                                 std::int64_t, std::int64_t, std::int64_t, std::int64_t);
template void embedding_backward(Stream, float*, float*, const bf16*, std::int64_t, const std::int32_t*,
                                 std::int64_t, std::int64_t, std::int64_t, std::int64_t);

}  // namespace cuda
