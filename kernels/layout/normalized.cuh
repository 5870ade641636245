// A pixel's value as an input of the networks, with the CPU's bits: every operation is rounded separately.
#pragma once

namespace cuda {

__device__ inline float normalized(float value, float mean, float deviation) {
    return __fdiv_rn(__fsub_rn(__fdiv_rn(value, 255.0f), mean), deviation);
}

}  // namespace cuda
