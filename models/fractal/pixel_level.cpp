#include "models/fractal/pixel_level.h"

namespace {

constexpr float epsilon = 1e-6f;

}  // namespace

PixelLevel::PixelLevel(Parameters& parameters, const std::string& prefix, const FractalConfig& config,
                       std::int64_t condition_width, std::int64_t width, std::int64_t blocks,
                       std::int64_t heads)
    : of_codes_(config.of_codes()),
      channels_(config.channels),
      condition_width_(condition_width),
      width_(width),
      heads_(heads) {
    const std::int64_t W = width;
    const auto add = [&](const std::string& name, std::vector<std::int64_t> shape, Init init) {
        return &parameters.add(prefix + "." + name, std::move(shape), init);
    };
    const std::vector<std::string> names = of_codes_        ? std::vector<std::string>{"code"}
                                           : channels_ == 1 ? std::vector<std::string>{"y"}
                                                            : std::vector<std::string>{"r", "g", "b"};
    condition_weight_ = add("cond_proj.weight", {W, condition_width}, Init::xavier);
    condition_bias_ = add("cond_proj.bias", {W}, Init::zeros);
    for (const std::string& name : names)
        codebooks_.push_back(add(name + "_codebook.weight", {config.values(), W}, Init::normal));
    ln_weight_ = add("ln.weight", {W}, Init::ones);
    ln_bias_ = add("ln.bias", {W}, Init::zeros);
    for (std::int64_t i = 0; i < blocks; ++i)
        blocks_.emplace_back(parameters, prefix + ".blocks." + std::to_string(i), W, heads);
    norm_weight_ = add("norm.weight", {W}, Init::ones);
    norm_bias_ = add("norm.bias", {W}, Init::zeros);
    for (const std::string& name : names)
        biases_.push_back(add(name + "_mlm.bias", {1, config.values()}, Init::zeros));
}

Tensor PixelLevel::forward(Tape& tape, const Tensor& condition, const Tensor& values) const {
    const Tensor first = linear(tape, condition, *condition_weight_, condition_bias_);
    Tensor x =
        layernorm_f32(tape, pixel_sequence(tape, first, values, codebooks_), *ln_weight_, *ln_bias_, epsilon);
    for (const VitBlock& block : blocks_) x = block.forward(tape, x, channels_, true, {});
    return layernorm(tape, x, *norm_weight_, *norm_bias_, epsilon);
}

void PixelLevel::loss(Tape& tape, const Tensor& condition, const Tensor& values,
                      std::span<const float> scales, const Tensor& totals) const {
    pixel_cross_entropy(tape, forward(tape, condition, values), values, codebooks_, biases_, scales, totals);
}

Tensor PixelLevel::logits(Tape& tape, const Tensor& condition, const Tensor& values,
                          std::int64_t channel) const {
    const auto c = static_cast<std::size_t>(channel);
    return channel_logits(tape, forward(tape, condition, values), channels_, channel, *codebooks_[c],
                          *biases_[c]);
}

PixelSamplerShape PixelLevel::sampler_shape() const {
    return {channels_, width_, condition_width_, static_cast<std::int64_t>(blocks_.size()), heads_};
}

bool PixelLevel::can_sample(Device device) const {
    return of_codes_ || pixel_sampler_fits(device, sampler_shape());
}

// The kernel that draws pixels draws 256 values of each channel; one code takes the same steps once, in which there is
// nothing to keep between them.
Tensor PixelLevel::sample(Tape& tape, const Tensor& condition, const Uniforms& uniforms, const Tensor& packed,
                          bool guided, const Tensor& settings, const Tensor& margins, const Tensor& limits,
                          const NormalizedRows& into) const {
    if (!of_codes_)
        return sample_pixels(tape, condition, uniforms, packed, sampler_shape(), guided, settings, margins,
                             limits, into);
    const Tensor predicted = to_f32(tape, logits(tape, condition, Tensor(), 0));
    return sample_values(tape, predicted, uniforms.numbers, guided, settings, margins);
}

Tensor PixelLevel::pack_for_sampling(Tape& tape) const {
    if (of_codes_) return {};
    std::vector<PixelSamplerBlock> blocks;
    for (const VitBlock& block : blocks_) blocks.push_back(block.weights());
    PixelSamplerWeights weights{
        condition_weight_->value, condition_bias_->value, {}, ln_weight_->value, ln_bias_->value,
        norm_weight_->value,      norm_bias_->value,      {}, blocks.data()};
    for (std::size_t c = 0; c < codebooks_.size(); ++c) {
        weights.codebooks[c] = codebooks_[c]->value;
        weights.biases[c] = biases_[c]->value;
    }
    return pack_pixel_sampler(tape, weights, sampler_shape());
}
