#include "models/nat/tokenizer.h"

#include "runtime/base/error.h"
#include "runtime/device/profile.h"
#include "runtime/ops/feature_ops.h"
#include "runtime/ops/image_ops.h"
#include "runtime/ops/ops.h"
#include "runtime/ops/quantise_ops.h"

namespace {

constexpr float epsilon = 1e-6f;

Tensor norm_swish(Tape& tape, const Tensor& x, MapSize size, std::int64_t groups, const Parameter& weight,
                  const Parameter& bias) {
    return groupnorm(tape, x, size.height * size.width, weight, bias, groups, epsilon, Activation::swish);
}

// A convolution that keeps the map's size.
Tensor conv3x3(Tape& tape, const Tensor& x, MapSize size, const Parameter& weight, const Parameter* bias) {
    return conv2d(tape, x, size, weight, bias, 1, 1);
}

Tensor through(Tape& tape, Tensor x, MapSize size, const std::vector<ResidualBlock>& blocks) {
    for (const ResidualBlock& block : blocks) x = block.forward(tape, x, size);
    return x;
}

}  // namespace

Tensor picture_maps(Tape& tape, const Tensor& bytes, std::int64_t channels, std::int64_t size) {
    const std::vector<float> zeros(static_cast<std::size_t>(channels), 0.0f),
        ones(static_cast<std::size_t>(channels), 1.0f);
    return patchify(tape, normalize_pixels(tape, bytes, zeros, ones), channels, size, 1);
}

ResidualBlock::ResidualBlock(Parameters& parameters, const std::string& prefix, std::int64_t in,
                             std::int64_t out, std::int64_t groups)
    : groups_(groups) {
    const auto add = [&](const char* name, std::vector<std::int64_t> shape, Init init) {
        return &parameters.add(prefix + "." + name, std::move(shape), init);
    };
    norm1_weight_ = add("norm1.weight", {in}, Init::ones);
    norm1_bias_ = add("norm1.bias", {in}, Init::zeros);
    conv1_ = add("conv1.weight", {out, in, 3, 3}, Init::fan_in);
    norm2_weight_ = add("norm2.weight", {out}, Init::ones);
    norm2_bias_ = add("norm2.bias", {out}, Init::zeros);
    conv2_ = add("conv2.weight", {out, out, 3, 3}, Init::fan_in);
    if (in != out) shortcut_ = add("nin_shortcut.weight", {out, out, 1, 1}, Init::fan_in);
}

Tensor ResidualBlock::forward(Tape& tape, const Tensor& x, MapSize size) const {
    Tensor h = conv3x3(tape, norm_swish(tape, x, size, groups_, *norm1_weight_, *norm1_bias_), size, *conv1_,
                       nullptr);
    h = conv3x3(tape, norm_swish(tape, h, size, groups_, *norm2_weight_, *norm2_bias_), size, *conv2_,
                nullptr);
    return add_maps(tape, shortcut_ == nullptr ? x : linear(tape, h, *shortcut_, nullptr), h);
}

Tokenizer::Tokenizer(TokenizerConfig config, Backend backend)
    : config_(std::move(config)), backend_(backend) {
    register_encoder();
    register_decoder();
    codebook_ = add("quantize.embedding.weight", {config_.n_embed, config_.embed_dim}, Init::codebook);
}

const Parameter* Tokenizer::add(const std::string& name, std::vector<std::int64_t> shape, Init init) {
    return &parameters_.add(name, std::move(shape), init);
}

std::vector<ResidualBlock> Tokenizer::register_blocks(const std::string& prefix, std::int64_t in,
                                                      std::int64_t out) {
    std::vector<ResidualBlock> blocks;
    for (std::int64_t i = 0; i < config_.num_res_blocks; ++i)
        blocks.emplace_back(parameters_, prefix + ".block." + std::to_string(i), i == 0 ? in : out, out,
                            config_.groups);
    return blocks;
}

std::vector<ResidualBlock> Tokenizer::register_mid(const std::string& prefix, std::int64_t channels) {
    std::vector<ResidualBlock> blocks;
    for (const char* name : {".block_1", ".block_2"})
        blocks.emplace_back(parameters_, prefix + name, channels, channels, config_.groups);
    return blocks;
}

void Tokenizer::register_encoder() {
    const std::int64_t ch = config_.ch, deepest = config_.channels(config_.levels() - 1);
    encoder_.conv_in = add("encoder.conv_in.weight", {ch, config_.in_channels, 3, 3}, Init::fan_in);
    for (std::size_t level = 0; level < config_.levels(); ++level)
        encoder_.levels.push_back(register_blocks("encoder.down." + std::to_string(level),
                                                  level == 0 ? ch : config_.channels(level - 1),
                                                  config_.channels(level)));
    encoder_.mid = register_mid("encoder.mid", deepest);
    encoder_.norm_weight = add("encoder.norm_out.weight", {deepest}, Init::ones);
    encoder_.norm_bias = add("encoder.norm_out.bias", {deepest}, Init::zeros);
    encoder_.conv_out_weight =
        add("encoder.conv_out.weight", {config_.z_channels, deepest, 1, 1}, Init::fan_in);
    encoder_.conv_out_bias = add("encoder.conv_out.bias", {config_.z_channels}, Init::zeros);
}

void Tokenizer::register_decoder() {
    const std::size_t levels = config_.levels();
    const std::int64_t deepest = config_.channels(levels - 1);
    decoder_.conv_in_weight =
        add("decoder.conv_in.weight", {deepest, config_.z_channels, 3, 3}, Init::fan_in);
    decoder_.conv_in_bias = add("decoder.conv_in.bias", {deepest}, Init::zeros);
    decoder_.mid = register_mid("decoder.mid", deepest);
    decoder_.levels.resize(levels);
    decoder_.upsample_weights.resize(levels);
    decoder_.upsample_biases.resize(levels);
    for (std::size_t level = levels; level-- > 0;) {
        const std::int64_t channels = config_.channels(level);
        const std::string prefix = "decoder.up." + std::to_string(level);
        decoder_.levels[level] =
            register_blocks(prefix, level + 1 == levels ? deepest : config_.channels(level + 1), channels);
        if (level == 0) continue;
        decoder_.upsample_weights[level] =
            add(prefix + ".upsample.conv.weight", {channels, channels, 3, 3}, Init::fan_in);
        decoder_.upsample_biases[level] = add(prefix + ".upsample.conv.bias", {channels}, Init::zeros);
    }
    const std::int64_t last = config_.channels(0);
    decoder_.norm_weight = add("decoder.norm_out.weight", {last}, Init::ones);
    decoder_.norm_bias = add("decoder.norm_out.bias", {last}, Init::zeros);
    decoder_.conv_out_weight = add("decoder.conv_out.weight", {config_.out_ch, last, 3, 3}, Init::fan_in);
    decoder_.conv_out_bias = add("decoder.conv_out.bias", {config_.out_ch}, Init::zeros);
}

MapSize Tokenizer::grid(MapSize picture, std::string_view source) const {
    const std::int64_t f = config_.downsampling();
    if (picture.height < f || picture.width < f || picture.height % f != 0 || picture.width % f != 0)
        fail(
            "{}: pictures of {}x{} pixels, expected sides divisible by {}, of which the tokenizer makes a "
            "token",
            source, picture.width, picture.height, f);
    return {picture.height / f, picture.width / f};
}

Tensor Tokenizer::encode(Tape& tape, const Tensor& pictures, MapSize size) const {
    const ProfileRange range("encoder");
    Tensor x = conv3x3(tape, pictures, size, *encoder_.conv_in, nullptr);
    for (std::size_t level = 0; level < config_.levels(); ++level) {
        x = through(tape, x, size, encoder_.levels[level]);
        if (level + 1 == config_.levels()) break;
        x = average_pool(tape, x, size);
        size = {size.height / 2, size.width / 2};
    }
    x = through(tape, x, size, encoder_.mid);
    x = norm_swish(tape, x, size, config_.groups, *encoder_.norm_weight, *encoder_.norm_bias);
    return linear(tape, x, *encoder_.conv_out_weight, encoder_.conv_out_bias);
}

Tensor Tokenizer::codes(Tape& tape, const Tensor& z) const {
    return nearest_code(tape, z, *codebook_);
}

Tensor Tokenizer::quantise(Tape& tape, const Tensor& z, const Tensor& codes, float scale,
                           const Tensor& total) const {
    return ::quantise(tape, z, codes, *codebook_, static_cast<float>(config_.beta), scale, total);
}

Tensor Tokenizer::entries(Tape& tape, const Tensor& codes) const {
    return embedding(tape, codes, *codebook_, config_.n_embed);
}

Tensor Tokenizer::decode_features(Tape& tape, const Tensor& entries, MapSize size) const {
    const ProfileRange range("decoder");
    Tensor x = conv3x3(tape, entries, size, *decoder_.conv_in_weight, decoder_.conv_in_bias);
    x = through(tape, x, size, decoder_.mid);
    for (std::size_t level = config_.levels(); level-- > 0;) {
        x = through(tape, x, size, decoder_.levels[level]);
        if (level == 0) break;
        x = upsample_nearest(tape, x, size);
        size = {size.height * 2, size.width * 2};
        x = conv3x3(tape, x, size, *decoder_.upsample_weights[level], decoder_.upsample_biases[level]);
    }
    return norm_swish(tape, x, size, config_.groups, *decoder_.norm_weight, *decoder_.norm_bias);
}

Tensor Tokenizer::to_pixels(Tape& tape, const Tensor& features, MapSize picture) const {
    return conv3x3(tape, features, picture, *decoder_.conv_out_weight, decoder_.conv_out_bias);
}

Tensor Tokenizer::decode(Tape& tape, const Tensor& entries, MapSize grid) const {
    const std::int64_t f = config_.downsampling();
    return to_pixels(tape, decode_features(tape, entries, grid), {grid.height * f, grid.width * f});
}
