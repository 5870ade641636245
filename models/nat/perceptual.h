// The perceptual loss of tokenizer training: LPIPS with VGG16 (Zhang et al. 2018, arXiv 1801.03924), as VQGAN
// uses it. Picture and target go through the convolutions of an image classifier; after each of its five
// blocks their features are compared (kernels/loss/feature_distance.h), weighted as people judged:
//
//   loss = mean over pictures of sum over blocks of mean over positions of sum_c w_c (u_c - v_c)^2
//
// All weights are given, frozen, and named as published: `features.N.weight` and `.bias` as torchvision's
// vgg16, `linN.model.1.weight` as LPIPS's vgg.pth.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "runtime/device/backend.h"
#include "runtime/ops/conv_ops.h"
#include "runtime/tensor/parameters.h"
#include "runtime/tensor/tape.h"

inline constexpr std::size_t vgg_blocks = 5;

// Channels of the convolutions of each block: 2, 2, 3, 3, 3 of them, 3 x 3, each followed by ReLU, and
// between blocks 2 x 2 max-pooling.
struct VggWidths {
    std::array<std::int64_t, vgg_blocks> of_block = {64, 128, 256, 512, 512};
};

class PerceptualLoss {
  public:
    static constexpr std::int64_t channels = 3, smallest_side = 16;  // the last block then has one position

    // Reserves memory for the weights, all 0 until they are loaded.
    PerceptualLoss(const VggWidths& widths, Backend backend);
    PerceptualLoss(const PerceptualLoss&) = delete;
    PerceptualLoss& operator=(const PerceptualLoss&) = delete;

    Backend backend() const { return backend_; }
    Parameters& parameters() { return parameters_; }
    const Parameters& parameters() const { return parameters_; }
    std::size_t bytes() const;
    // Of all weights: which loss a run was trained with.
    std::uint32_t fingerprint() const;

    // Throws UsageError, starting with `source`, unless pictures have 3 channels and sides of at least 16.
    static void require_fitting(std::int64_t picture_channels, MapSize size, std::string_view source);

    // Pictures and targets [B * height * width, 3], values in [0, 1]: adds B times the loss to `total`,
    // double [1, 1], and while recording adds scale times its gradient to that of the pictures, which must be
    // differentiable. A few pictures at a time go forward and backward at once.
    void add(Tape& tape, const Tensor& pictures, const Tensor& targets, MapSize size, float scale,
             const Tensor& total) const;

  private:
    struct Convolution {
        const Parameter *weight, *bias;
    };
    void register_scaling();
    // The maps behind each block's last ReLU; calls use(block, features, their size) for each in turn.
    template <class Use>
    void for_features(Tape& tape, const Tensor& pictures, MapSize size, Use use) const;

    Backend backend_;
    Parameters parameters_, constants_;
    Convolution scaling_{};  // of pictures, as LPIPS has it: a 1 x 1 convolution, diagonal; no file holds it
    std::array<std::vector<Convolution>, vgg_blocks> blocks_;
    std::array<const Parameter*, vgg_blocks> linear_{};
};

// The loss with the weights in these files, one or two: VGG16's convolutions and LPIPS's linear weights, in
// either file. The widths follow from the shapes. Throws Error naming the file and the tensor that is missing
// or does not fit.
std::unique_ptr<PerceptualLoss> load_perceptual_loss(std::span<const std::string> files, Backend backend);
