// One step of parallel decoding draws every position of a token grid at once, each from its own logits. Per
// position, c and u being its conditional and unconditional logits and s the guidance scale:
//
//   z = c + s (c - u)                                      p = softmax(z / max(tau, 1e-4))
//   drawn      = the smallest v with p_0 + ... + p_v > uniform, the last code if there is none
//   filled     = drawn where the position is masked, its id elsewhere
//   confidence = log softmax(z)[drawn] + remask_temperature * gumbel where it is masked, infinite elsewhere;
//                Muse's has z[drawn] in place of log softmax(z)[drawn]
//
// tau is the sampling temperature; it divides, so that above 1 the draw is more varied, and it does not enter
// the confidence. s = 0 is no guidance: this scale is one less than that of kernels/sampling/categorical.h,
// where z = u + scale (c - u) and 1 is none. Sources: Chang et al., "MaskGIT" (CVPR 2022, arXiv 2202.04200),
// section 3.2; Ni et al., "Revisiting Non-Autoregressive Transformers" (CVPR 2024, arXiv 2406.05478); Chang et
// al., "Muse" (ICML 2023, arXiv 2301.00704).
#pragma once

#include <cstdint>
#include <type_traits>

#include "kernels/common/philox.h"
#include "kernels/common/stream.h"

// A strategy's values at one step. Kernels read them where they lie, on the device, so that recorded work
// serves any strategy; images of several strategies are drawn side by side.
struct DecodingStep {
    std::int32_t remasked = 0;     // positions to mask again, the bounds aside: kernels/sampling/remask.h
    float remask_temperature = 0;  // of the confidences' Gumbel noise
    float sampling_temperature = 1;
    float guidance_scale = 0;              // s
    bool logit_confidence = false;         // Muse's
    bool bounded = true, by_rank = false;  // kernels/sampling/remask.h
};

namespace cpu {

// A row of logits is on the stack, on a device in shared memory.
constexpr std::int64_t token_draw_max_codes = 24576;

// The numbers of one step, keyed by image and position alone: uniforms, gumbel [images, N] from the words w
// of philox({n, low32(numbers[b]), high32(numbers[b]), step}, *key): uniforms of w_0, 24 bits, in [0, 1);
// gumbel = -log(-log x) with x of w_1, 23 bits, in (0, 1). numbers [images]; key: one, read from memory.
void token_noise(float* uniforms, float* gumbel, const std::int64_t* numbers, const PhiloxKey* key,
                 std::int64_t images, std::int64_t N, std::uint32_t step);

// filled, confidence, drawn, ids, uniforms, gumbel [rows], drawn may be null; conditional, unconditional
// [rows, K], unconditional null where s is 0; K <= token_draw_max_codes (asserted). An id of K is a mask.
// guided [rows, K] receives z and may be conditional, or null. Row r follows steps[r / rows_per_step].
//
// Reads 8 bytes per logit (4 without guidance) once, about 60 operations each (two exponentials). Sums so
// that codes of probability zero are not drawn through rounding. Logits that are not numbers are never drawn.
void token_draw(std::int32_t* filled, float* confidence, std::int32_t* drawn, float* guided,
                const float* conditional, const float* unconditional, const std::int32_t* ids,
                const float* uniforms, const float* gumbel, const DecodingStep* steps,
                std::int64_t rows_per_step, std::int64_t rows, std::int64_t K);

}  // namespace cpu

namespace cuda {

// The same contracts on the device; pointers and sizes as in stream.h. In bf16 z is rounded
// only in `guided`.
void token_noise(Stream stream, float* uniforms, float* gumbel, const std::int64_t* numbers,
                 const PhiloxKey* key, std::int64_t images, std::int64_t N, std::uint32_t step);
template <class T>
void token_draw(Stream stream, std::int32_t* filled, float* confidence, std::int32_t* drawn,
                std::type_identity_t<T>* guided, const T* conditional,
                const std::type_identity_t<T>* unconditional, const std::int32_t* ids, const float* uniforms,
                const float* gumbel, const DecodingStep* steps, std::int64_t rows_per_step, std::int64_t rows,
                std::int64_t K);

}  // namespace cuda
