// One pass over the four arrays: 28 bytes per parameter, 30 with the bf16 copy for the matrix products, which
// would otherwise be a separate pass (6 more). Bound by memory: a thread issues the loads of 8 elements of
// each array, and while they are in flight the first thread of the block computes the clip factor from the
// squared norm. It is computed here, from device memory, so that the host need not wait for the norm; by one
// thread of 256, because double arithmetic is slow on most devices.
// ptxas budget: 80 registers, no spills
#include "kernels/optimizer/adamw.h"

#include "kernels/common/elementwise.cuh"

namespace cuda {
namespace {

constexpr int adamw_threads = 256;

__device__ float clip_factor(const AdamW& adamw) {
    if (adamw.max_norm == 0) return 1;
    const double factor = adamw.max_norm / (sqrt(*adamw.squared_norm) + 1e-6);
    return factor > 1 ? 1.0f : static_cast<float>(factor);
}

__global__ void update(float* parameter, bf16* rounded, float* exp_avg, float* exp_avg_sq,
                       const float* gradient, std::int64_t count, AdamW adamw) {
    wait_for_previous_kernel();
    SharedMemory shared;
    float* clip_of_block = shared.take<float>(1);
    const std::int64_t first = thread_index() * chunk_size;
    const int left = chunk_count(count - first);
    const bool packed = aligned(parameter) && aligned(rounded) && aligned(exp_avg) && aligned(exp_avg_sq) &&
                        aligned(gradient);
    Chunk p = load_chunk(parameter + first, left, packed), m = load_chunk(exp_avg + first, left, packed),
          v = load_chunk(exp_avg_sq + first, left, packed);
    const Chunk g_unclipped = load_chunk(gradient + first, left, packed);
    if (threadIdx.x == 0) *clip_of_block = clip_factor(adamw);
    __syncthreads();

    const float clip = *clip_of_block, keep = 1.0f - adamw.learning_rate * adamw.weight_decay;
    const float step = adamw.learning_rate / adamw.correction1, inverse2 = 1.0f / adamw.correction2;
#pragma unroll
    for (int i = 0; i < chunk_size; ++i) {
        const float g = clip * g_unclipped[i];
        m[i] = adamw.beta1 * m[i] + (1.0f - adamw.beta1) * g;
        v[i] = adamw.beta2 * v[i] + (1.0f - adamw.beta2) * g * g;
        p[i] = keep * p[i] - step * m[i] / (sqrtf(v[i] * inverse2) + adamw.epsilon);
    }
    store_chunk(parameter + first, p, left, packed);
    store_chunk(exp_avg + first, m, left, packed);
    store_chunk(exp_avg_sq + first, v, left, packed);
    if (rounded != nullptr) store_chunk(rounded + first, p, left, packed);
}

struct MovingAverage {
    float decay;
    __device__ float operator()(float average, float parameter) const {
        return decay * average + (1.0f - decay) * parameter;
    }
};

}  // namespace

void adamw_update(Stream stream, float* parameter, bf16* rounded, float* exp_avg, float* exp_avg_sq,
                  const float* gradient, std::int64_t count, const AdamW& adamw) {
    launch(update, blocks_for(count, chunk_size * adamw_threads), adamw_threads,
           shared_array_bytes(sizeof(float)), stream, parameter, rounded, exp_avg, exp_avg_sq, gradient,
           count, adamw);
}

void ema_update(Stream stream, float* average, const float* parameter, std::int64_t count, float decay) {
    elementwise(stream, average, count, MovingAverage{decay}, static_cast<const float*>(average), parameter);
}

}  // namespace cuda
