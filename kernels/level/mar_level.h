// A MAR level of the fractal model on a few sequences, from its conditions to those of the next level in one kernel:
// what takes some 40 kernels one after another otherwise. GPUs with clusters alone, bf16 alone; elsewhere and for many
// sequences the same is put together from other kernels (models/fractal/mar_level.cpp).
//
// For each sequence m, with P tokens in front of its L patches, rounding to bf16 written as [ ]:
//
//   t[m, s] = guide, condition or patch token as in masked_sequence.h, patch tokens being [patch A^T + a]
//   x = LN(t; patch norm)
//   for every block:   q, k, v = [[LN(x; norm1)] Q^T + b_q]
//                      x += [[attention(q, k, v)] P^T + b_p]              (per head, 1 / sqrt(head_dim))
//                      x += [[gelu([LN(x; norm2)] F1^T + b_1)] F2^T + b_2]
//   y = [LN(x; norm)], of the drawn patches and their neighbours (gather_neighbours)
//
// with LN layer normalisation, eps 1e-6, gelu the exact one, weights and biases rounded to bf16, norms in float:
// the roundings of the separate kernels. Source: Li et al., "Fractal Generative Models" (2025, arXiv 2502.17437),
// section 4.2; its Appendix, "Implementation Details", for the sizes.
//
// Of the last block the kernel computes what these rows need: all keys and values, the rest of their rows alone.
//
// Cost per sequence, with T = P + L tokens, width D and B blocks: 2 T B (12 D^2 + 2 T D) operations; 24 B D^2 bytes of
// weights.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/common/bf16.h"
#include "kernels/common/stream.h"
#include "kernels/sampling/pixel_sampler.h"

struct MarLevelShape {
    std::int64_t sequences;  // M; with guidance those of both halves
    std::int64_t tokens;     // L, of patches
    std::int64_t conditions;
    bool guided;  // the prefix begins with a guiding pixel
    std::int64_t width, blocks, heads;
    std::int64_t inputs;           // values of a patch
    std::int64_t next_conditions;  // n', of a patch in the next level, 1 to 5
    std::int64_t drawn;            // K: patches that go on

    std::int64_t length() const { return conditions + (guided ? 1 : 0) + tokens; }
};

// As parameters are stored, fp32: weights [N, K], biases [N]; norms, mask token [D]; positions [P + L, D].
struct MarLevelWeights {
    const float *patch_weight, *patch_bias;  // [D, inputs]
    const float *mask_token, *positions;
    const float *patch_norm_weight, *patch_norm_bias, *norm_weight, *norm_bias;
    // [blocks], themselves in host memory; heads of 64.
    const PixelSamplerBlock* blocks;
};

namespace cuda {

// What a cluster takes: heads of 64, at most 4 of them; a sequence of at most 32 tokens.
bool mar_level_has_shape(const MarLevelShape& shape);
// Shared memory of each block of a cluster, and the blocks: one for 32 columns of the width.
std::size_t mar_level_shared_bytes(const MarLevelShape& shape);
constexpr std::int64_t mar_level_ranks(const MarLevelShape& shape) {
    return shape.width / 32;
}
// How many sequences the current device runs at once; 0: none of this shape.
std::int64_t mar_level_resident(const MarLevelShape& shape);

std::int64_t mar_level_packed_elements(const MarLevelShape& shape);
// Lays the weights out for mar_level_forward, once per sampling job. packed [mar_level_packed_elements],
// 16-byte aligned.
void mar_level_pack(Stream stream, bf16* packed, const MarLevelWeights& weights, const MarLevelShape& shape);

// y [K, n', D], overwritten; patches [M, L, inputs]; conditions [M, n, D] and guide [M, D] as
// masked_sequence_forward takes them, the latter not read unless guided; mask [M, L], 1 = hidden; selected [K],
// each m * L + t. A row's bits depend neither on other sequences, nor on their number, nor on what else is
// selected.
void mar_level_forward(Stream stream, bf16* y, const float* patches, const bf16* conditions,
                       const bf16* guide, const std::uint8_t* mask, const std::int32_t* selected,
                       const bf16* packed, const MarLevelShape& shape);

}  // namespace cuda
