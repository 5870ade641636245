// Bound by memory. A team of lanes has a row: 8 for VGG's narrowest maps of 64 channels, a warp from 256 on,
// so that every lane has 8 elements at a time. Norms come before differences, which read the row again: from
// the first-level cache, where a warp's rows (4 KiB in all, of a and b) have just come to.
//
// ptxas budget: 64 registers, no spills
#include "kernels/loss/feature_distance.h"

#include <algorithm>

#include "kernels/common/bf16.h"
#include "kernels/common/chunk.cuh"
#include "kernels/common/total.cuh"

namespace cuda {
namespace {

constexpr int block_threads = 256;
constexpr float epsilon = 1e-10f;

template <class T>
struct Maps {
    const T *a, *b;
    const float* weight;
    std::int64_t rows, width;
};

template <int lanes>
__device__ float team_sum(float x) {
#pragma unroll
    for (int distance = lanes / 2; distance > 0; distance /= 2) x += __shfl_xor_sync(all_lanes, x, distance);
    return x;
}

// Calls body(column, elements there) for this lane's chunks of a row; `row_width` is 0 for no row.
template <int lanes, class Body>
__device__ void for_own_chunks(std::int64_t row_width, Body body) {
    const int lane = static_cast<int>(threadIdx.x) % lanes;
    for (std::int64_t column = lane * chunk_size; column < row_width; column += lanes * chunk_size)
        body(column, chunk_count(row_width - column));
}

// Calls body(row, its width or 0 for no row, whether chunks are aligned) for this team's rows, all lanes of a
// warp equally often.
template <int lanes, class T, class Body>
__device__ void for_own_rows(const Maps<T>& maps, Body body) {
    constexpr int teams = warp_size / lanes;
    const bool packed =
        packed_rows(maps.a, maps.width) && packed_rows(maps.b, maps.width) && aligned(maps.weight);
    const int team = static_cast<int>(threadIdx.x) % warp_size / lanes;
    for (std::int64_t first = thread_index() / warp_size * teams; first < maps.rows;
         first += thread_count() / warp_size * teams) {
        const std::int64_t row = first + team;
        body(row, row < maps.rows ? maps.width : 0, packed);
    }
}

struct Norms {
    float a, b;
};

template <int lanes, class T>
__device__ Norms norms_of(const Maps<T>& maps, std::int64_t offset, std::int64_t width, bool packed) {
    float a_sum = 0, b_sum = 0;
    for_own_chunks<lanes>(width, [&](std::int64_t column, int count) {
        const Chunk a = load_chunk(maps.a + offset + column, count, packed),
                    b = load_chunk(maps.b + offset + column, count, packed);
#pragma unroll
        for (int i = 0; i < chunk_size; ++i) a_sum += a[i] * a[i], b_sum += b[i] * b[i];
    });
    return {sqrtf(team_sum<lanes>(a_sum)), sqrtf(team_sum<lanes>(b_sum))};
}

template <int lanes, class T>
__global__ void forward(double* parts, Maps<T> maps, double factor) {
    wait_for_previous_kernel();
    SharedMemory shared;
    auto* const sums = shared.take<double>(warp_size);
    double sum = 0;
    for_own_rows<lanes>(maps, [&](std::int64_t row, std::int64_t width, bool packed) {
        const std::int64_t offset = row * maps.width;
        const Norms norms = norms_of<lanes>(maps, offset, width, packed);
        const float by_a = 1 / (norms.a + epsilon), by_b = 1 / (norms.b + epsilon);
        float distance = 0;
        for_own_chunks<lanes>(width, [&](std::int64_t column, int count) {
            const Chunk a = load_chunk(maps.a + offset + column, count, packed),
                        b = load_chunk(maps.b + offset + column, count, packed),
                        weight = load_chunk(maps.weight + column, count, packed);
#pragma unroll
            for (int i = 0; i < chunk_size; ++i) {
                const float difference = a[i] * by_a - b[i] * by_b;
                distance += weight[i] * difference * difference;
            }
        });
        sum += distance;
    });
    sum = block_sum(sum, sums);
    if (threadIdx.x == 0) parts[blockIdx.x] = factor * sum;
}

template <int lanes, class T>
__global__ void backward(T* da, Maps<T> maps, float scale) {
    wait_for_previous_kernel();
    for_own_rows<lanes>(maps, [&](std::int64_t row, std::int64_t width, bool packed) {
        const std::int64_t offset = row * maps.width;
        const Norms norms = norms_of<lanes>(maps, offset, width, packed);
        const float by_a = 1 / (norms.a + epsilon), by_b = 1 / (norms.b + epsilon);
        const auto gradient_of_unit = [&](float a, float b, float weight) {
            return 2 * scale * weight * (a * by_a - b * by_b);
        };
        float along = 0;
        for_own_chunks<lanes>(width, [&](std::int64_t column, int count) {
            const Chunk a = load_chunk(maps.a + offset + column, count, packed),
                        b = load_chunk(maps.b + offset + column, count, packed),
                        weight = load_chunk(maps.weight + column, count, packed);
#pragma unroll
            for (int i = 0; i < chunk_size; ++i) along += gradient_of_unit(a[i], b[i], weight[i]) * a[i];
        });
        const bool has_slope = norms.a > 0;
        along = team_sum<lanes>(along);
        along = has_slope ? along * by_a / norms.a : 0;
        const float slope = has_slope ? by_a : 0;
        for_own_chunks<lanes>(width, [&](std::int64_t column, int count) {
            const Chunk a = load_chunk(maps.a + offset + column, count, packed),
                        b = load_chunk(maps.b + offset + column, count, packed),
                        weight = load_chunk(maps.weight + column, count, packed);
            Chunk result;
#pragma unroll
            for (int i = 0; i < chunk_size; ++i)
                result[i] = (gradient_of_unit(a[i], b[i], weight[i]) - a[i] * along) * slope;
            store_chunk(da + offset + column, result, count, packed && aligned(da));
        });
    });
}

template <int lanes_>
struct Team {
    static constexpr int lanes = lanes_;
};

// Calls body(team) with the team for rows of that width.
template <class Body>
void with_team(std::int64_t width, Body body) {
    if (width <= 8 * chunk_size) return body(Team<8>());
    if (width <= 16 * chunk_size) return body(Team<16>());
    body(Team<32>());
}

unsigned blocks_of(std::int64_t rows, int lanes) {
    return static_cast<unsigned>(std::min<std::int64_t>(blocks_for(rows * lanes, block_threads), max_parts));
}

}  // namespace

template <class T>
void feature_distance_accumulate(Stream stream, double* total, double* workspace, const T* a, const T* b,
                                 const float* weight, double factor, std::int64_t rows, std::int64_t width) {
    if (rows == 0) return;
    constexpr std::size_t shared_bytes = shared_array_bytes(warp_size * sizeof(double));
    with_team(width, [&](auto team) {
        constexpr int lanes = decltype(team)::lanes;
        const unsigned blocks = blocks_of(rows, lanes);
        launch(forward<lanes, T>, blocks, block_threads, shared_bytes, stream, workspace,
               Maps<T>{a, b, weight, rows, width}, factor);
        add_parts(stream, total, workspace, blocks);
    });
}
std::int64_t feature_distance_workspace() {
    return max_parts;
}

template <class T>
void feature_distance_backward(Stream stream, T* da, const T* a, const T* b, const float* weight, float scale,
                               std::int64_t rows, std::int64_t width) {
    if (rows == 0) return;
    with_team(width, [&](auto team) {
        constexpr int lanes = decltype(team)::lanes;
        launch(backward<lanes, T>, blocks_of(rows, lanes), block_threads, 0, stream, da,
               Maps<T>{a, b, weight, rows, width}, scale);
    });
}

template void feature_distance_accumulate(Stream, double*, double*, const float*, const float*, const float*,
                                          double, std::int64_t, std::int64_t);
template void feature_distance_accumulate(Stream, double*, double*, const bf16*, const bf16*, const float*,
                                          double, std::int64_t, std::int64_t);
template void feature_distance_backward(Stream, float*, const float*, const float*, const float*, float,
                                        std::int64_t, std::int64_t);
template void feature_distance_backward(Stream, bf16*, const bf16*, const bf16*, const float*, float,
                                        std::int64_t, std::int64_t);

}  // namespace cuda
