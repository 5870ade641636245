#include "models/nat/cost.h"

double pass_multiply_adds(const NatConfig& config) {
    const auto D = static_cast<double>(config.embed_dim), T = static_cast<double>(config.sequence()),
               N = static_cast<double>(config.tokens()), K = static_cast<double>(config.codebook_size),
               ratio = static_cast<double>(config.mlp_ratio), depth = static_cast<double>(config.depth);
    const double blocks = (depth + 1) * (T * (4 + 2 * ratio) * D * D + 2 * T * T * D);
    const double skips = config.skip ? depth / 2 * T * 2 * D * D : 0;
    const double patches = config.patch_size > 1 ? N * D * D : 0;
    return blocks + skips + N * D * D + N * K * D + patches;
}

namespace {

double conv3x3(double pixels, std::int64_t in, std::int64_t out) {
    return pixels * 9 * static_cast<double>(in * out);
}

double residual(double pixels, std::int64_t in, std::int64_t out) {
    const double shortcut = in == out ? 0 : pixels * static_cast<double>(out * out);
    return conv3x3(pixels, in, out) + conv3x3(pixels, out, out) + shortcut;
}

}  // namespace

double decoder_multiply_adds(const TokenizerConfig& config, std::int64_t side) {
    auto pixels = static_cast<double>(side * side);
    std::int64_t channels = config.channels(config.levels() - 1);
    double sum = conv3x3(pixels, config.z_channels, channels) + 2 * residual(pixels, channels, channels);
    for (std::size_t level = config.levels(); level-- > 0;) {
        for (std::int64_t block = 0; block < config.num_res_blocks; ++block) {
            sum += residual(pixels, channels, config.channels(level));
            channels = config.channels(level);
        }
        if (level == 0) break;
        pixels *= 4;
        sum += conv3x3(pixels, channels, channels);
    }
    return sum + conv3x3(pixels, channels, config.out_ch);
}

double encoder_multiply_adds(const TokenizerConfig& config, std::int64_t side) {
    const auto f = static_cast<double>(config.downsampling());
    double pixels = static_cast<double>(side * side) * f * f;
    std::int64_t channels = config.ch;
    double sum = conv3x3(pixels, config.in_channels, channels);
    for (std::size_t level = 0; level < config.levels(); ++level) {
        if (level > 0) pixels /= 4;
        for (std::int64_t block = 0; block < config.num_res_blocks; ++block) {
            sum += residual(pixels, channels, config.channels(level));
            channels = config.channels(level);
        }
    }
    return sum + 2 * residual(pixels, channels, channels) +
           pixels * static_cast<double>(channels * config.z_channels);
}

GenerationCost generation_cost(const NatConfig& config, const TokenizerConfig& tokenizer) {
    return {pass_multiply_adds(config), decoder_multiply_adds(tokenizer, config.img_size)};
}
