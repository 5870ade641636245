// Cost of images from a masked-token transformer by formula, in multiply-adds: norms, activations, softmax,
// the draws and the codebook's look-up are not counted.
//
// A pass of one sequence through the transformer, with N tokens in P places (N / P of them to a place: 1, or
// 4 in patches of 2 x 2), T = 1 + P, or L + P with a text of L features of width C, width D, n = depth + 1
// blocks, r = mlp_ratio and K codes:
//
//   blocks        n (T (4 + 2 r) D^2 + 2 T^2 D)                   q, k, v, projection, MLP; scores, values
//   long skips    depth / 2 * T 2 D^2
//   head          N D^2 + N K D                                   fc (D -> D, or to each of 4), logits
//   patches       P (4 D) D, where a place holds 4 tokens
//
// A text's encoder, and the map of its features, L C D, run once an image and are not counted.
//
// A strategy of S steps runs S passes of an image, twice as many with guidance; then the tokenizer's decoder
// runs once. A convolution costs, per pixel of its result, k^2 C_in C_out.
//
// The paper's count. Its figures for autonat_s, 0.2 TFLOP at 4 steps and 0.3 at 8, come out under one
// convention: a multiply-add counts as one operation, guidance's rows count, and so does the decoder (0.192
// and 0.292). Two operations per multiply-add give 0.39 and 0.58; without the decoder 0.10 and 0.20, without
// guidance 0.14 and 0.19.
//
// Source: Ni et al., "Revisiting Non-Autoregressive Transformers" (CVPR 2024, arXiv 2406.05478).
#pragma once

#include <cstdint>

#include "models/nat/config.h"
#include "models/nat/tokenizer_config.h"

// One sequence.
double pass_multiply_adds(const NatConfig& config);
// One image of side x side tokens, from the codebook's entries to pixels.
double decoder_multiply_adds(const TokenizerConfig& config, std::int64_t side);
// The encoder, for one image of side x side tokens: from pixels to the vectors that are quantised.
double encoder_multiply_adds(const TokenizerConfig& config, std::int64_t side);

// One image.
struct GenerationCost {
    double pass = 0, decoder = 0;

    double multiply_adds(std::int64_t steps, bool guided, bool with_decoder) const {
        return static_cast<double>(guided ? 2 * steps : steps) * pass + (with_decoder ? decoder : 0);
    }
};
GenerationCost generation_cost(const NatConfig& config, const TokenizerConfig& tokenizer);
