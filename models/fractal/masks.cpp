#include "models/fractal/masks.h"

#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <string>

#include "runtime/tensor/random.h"

namespace {

// |z| for a standard normal z, given that it is at most 4.
double half_normal(PhiloxKey key, std::int64_t sequence_id, std::uint32_t step) {
    for (std::uint32_t attempt = 0;; ++attempt) {
        const double z = std::abs(random_normal(key, sequence_id, attempt, step));
        if (z <= 4) return z;
    }
}

void mask_first(std::span<std::uint8_t> mask, std::int64_t count, PhiloxKey key, std::int64_t sequence_id,
                std::uint32_t step) {
    std::vector<std::int32_t> order(mask.size());
    random_order(order, key, sequence_id, step);
    for (std::int64_t i = 0; i < count; ++i)
        mask[static_cast<std::size_t>(order[static_cast<std::size_t>(i)])] = 1;
}

std::string of_level(const char* purpose, std::size_t level) {
    return purpose + std::to_string(level);
}

// The random numbers of training's masks.
class TrainingDraw {
  public:
    TrainingDraw(const FractalConfig& config, std::uint64_t seed, std::uint32_t step) : step_(step) {
        for (std::size_t i = 0; i < config.generators(); ++i) {
            ratio_keys_.push_back(random_key(seed, of_level("mask ratio/", i)));
            order_keys_.push_back(random_key(seed, of_level("mask order/", i)));
        }
    }

    // How many of the L patches of a sequence are masked.
    std::int64_t count(std::size_t level, std::int64_t sequence_id, std::int64_t L) const {
        const double ratio = 1.0 - 0.25 * half_normal(ratio_keys_[level], sequence_id, step_);
        return std::max<std::int64_t>(1,
                                      static_cast<std::int64_t>(std::ceil(static_cast<double>(L) * ratio)));
    }

    void mask(std::size_t level, std::int64_t sequence_id, std::span<std::uint8_t> mask) const {
        mask_first(mask, count(level, sequence_id, static_cast<std::int64_t>(mask.size())),
                   order_keys_[level], sequence_id, step_);
    }

    // Ids of the next level's sequences for the sequences `sequence_ids` of a level.
    std::vector<std::int64_t> children(const FractalConfig& config, std::size_t level,
                                       const std::vector<std::int64_t>& sequence_ids) const {
        const std::int64_t L = config.tokens(level);
        std::vector<std::uint8_t> predicted(static_cast<std::size_t>(L), 1);
        std::vector<std::int64_t> next;
        for (const std::int64_t sequence_id : sequence_ids) {
            if (config.is_mar(level)) {
                std::ranges::fill(predicted, std::uint8_t{0});
                mask(level, sequence_id, predicted);
            }
            for (std::int64_t t = 0; t < L; ++t)
                if (predicted[static_cast<std::size_t>(t)] != 0) next.push_back(sequence_id * L + t);
        }
        return next;
    }

  private:
    std::vector<PhiloxKey> ratio_keys_, order_keys_;
    std::uint32_t step_;
};

}  // namespace

FractalMasks::FractalMasks(const FractalConfig& config, std::span<const std::int64_t> samples,
                           const Draw& draw) {
    std::vector<std::int64_t> sequence_ids(samples.begin(), samples.end());
    for (std::size_t i = 0; i < config.generators(); ++i) {
        const std::int64_t L = config.tokens(i);
        const auto count = static_cast<std::int64_t>(sequence_ids.size());
        LevelMasks& masks = levels_.emplace_back();
        masks.sequence_ids = std::move(sequence_ids);
        sequence_ids.clear();
        sequences_.push_back(count);
        const bool last = i + 1 == config.generators();
        if (!config.is_mar(i)) {
            if (last) sequences_.push_back(count * L);
            for (std::int64_t m = 0; m < count && !last; ++m)
                for (std::int64_t t = 0; t < L; ++t)
                    sequence_ids.push_back(masks.sequence_ids[static_cast<std::size_t>(m)] * L + t);
            continue;
        }
        masks.mask.resize(static_cast<std::size_t>(count * L));
        for (std::int64_t m = 0; m < count; ++m) {
            const std::span<std::uint8_t> mask(masks.mask.data() + m * L, static_cast<std::size_t>(L));
            const std::int64_t sequence_id = masks.sequence_ids[static_cast<std::size_t>(m)];
            draw(i, sequence_id, mask);
            masks.starts.push_back(static_cast<std::int64_t>(masks.selected.size()));
            for (std::int64_t t = 0; t < L; ++t) {
                if (mask[static_cast<std::size_t>(t)] == 0) continue;
                masks.selected.push_back(static_cast<std::int32_t>(m * L + t));
                if (!last) sequence_ids.push_back(sequence_id * L + t);
            }
            if (masks.starts.back() == static_cast<std::int64_t>(masks.selected.size()))
                throw std::logic_error("masks: a sequence without a masked patch");
        }
        masks.starts.push_back(static_cast<std::int64_t>(masks.selected.size()));
        if (last) sequences_.push_back(masks.starts.back());
    }
}

FractalMasks training_masks(const FractalConfig& config, std::span<const std::int64_t> samples,
                            std::uint64_t seed, std::uint32_t step) {
    const TrainingDraw draw(config, seed, step);
    return {config, samples, [&](std::size_t level, std::int64_t sequence_id, std::span<std::uint8_t> mask) {
                draw.mask(level, sequence_id, mask);
            }};
}

std::vector<std::int64_t> training_sequences(const FractalConfig& config,
                                             std::span<const std::int64_t> samples, std::uint64_t seed,
                                             std::uint32_t step) {
    const TrainingDraw draw(config, seed, step);
    std::size_t drawn =
        config.generators();  // levels up to the last MAR level, of which only the count is needed
    while (drawn > 0 && !config.is_mar(drawn - 1)) --drawn;
    std::vector<std::int64_t> sequence_ids(samples.begin(), samples.end()), sequences;
    auto count = static_cast<std::int64_t>(samples.size());
    for (std::size_t level = 0; level < config.generators(); ++level) {
        const std::int64_t L = config.tokens(level);
        sequences.push_back(count);
        if (level + 1 < drawn) {
            sequence_ids = draw.children(config, level, sequence_ids);
            count = static_cast<std::int64_t>(sequence_ids.size());
        } else if (level + 1 == drawn) {
            count = 0;
            for (const std::int64_t sequence_id : sequence_ids) count += draw.count(level, sequence_id, L);
        } else {
            count *= L;
        }
    }
    sequences.push_back(count);
    return sequences;
}

FractalMasks evaluation_masks(const FractalConfig& config, std::span<const std::int64_t> samples,
                              std::uint64_t seed, std::uint32_t pass, std::uint64_t batch) {
    std::vector<PhiloxKey> order_keys;
    std::vector<std::int64_t> counts;
    for (std::size_t i = 0; i < config.generators(); ++i) {
        const float uniform = random_uniform(random_key(seed, of_level("evaluation count/", i)), batch, pass);
        counts.push_back(1 + static_cast<std::int64_t>(uniform * static_cast<float>(config.tokens(i))));
        order_keys.push_back(random_key(seed, of_level("evaluation order/", i)));
    }
    return {config, samples, [&](std::size_t level, std::int64_t sequence_id, std::span<std::uint8_t> mask) {
                mask_first(mask, counts[level], order_keys[level], sequence_id, pass);
            }};
}
