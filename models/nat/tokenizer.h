// The image tokenizer (VQGAN: Esser, Rombach, Ommer 2021, arXiv 2012.09841, without attention and with 2 x 2
// average pooling, as AutoNAT uses it): a convolutional encoder to a grid of vectors, each of which is
// replaced by the nearest of K codebook entries, and a decoder from those back to pixels.
//
// Pictures and feature maps are channels last, [B * height * width, C] in raster order, pixels in [0, 1]; the
// reconstruction is not clamped. Elements are of the tape's activation type, the vectors z and the codebook
// float.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "models/nat/tokenizer_config.h"
#include "runtime/ops/conv_ops.h"
#include "runtime/tensor/parameters.h"
#include "runtime/tensor/tape.h"

// GroupNorm, swish, 3 x 3 convolution, twice, around a skip connection. Where the number of channels changes,
// the skip is a 1 x 1 convolution of the branch itself (nin(h) + h and not nin(x) + h): the published weights
// were trained so.
class ResidualBlock {
  public:
    // Registers PREFIX.norm1.weight, ...
    ResidualBlock(Parameters& parameters, const std::string& prefix, std::int64_t in, std::int64_t out,
                  std::int64_t groups);
    // x [B * height * width, in] -> [.., out].
    Tensor forward(Tape& tape, const Tensor& x, MapSize size) const;

  private:
    std::int64_t groups_;
    const Parameter *norm1_weight_, *norm1_bias_, *conv1_, *norm2_weight_, *norm2_bias_, *conv2_,
        *shortcut_ = nullptr;
};

// Pictures as they are stored, u8 [B, C * size * size] with planes one after the other, as maps for the
// encoder: [B * size * size, C], in [0, 1].
Tensor picture_maps(Tape& tape, const Tensor& bytes, std::int64_t channels, std::int64_t size);

class Tokenizer {
  public:
    Tokenizer(TokenizerConfig config, Backend backend);
    Tokenizer(const Tokenizer&) = delete;
    Tokenizer& operator=(const Tokenizer&) = delete;

    const TokenizerConfig& config() const { return config_; }
    Backend backend() const { return backend_; }
    Parameters& parameters() { return parameters_; }
    const Parameters& parameters() const { return parameters_; }
    const Parameter& codebook() const { return *codebook_; }

    // The token grid of pictures of that size. Throws Error, starting with `source`, if it is not divisible
    // by f.
    MapSize grid(MapSize picture, std::string_view source) const;

    // pictures [B * height * width, in_channels] -> z [B * h * w, z_channels], before quantisation.
    Tensor encode(Tape& tape, const Tensor& pictures, MapSize size) const;
    // z -> codes int32 [B * h * w, 1], rows in raster order. Not recorded.
    Tensor codes(Tape& tape, const Tensor& z) const;
    // z -> its codebook entries, straight-through, float; adds sum (entry - z)^2 to total (double [1, 1]),
    // and while recording leaves the gradient of scale * (1 + beta) * total: the quantiser's loss, a mean
    // over elements, has scale 1 / (all elements of z).
    Tensor quantise(Tape& tape, const Tensor& z, const Tensor& codes, float scale, const Tensor& total) const;
    // Codes int32 [B * h * w, 1] -> their codebook entries.
    Tensor entries(Tape& tape, const Tensor& codes) const;

    // Entries of a grid [B * h * w, z_channels] -> pictures [B * f h * f w, out_ch].
    Tensor decode(Tape& tape, const Tensor& entries, MapSize grid) const;
    // The same in two parts: the features that the last convolution reads, [B * f h * f w, ch * ch_mult[0]],
    // and the pictures from them; `last_layer` is that convolution's weight, at which adversarial training
    // weighs its gradients.
    Tensor decode_features(Tape& tape, const Tensor& entries, MapSize grid) const;
    Tensor to_pixels(Tape& tape, const Tensor& features, MapSize picture) const;
    const Parameter& last_layer() const { return *decoder_.conv_out_weight; }

  private:
    struct Encoder {
        const Parameter* conv_in = nullptr;
        std::vector<std::vector<ResidualBlock>> levels;
        std::vector<ResidualBlock> mid;
        const Parameter *norm_weight = nullptr, *norm_bias = nullptr, *conv_out_weight = nullptr,
                        *conv_out_bias = nullptr;
    };
    struct Decoder {
        const Parameter *conv_in_weight = nullptr, *conv_in_bias = nullptr;
        std::vector<ResidualBlock> mid;
        std::vector<std::vector<ResidualBlock>> levels;
        std::vector<const Parameter*> upsample_weights, upsample_biases;  // null at level 0
        const Parameter *norm_weight = nullptr, *norm_bias = nullptr, *conv_out_weight = nullptr,
                        *conv_out_bias = nullptr;
    };
    void register_encoder();
    void register_decoder();
    std::vector<ResidualBlock> register_blocks(const std::string& prefix, std::int64_t in, std::int64_t out);
    std::vector<ResidualBlock> register_mid(const std::string& prefix, std::int64_t channels);
    const Parameter* add(const std::string& name, std::vector<std::int64_t> shape, Init init);

    TokenizerConfig config_;
    Backend backend_;
    Parameters parameters_;
    Encoder encoder_;
    Decoder decoder_;
    const Parameter* codebook_ = nullptr;
};
