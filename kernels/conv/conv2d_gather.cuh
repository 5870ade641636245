// Implicit GEMM: the convolution kernels read maps as the rows of a matrix that is never stored.
//
// The products of a convolution are those of matrices, out [M, N] = A [M, K] . B [N, K]^T, where row m of A
// holds the K = taps * channels elements of a map in the receptive field of output m, tap by tap, zeros for
// taps outside the map. Forward, A reads x; backward to the input, it reads dy. There an input pixel (u, v)
// has only the taps p with u + padding - p a multiple of the stride: a `phase` for each remainder of u and of
// v, in which the taps are evenly spaced and the sum is dense.
//
// Tiles of A and B are copied to shared memory in chunks of 16 bytes, asynchronously if the number of
// channels allows it, otherwise (3 channels) element by element: a template parameter of the kernels, since
// the second way takes eight times as many instructions, which would fill the main loop of the first.
#pragma once

#include "kernels/common/device_math.cuh"
#include "kernels/common/ptx.cuh"
#include "kernels/common/rows.cuh"
#include "kernels/conv/conv2d.h"

namespace cuda::conv2d {

constexpr int threads = 128;

template <class T>
constexpr int chunk_of = Packed<T>::count;

// Which rows of A there are: pixels (image, i, j) of a grid.
struct Grid {
    Divisor per_image, per_row;
    int rows, height, width;

    Grid(std::int64_t batch, std::int64_t grid_height, std::int64_t grid_width)
        : per_image(grid_height * grid_width),
          per_row(grid_width),
          rows(static_cast<int>(batch * grid_height * grid_width)),
          height(static_cast<int>(grid_height)),
          width(static_cast<int>(grid_width)) {}
};

struct Pixel {
    int image, i, j;
};
__device__ inline Pixel pixel_of(const Grid& grid, int row) {
    const auto image = static_cast<int>(grid.per_image.quotient(static_cast<std::uint32_t>(row)));
    const int within = row - image * grid.height * grid.width;
    const auto i = static_cast<int>(grid.per_row.quotient(static_cast<std::uint32_t>(within)));
    return {image, i, within - i * grid.width};
}

// A place among the K elements of a row: channel c of tap (p, q).
struct Cursor {
    int p, q, c;
};

// Along one side of the map, tap p of pixel i reads source i * step + base + p * direction.
struct Axis {
    int size, base, taps;
    int first_tap;  // of the kernel: tap p is the kernel's first_tap + p * tap_step
};

struct Gather {
    Grid grid;
    Axis rows, columns;
    int channels, step, direction, tap_step, kernel_width;
    bool packed;  // chunks lie within a tap and are 16-byte aligned

    std::int64_t inner() const { return std::int64_t{rows.taps} * columns.taps * channels; }
    __device__ Cursor cursor(int k) const {
        const int tap = k / channels;
        return {tap / columns.taps, tap % columns.taps, k - tap * channels};
    }
    __device__ void advance(Cursor& at, int by) const {
        at.c += by;
        while (at.c >= channels) {
            at.c -= channels;
            if (++at.q == columns.taps) {
                at.q = 0;
                ++at.p;
            }
        }
    }
    __device__ bool exists(const Cursor& at) const { return at.p < rows.taps; }
    // The element's place in a row of packed weights.
    __device__ int weight_column(const Cursor& at) const {
        const int p = rows.first_tap + at.p * tap_step, q = columns.first_tap + at.q * tap_step;
        return (p * kernel_width + q) * channels + at.c;
    }
};

// Start of a row of A in the map.
struct Origin {
    std::int64_t image;  // its first element
    int i, j;
};
__device__ inline Origin origin_of(const Gather& g, int row, bool exists) {
    constexpr int nowhere = -(1 << 30);
    if (!exists) return {0, nowhere, nowhere};
    const Pixel pixel = pixel_of(g.grid, row);
    return {std::int64_t{pixel.image} * g.rows.size * g.columns.size * g.channels,
            pixel.i * g.step + g.rows.base, pixel.j * g.step + g.columns.base};
}

// The element's offset in the map, negative where it is zero.
__device__ inline std::int64_t offset_of(const Gather& g, const Origin& origin, const Cursor& at) {
    const int i = origin.i + at.p * g.direction, j = origin.j + at.q * g.direction;
    const bool inside = static_cast<unsigned>(i) < static_cast<unsigned>(g.rows.size) &&
                        static_cast<unsigned>(j) < static_cast<unsigned>(g.columns.size) && g.exists(at);
    return inside ? origin.image + std::int64_t{i * g.columns.size + j} * g.channels + at.c : -1;
}

// A chunk of a row of A to shared memory; `packed`: as g.packed.
template <bool packed, class T>
__device__ void load_chunk(T* to, const T* map, const Gather& g, const Origin& origin, Cursor at) {
    if constexpr (packed) {
        const std::int64_t offset = offset_of(g, origin, at);
        copy_async_16(to, map + (offset < 0 ? 0 : offset), offset >= 0);
    } else {
        for (int e = 0; e < chunk_of<T>; ++e, g.advance(at, 1)) {
            const std::int64_t offset = offset_of(g, origin, at);
            to[e] = offset < 0 ? T{} : map[offset];
        }
    }
}

// The matching chunk of a row of packed weights, zeros where the row does not exist.
template <bool packed, class T>
__device__ void load_weight_chunk(T* to, const T* row, bool row_exists, const Gather& g, Cursor at) {
    if constexpr (packed) {
        const bool valid = row_exists && g.exists(at);
        copy_async_16(to, valid ? row + g.weight_column(at) : row, valid);
    } else {
        for (int e = 0; e < chunk_of<T>; ++e, g.advance(at, 1))
            to[e] = row_exists && g.exists(at) ? row[g.weight_column(at)] : T{};
    }
}

}  // namespace cuda::conv2d
