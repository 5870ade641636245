#include "models/nat/cost.h"

double pass_multiply_adds(const NatConfig& config) {
    const auto D = static_cast<double>(config.embed_dim), P = static_cast<double>(config.patches()),
               N = static_cast<double>(config.tokens()), K = static_cast<double>(config.codebook_size),
               ratio = static_cast<double>(config.mlp_ratio), depth = static_cast<double>(config.depth);
    const double T = 1 + P, blocks = (depth + 1) * (T * (4 + 2 * ratio) * D * D + 2 * T * T * D);
    const double skips = config.skip ? depth / 2 * T * 2 * D * D : 0;
    const double patches = config.patch_size > 1 ? N * D * D : 0;
    return blocks + skips + N * D * D + N * K * D + patches;
}

double decoder_multiply_adds(const TokenizerConfig& config, std::int64_t side) {
    auto pixels = static_cast<double>(side * side);
    const auto conv3x3 = [&pixels](std::int64_t in, std::int64_t out) {
        return pixels * 9 * static_cast<double>(in * out);
    };
    const auto residual = [&](std::int64_t in, std::int64_t out) {
        const double shortcut = in == out ? 0 : pixels * static_cast<double>(out * out);
        return conv3x3(in, out) + conv3x3(out, out) + shortcut;
    };
    std::int64_t channels = config.channels(config.levels() - 1);
    double sum = conv3x3(config.z_channels, channels) + 2 * residual(channels, channels);
    for (std::size_t level = config.levels(); level-- > 0;) {
        for (std::int64_t block = 0; block < config.num_res_blocks; ++block) {
            sum += residual(channels, config.channels(level));
            channels = config.channels(level);
        }
        if (level == 0) break;
        pixels *= 4;
        sum += conv3x3(channels, channels);
    }
    return sum + conv3x3(channels, config.out_ch);
}

GenerationCost generation_cost(const NatConfig& config, const TokenizerConfig& tokenizer) {
    return {pass_multiply_adds(config), decoder_multiply_adds(tokenizer, config.img_size)};
}
