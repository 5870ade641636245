#include "models/fractal/picture_sampler.h"

#include <algorithm>
#include <cmath>
#include <stdexcept>

namespace {

constexpr std::int64_t pixels_at_once = std::int64_t{1} << 18;  // that are decoded

}  // namespace

std::int64_t picture_channels(const FractalConfig& config, const Tokenizer* tokenizer) {
    return tokenizer == nullptr ? config.channels : tokenizer->config().out_ch;
}

std::int64_t picture_size(const FractalConfig& config, const Tokenizer* tokenizer) {
    return config.image_size() * (tokenizer == nullptr ? 1 : tokenizer->config().downsampling());
}

std::vector<std::uint8_t> mask_of_model(const FractalConfig& config, std::span<const std::uint8_t> mask) {
    const auto s = static_cast<std::size_t>(config.image_size()),
               S = static_cast<std::size_t>(std::llround(std::sqrt(static_cast<double>(mask.size())))),
               f = S / s;
    std::vector<std::uint8_t> reduced(s * s);
    for (std::size_t i = 0; i < mask.size(); ++i)
        if (mask[i] != 0) reduced[i / S / f * s + i % S / f] = 1;
    return reduced;
}

PictureSampler::PictureSampler(const FractalModel& model, const Tokenizer* tokenizer, std::int64_t batch,
                               bool guided, std::vector<std::int64_t> iterations)
    : model_(model), sampler_(model, batch, guided, std::move(iterations)) {
    if (model.config().of_codes() != (tokenizer != nullptr))
        throw std::logic_error("picture sampler: codes need their tokenizer, pixels none");
    if (tokenizer == nullptr) return;
    const std::int64_t size = picture_size(model.config(), tokenizer),
                       together = std::max<std::int64_t>(1, pixels_at_once / (size * size));
    codec_.emplace(*tokenizer, size, std::min(batch, together), "pictures");
}

std::vector<std::uint8_t> PictureSampler::sample(std::span<const std::int64_t> classes,
                                                 const SampleRule& rule) {
    if (!codec_) return sampler_.sample(classes, rule);
    return codec_->decode(sampler_.sample_codes(classes, rule));
}

std::vector<std::uint8_t> PictureSampler::edit(std::span<const std::uint8_t> picture,
                                               std::span<const std::uint8_t> mask,
                                               std::span<const std::int64_t> classes,
                                               const SampleRule& rule) {
    if (!codec_) return sampler_.edit({picture, mask}, classes, rule);
    const std::vector<std::int32_t> codes = codec_->encode(picture);
    const std::vector<std::uint8_t> hidden = mask_of_model(model_.config(), mask);
    return codec_->decode(sampler_.edit_codes({codes, hidden}, classes, rule));
}

void PictureSampler::trace(PictureTrace trace) {
    if (!trace) return sampler_.trace({});
    if (!codec_) {
        sampler_.trace([trace](const ImageValues& images, std::span<const std::uint8_t> known) {
            trace(std::get<std::span<const std::uint8_t>>(images), known);
        });
        return;
    }
    sampler_.trace([this, trace](const ImageValues& images, std::span<const std::uint8_t> known) {
        const std::vector<std::uint8_t> pictures =
            codec_->decode(std::get<std::span<const std::int32_t>>(images));
        const auto s = static_cast<std::size_t>(model_.config().image_size()), n = known.size() / (s * s),
                   f = static_cast<std::size_t>(codec_->size()) / s, S = s * f;
        std::vector<std::uint8_t> pixels(n * S * S);
        for (std::size_t i = 0; i < pixels.size(); ++i)
            pixels[i] = known[(i / (S * S) * s + i / S % S / f) * s + i % S / f];
        trace(pictures, pixels);
    });
}

std::size_t PictureSampler::planned_bytes() const {
    return sampler_.planned_bytes() + (codec_ ? codec_->planned_bytes() : 0);
}
