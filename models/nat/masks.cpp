#include "models/nat/masks.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "runtime/tensor/random.h"

namespace {

std::int64_t hidden_of(const NatConfig& config, const MaskRule& rule, PhiloxKey key, std::int64_t sample,
                       std::uint32_t step) {
    return masked_tokens(
        config, rule.cosine ? cosine_ratio(random_uniform(key, static_cast<std::uint64_t>(sample), step))
                            : random_beta(key, rule.alpha, rule.beta, sample, step));
}

PhiloxKey ratio_key(std::uint64_t seed) {
    return random_key(seed, "token mask ratio");
}

}  // namespace

std::int64_t masked_tokens(const NatConfig& config, double ratio) {
    const double count = std::nearbyint(static_cast<double>(config.tokens()) * ratio);
    return std::max<std::int64_t>(1, static_cast<std::int64_t>(count));
}

double cosine_ratio(double u) {
    return std::cos(std::numbers::pi / 2 * u);
}

NatMasks draw_masks(const NatConfig& config, const MaskRule& rule, std::span<const std::int64_t> samples,
                    std::uint64_t seed, std::uint32_t step) {
    const std::int64_t N = config.tokens();
    const PhiloxKey ratios = ratio_key(seed), places = random_key(seed, "token mask places");
    NatMasks masks;
    masks.mask.resize(samples.size() * static_cast<std::size_t>(N));
    std::vector<std::int32_t> order(static_cast<std::size_t>(N));
    for (std::size_t m = 0; m < samples.size(); ++m) {
        const std::int64_t count = hidden_of(config, rule, ratios, samples[m], step);
        random_order(order, places, samples[m], step);
        std::uint8_t* const mask = masks.mask.data() + static_cast<std::int64_t>(m) * N;
        for (std::int64_t i = 0; i < count; ++i) mask[order[static_cast<std::size_t>(i)]] = 1;
        masks.hidden += count;
    }
    return masks;
}

std::int64_t count_hidden(const NatConfig& config, const MaskRule& rule,
                          std::span<const std::int64_t> samples, std::uint64_t seed, std::uint32_t step) {
    std::int64_t hidden = 0;
    for (const std::int64_t sample : samples)
        hidden += hidden_of(config, rule, ratio_key(seed), sample, step);
    return hidden;
}

bool drops_condition(const ConditionDraw& draw, std::int64_t sample) {
    return random_uniform(random_key(draw.seed, "label drop"), static_cast<std::uint64_t>(sample),
                          draw.step) < draw.drop;
}

std::int64_t drawn_caption(const ConditionDraw& draw, std::int64_t sample, std::int64_t count) {
    const float u =
        random_uniform(random_key(draw.seed, "caption"), static_cast<std::uint64_t>(sample), draw.step);
    return std::min(count - 1, static_cast<std::int64_t>(u * static_cast<float>(count)));
}

std::vector<std::int32_t> draw_contexts(const NatConfig& config, std::span<const std::int32_t> labels,
                                        std::span<const std::int64_t> samples, const ConditionDraw& draw) {
    std::vector<std::int32_t> contexts;
    for (std::size_t i = 0; i < labels.size(); ++i) {
        const bool dropped = labels[i] < 0 || drops_condition(draw, samples[i]);
        contexts.push_back(dropped ? config.no_class() : labels[i]);
    }
    return contexts;
}
