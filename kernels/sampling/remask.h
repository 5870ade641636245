// The second half of a step of parallel decoding: the least confident tokens are masked again for the next
// step. With N positions per image and M masked ones, before this step's draw, in the first image of a
// strategy's:
//
//   m = max(1, min(M - 1, remasked))          cut_b = the m-th smallest confidence of image b
//   ids_bn = K (a mask) where confidence_bn <= cut_b, filled_bn elsewhere
//
// Without bounds m = min(M, remasked): a step may mask all again, or none. By rank, a masked position's
// confidence is -rank_n, the same in all images: the tokens are fixed in the order of their ranks.
//
// The first image's count is the release's rule, and that of all its images as long as no two confidences are
// equal at a cut. A position that was not masked has an infinite confidence (kernels/sampling/token_draw.h);
// M is counted from that.
//
// Sources: Ni et al., "Revisiting Non-Autoregressive Transformers" (CVPR 2024, arXiv 2406.05478); the order:
// Besnier et al., "Halton Scheduler for Masked Generative Image Transformer" (ICLR 2025, arXiv 2503.17076).
#pragma once

#include <bit>
#include <cstdint>

#include "kernels/common/stream.h"
#include "kernels/sampling/token_draw.h"

// A number whose order among unsigned numbers is x's among floats; 0 and -0 have the same. NaN of either sign
// lies at that sign's end.
constexpr std::uint32_t ordered_bits(float x) {
    const auto bits = std::bit_cast<std::uint32_t>(x);
    return bits > 0x80000000u ? ~bits : bits | 0x80000000u;
}

// m.
constexpr std::int64_t remasked_count(std::int64_t masked, const DecodingStep& step) {
    const std::int64_t bound = step.bounded ? 1 : 0,
                       most = masked - bound < step.remasked ? masked - bound : step.remasked;
    return most > bound ? most : bound;
}

namespace cpu {

// On a device a row's confidences lie in shared memory.
constexpr std::int64_t remask_max_positions = 8192;

// ids [guidance_rows, images, N]: the same into each half (unconditional rows have the conditional ones'
// ids); filled, confidence [images, N]; ranks [N], 0 to N - 1, read by rank only. Image b follows
// steps[b / images_per_step], its remasked in [0, N]. N <= remask_max_positions (asserted). Moves
// 8 + 4 guidance_rows bytes per position.
void remask(std::int32_t* ids, const std::int32_t* filled, const float* confidence, const std::int32_t* ranks,
            const DecodingStep* steps, std::int64_t images_per_step, std::int64_t images,
            std::int64_t guidance_rows, std::int64_t N, std::int64_t K);

}  // namespace cpu

namespace cuda {

// The same contract on the device; pointers and sizes as in stream.h.
void remask(Stream stream, std::int32_t* ids, const std::int32_t* filled, const float* confidence,
            const std::int32_t* ranks, const DecodingStep* steps, std::int64_t images_per_step,
            std::int64_t images, std::int64_t guidance_rows, std::int64_t N, std::int64_t K);

}  // namespace cuda
