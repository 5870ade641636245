// Shapes of the measured kernels.
//
// On the CPU those of the benchmark model (model.cpp) at batch 32: level 0 with 32 sequences of 64 tokens of
// width 256, level 1 with chunks of 128 sequences of 16 tokens of width 128 (2,048 rows), the pixel level
// with chunks of 683 pixels of 3 tokens of width 64 (2,049 rows). Sampling has 16 rows. Feature maps are
// those of vqgan_mini_f4 and of a small discriminator at batch 16, tokens those of nat_mini.
//
// On the GPU those of the paper's model of 64x64 images (fractalar_in64: widths 1024, 512, 128) in chunks
// large enough that a call moves several times the size of the L2 cache, 50 MiB on an H200, and lasts far
// longer than its launch; kernels that sampling calls with few rows are measured with few rows. Feature maps
// are those of vqgan_f16 and of its discriminator at batch 16, tokens those of autonat_l.
//
// The smallest, for tests, are the same list in miniature.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "kernels/attention/attention.h"
#include "kernels/conv/conv2d.h"
#include "kernels/conv/resample.h"
#include "kernels/layout/masked_sequence.h"
#include "kernels/layout/token_patches.h"
#include "kernels/norm/groupnorm.h"
#include "kernels/sampling/pixel_sampler.h"

struct LinearShape {
    std::int64_t rows, N, K;

    double operations() const { return 2.0 * static_cast<double>(rows * N * K); }
    std::string text() const;
};

// The last of `length` tokens, all others are in the cache.
struct DecodeShape {
    std::int64_t sequences, heads, head_dim, length;
};

struct Shapes {
    std::vector<LinearShape>
        linear;  // qkv, the attention's output, the feed-forward's way up and down, by level
    std::vector<LinearShape> packed;  // of a sampling step
    std::vector<AttentionShape> attention;
    std::vector<DecodeShape> decode;

    struct {
        std::int64_t sequences, grid, width, hidden, heads;

        std::int64_t length() const { return grid * grid; }
        std::int64_t rows() const { return sequences * length(); }
    } level;  // in the middle: norms, gated units, residuals, rotary embedding

    struct {
        std::int64_t count, width, hidden;

        std::int64_t rows() const { return count * channels; }
    } pixels;  // of the pixel level

    MaskedSequenceShape masked;  // of a MAR level
    std::vector<std::int64_t> pixel_draws;
    PixelSamplerShape pixel_sampler;
    std::int64_t draws;  // rows of logits that one call draws from
    std::int64_t images, image_size, patch_size;
    std::int64_t parameters;
    std::int64_t bias_rows, bias_width;  // of the gradient of a bias

    std::vector<Conv2dShape> conv2d;
    std::vector<GroupNormShape> groupnorm;
    ResampleShape resample;
    struct {
        std::int64_t vectors, codes, width;
    } codebook;
    TokenGrid token_grid;
    std::int64_t token_width;

    static constexpr std::int64_t channels = 3, vocabulary = 256;
};

const Shapes& cpu_shapes();
const Shapes& gpu_shapes();
const Shapes& smoke_shapes();
