// A warp per vector: its lanes read the vector and its row of the codebook side by side and add up the
// squares by shuffles. C is 32 to some hundreds, so a lane has one to a few loads of each in flight.
// ptxas budget: 40 registers, no spills
#include "kernels/layout/quantise.h"

#include "kernels/common/device_math.cuh"
#include "kernels/common/launch.cuh"

namespace cuda {
namespace {

constexpr int block_threads = 256;

// The vector of this warp, and its lane.
struct Place {
    std::int64_t m = thread_index() / warp_size;
    int lane = static_cast<int>(threadIdx.x) % warp_size;
};

__global__ void __launch_bounds__(block_threads)
    replace_vectors(float* y, float* squares, const float* z, const float* codebook,
                    const std::int32_t* codes, std::int64_t M, std::int64_t C) {
    wait_for_previous_kernel();
    const Place place;
    if (place.m >= M) return;
    const float* q = codebook + codes[place.m] * C;
    const std::int64_t first = place.m * C;
    float sum = 0;
#pragma unroll 4
    for (std::int64_t c = place.lane; c < C; c += warp_size) {
        const float value = z[first + c], d = q[c] - value;
        sum += d * d;
        y[first + c] = value + d;
    }
    sum = warp_sum(sum);
    if (place.lane == 0) squares[place.m] = sum;
}

__global__ void __launch_bounds__(block_threads)
    pass_gradients(float* dz, float* d_rows, const float* dy, const float* z, const float* codebook,
                   const std::int32_t* codes, float z_scale, float codebook_scale, std::int64_t M,
                   std::int64_t C) {
    wait_for_previous_kernel();
    const Place place;
    if (place.m >= M) return;
    const float* q = codebook + codes[place.m] * C;
    const std::int64_t first = place.m * C;
#pragma unroll 4
    for (std::int64_t c = place.lane; c < C; c += warp_size) {
        const float d = z[first + c] - q[c], passed = dy == nullptr ? 0.0f : dy[first + c];
        dz[first + c] = passed + z_scale * d;
        d_rows[first + c] = -codebook_scale * d;
    }
}

}  // namespace

void quantise_forward(Stream stream, float* y, float* squares, const float* z, const float* codebook,
                      const std::int32_t* codes, std::int64_t M, std::int64_t C) {
    launch(replace_vectors, blocks_for(M, block_threads / warp_size), block_threads, 0, stream, y, squares, z,
           codebook, codes, M, C);
}

void quantise_backward(Stream stream, float* dz, float* d_rows, const float* dy, const float* z,
                       const float* codebook, const std::int32_t* codes, float z_scale, float codebook_scale,
                       std::int64_t M, std::int64_t C) {
    launch(pass_gradients, blocks_for(M, block_threads / warp_size), block_threads, 0, stream, dz, d_rows, dy,
           z, codebook, codes, z_scale, codebook_scale, M, C);
}

}  // namespace cuda
