// The discriminator of VQGAN's adversarial loss: a PatchGAN, whose logits each judge one patch of a picture
// (Isola et al. 2017, arXiv 1611.07004; Esser, Rombach, Ommer 2021, arXiv 2012.09841). 4 x 4 convolutions:
// `layers` of stride 2, then two of stride 1, leaky ReLU between them. GroupNorm instead of the original's
// BatchNorm, so there are no running statistics and a logit depends on its own image alone.
#pragma once

#include <cstdint>
#include <vector>

#include "runtime/device/backend.h"
#include "runtime/ops/conv_ops.h"
#include "runtime/tensor/parameters.h"
#include "runtime/tensor/tape.h"

struct DiscriminatorConfig {
    std::int64_t channels = 3;  // of a picture
    std::int64_t filters = 64;  // of the first convolution; later ones have 2, 4, at most 8 times as many
    std::int64_t layers =
        3;  // receptive field of a logit: 70 x 70 with 3 layers, 34 x 34 with 2, 16 x 16 with 1
};

class Discriminator {
  public:
    // Registers loss.discriminator.main.0.weight, .bias, ..2.weight, ... as the authors' release names them.
    // Throws UsageError for a configuration without channels, filters or layers.
    Discriminator(DiscriminatorConfig config, Backend backend);
    Discriminator(const Discriminator&) = delete;
    Discriminator& operator=(const Discriminator&) = delete;

    const DiscriminatorConfig& config() const { return config_; }
    Backend backend() const { return backend_; }
    Parameters& parameters() { return parameters_; }
    const Parameters& parameters() const { return parameters_; }

    // The grid of logits of a picture. Throws UsageError if the picture is too small for one.
    MapSize logits_size(MapSize picture) const;

    // pictures [B * height * width, channels] -> logits [B * h * w, 1], (h, w) = logits_size(size).
    Tensor forward(Tape& tape, const Tensor& pictures, MapSize size) const;

  private:
    struct Layer {
        const Parameter *weight, *bias, *norm_weight, *norm_bias;  // null: without
        std::int64_t stride;
    };
    void add_layer(int number, std::int64_t in, std::int64_t out, std::int64_t stride, bool biased,
                   bool normed);

    DiscriminatorConfig config_;
    Backend backend_;
    Parameters parameters_;
    std::vector<Layer> layers_;
};
