// A ladder for the reader: three operations from the kernel that one writes first to today's, one idea a
// rung. Each rung takes the arguments of today's kernel and gives its results, but for the order of sums;
// the shapes that the short ones take stand at the top of their files. `build/cuda/bench --ladder` times them.
#pragma once

#include <cstdint>
#include <span>

#include "kernels/attention/attention.h"
#include "kernels/common/bf16.h"
#include "kernels/common/stream.h"

namespace cuda::ladder {

template <class Kernel>
struct Rung {
    const char* name;
    Kernel* run;
};

// As kernels/linear/matmul.h, kernels/norm/layernorm.h and kernels/attention/attention.h have them, in bf16.
using Matmul = void(Stream, bf16* C, const bf16* A, const bf16* B, std::int64_t M, std::int64_t N,
                    std::int64_t K);
using LayerNorm = void(Stream, bf16* y, float* mean, float* rstd, const float* x, const float* weight,
                       const float* bias, std::int64_t rows, std::int64_t width, float eps);
using Attention = void(Stream, bf16* out, float* log_sum_exp, const bf16* qkv, const AttentionShape& shape,
                       const AttentionDropout& dropout);

std::span<const Rung<Matmul>> matmul_rungs();
std::span<const Rung<LayerNorm>> layernorm_rungs();
std::span<const Rung<Attention>> attention_rungs();

}  // namespace cuda::ladder
