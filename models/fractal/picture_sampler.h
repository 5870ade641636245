// Pictures drawn by a fractal model: a model of pixels draws them itself, the codes of the others become pictures
// by their tokenizer.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "models/fractal/sample.h"
#include "models/nat/image_codec.h"

// Channels and side of the pictures; `tokenizer`: of a model of codes, null otherwise.
std::int64_t picture_channels(const FractalConfig& config, const Tokenizer* tokenizer);
std::int64_t picture_size(const FractalConfig& config, const Tokenizer* tokenizer);
// Of a mask of a picture [S, S], 1 for every pixel to redo, the one of the model's images [s, s]: a token is redone if
// any of its pixels is.
std::vector<std::uint8_t> mask_of_model(const FractalConfig& config, std::span<const std::uint8_t> mask);

class PictureSampler {
  public:
    // As FractalSampler. The model and its tokenizer must stay.
    PictureSampler(const FractalModel& model, const Tokenizer* tokenizer, std::int64_t batch, bool guided,
                   std::vector<std::int64_t> iterations = {});

    // Pictures, bytes [classes, channels, S, S], and the other arguments of FractalSampler.
    std::vector<std::uint8_t> sample(std::span<const std::int64_t> classes, const SampleRule& rule);
    // The same for edits of one picture [channels, S, S], whose mask is [S, S]. Known pixels are returned unchanged;
    // of a model of codes known tokens stay, and pixels are what the tokenizer makes of them.
    std::vector<std::uint8_t> edit(std::span<const std::uint8_t> picture, std::span<const std::uint8_t> mask,
                                   std::span<const std::int64_t> classes, const SampleRule& rule);

    // Pictures so far, [images, channels, S, S], and their known pixels, [images, S, S], after the steps of the
    // outermost level. An empty function ends the trace.
    using PictureTrace =
        std::function<void(std::span<const std::uint8_t> pictures, std::span<const std::uint8_t> known)>;
    void trace(PictureTrace trace);
    void watch(FractalSampler::Watch watch) { sampler_.watch(std::move(watch)); }

    std::size_t planned_bytes() const;

  private:
    const FractalModel& model_;
    FractalSampler sampler_;
    std::optional<ImageCodec> codec_;  // of a model of codes
};
