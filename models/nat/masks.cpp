#include "models/nat/masks.h"

#include <algorithm>
#include <cmath>

#include "runtime/tensor/random.h"

namespace {

std::int64_t hidden_of(const NatConfig& config, const MaskRule& rule, PhiloxKey key, std::int64_t sample,
                       std::uint32_t step) {
    const auto N = static_cast<double>(config.tokens());
    const double count = std::nearbyint(N * random_beta(key, rule.alpha, rule.beta, sample, step));
    return std::max<std::int64_t>(1, static_cast<std::int64_t>(count));
}

PhiloxKey ratio_key(std::uint64_t seed) {
    return random_key(seed, "token mask ratio");
}

}  // namespace

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

std::vector<std::int32_t> draw_contexts(const NatConfig& config, std::span<const std::int32_t> labels,
                                        std::span<const std::int64_t> samples, float drop, std::uint64_t seed,
                                        std::uint32_t step) {
    const PhiloxKey key = random_key(seed, "label drop");
    std::vector<std::int32_t> contexts;
    for (std::size_t i = 0; i < labels.size(); ++i) {
        const bool dropped =
            labels[i] < 0 || random_uniform(key, static_cast<std::uint64_t>(samples[i]), step) < drop;
        contexts.push_back(dropped ? config.no_class() : labels[i]);
    }
    return contexts;
}
