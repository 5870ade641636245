#include "models/fractal/patch_order.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <numeric>

#include "runtime/ops/ops.h"
#include "runtime/tensor/random.h"

namespace {

// Patches still hidden after each of min(K, iterations) steps, of K at first.
std::vector<std::int64_t> cosine_schedule(std::int64_t K, std::int64_t iterations) {
    const std::int64_t steps = std::min(K, iterations);
    std::vector<std::int64_t> hidden;
    std::int64_t current = K;
    for (std::int64_t s = 0; s + 1 < steps; ++s) {
        const double angle = std::numbers::pi / 2 * static_cast<double>(s + 1) / static_cast<double>(steps);
        const auto count = static_cast<std::int64_t>(std::floor(static_cast<double>(K) * std::cos(angle)));
        current = std::max<std::int64_t>(1, std::min(current - 1, count));
        hidden.push_back(current);
    }
    if (steps > 0) hidden.push_back(0);
    return hidden;
}

// The most patches that one step draws, whatever part of the L is hidden.
std::int64_t largest_cosine_step(std::int64_t L, std::int64_t iterations) {
    std::int64_t largest = 1;
    for (std::int64_t K = 1; K <= L; ++K) {
        std::int64_t before = K;
        for (const std::int64_t after : cosine_schedule(K, iterations)) {
            largest = std::max(largest, before - after);
            before = after;
        }
    }
    return largest;
}

}  // namespace

PatchOrder::PatchOrder(Tape& tape, const FractalConfig& config, std::size_t level, const EditTask* task,
                       const SampledImages& images, const OrderRule& rule)
    : tape_(tape),
      images_(images),
      random_(config.is_mar(level)),
      on_host_(task != nullptr),
      M_(images.count),
      L_(config.tokens(level)),
      iterations_(rule.iterations),
      steps_(random_ ? std::min(L_, rule.iterations) : L_),
      largest_step_(most_drawn(config, level, rule.iterations)),
      ranks_{tape.create(M_, L_, false, Element::i32), tape.create(M_, 1, false, Element::i32)} {
    if (on_host_) {
        hidden_ = hidden_patches(config, level, *task, images.origins);
        order_on_host(rule);
    } else if (!random_) {
        raster_ranks(tape_, ranks_);
    } else if (rule.recorded.empty()) {
        random_ranks(tape_, ranks_, images_.sequence_ids, rule.device_key);
    } else {
        raster_ranks(tape_, ranks_);
        std::vector<std::int32_t> ranks(rule.recorded.size());
        for (std::size_t i = 0; i < ranks.size(); ++i) {
            const auto L = static_cast<std::size_t>(L_);
            ranks[i / L * L + static_cast<std::size_t>(rule.recorded[i])] = static_cast<std::int32_t>(i % L);
        }
        copy_to_tensor(tape_, ranks_.ranks, ranks.data(), ranks.size() * sizeof(std::int32_t));
    }
}

std::int64_t PatchOrder::most_drawn(const FractalConfig& config, std::size_t level, std::int64_t iterations) {
    return config.is_mar(level) ? largest_cosine_step(config.tokens(level), iterations) : 1;
}

void PatchOrder::order_on_host(const OrderRule& rule) {
    const auto L = static_cast<std::size_t>(L_);
    steps_ = random_ ? 0 : L_;
    std::vector<std::int32_t> all(L);
    for (std::size_t m = 0; m < static_cast<std::size_t>(M_); ++m) {
        if (!random_)
            std::iota(all.rbegin(), all.rend(), 0);
        else if (rule.recorded.empty())
            random_order(all, rule.key, images_.host_sequence_ids[m], 0);
        else
            std::copy_n(rule.recorded.begin() + static_cast<std::ptrdiff_t>(m * L), L, all.begin());
        std::vector<std::int32_t>& order = orders_.emplace_back();
        std::ranges::copy_if(all, std::back_inserter(order), [&](std::int32_t t) {
            return hidden_[m * L + static_cast<std::size_t>(t)] != 0;
        });
        totals_.push_back(static_cast<std::int64_t>(order.size()));
        if (random_) steps_ = std::max(steps_, std::min(totals_.back(), iterations_));
    }
}

std::int64_t PatchOrder::hidden_after(std::int64_t total, std::int64_t s) const {
    if (!random_) return total - 1 - s;
    const std::vector<std::int64_t> schedule = cosine_schedule(total, iterations_);
    return s < static_cast<std::int64_t>(schedule.size()) ? schedule[static_cast<std::size_t>(s)] : 0;
}

std::vector<float> PatchOrder::shown() const {
    const std::int64_t total = on_host_ && random_ ? totals_[0] : L_;
    std::vector<float> parts;
    for (std::int64_t s = 0; s < steps_; ++s) {
        const std::int64_t hidden = std::max<std::int64_t>(hidden_after(total, s), random_ ? 1 : 0);
        parts.push_back(static_cast<float>(L_ - hidden) / static_cast<float>(L_));
    }
    return parts;
}

ChosenPatches PatchOrder::next(std::int64_t s, std::int64_t halves, std::int64_t chunk) {
    steps_done_ = s + 1;
    if (on_host_) return next_on_host(s, halves, chunk);
    return {next_patches(tape_, ranks_, images_.sequence_ids, tape_.planning() ? largest_step_ : drawn_by(s),
                         halves, chunk, random_),
            {},
            {}};
}

ChosenPatches PatchOrder::next_on_host(std::int64_t s, std::int64_t halves, std::int64_t chunk) {
    const std::vector<std::uint8_t> before = hidden_;
    ChosenPatches chosen;
    for (std::int64_t m = 0; m < M_; ++m) {
        std::vector<std::int32_t>& order = orders_[static_cast<std::size_t>(m)];
        auto kept = static_cast<std::int64_t>(order.size());
        if (random_)
            kept = std::min(kept, hidden_after(totals_[static_cast<std::size_t>(m)], s));
        else if (kept > 0 && order.back() == s)
            --kept;
        for (std::int64_t i = kept; i < static_cast<std::int64_t>(order.size()); ++i)
            chosen.host_index.push_back(
                static_cast<std::int32_t>(m * L_ + order[static_cast<std::size_t>(i)]));
        order.resize(static_cast<std::size_t>(kept));
    }
    std::ranges::sort(chosen.host_index);
    const auto count = static_cast<std::int64_t>(chosen.host_index.size());
    std::vector<std::int32_t> patches(static_cast<std::size_t>(halves * count)), parents(patches.size());
    for (std::int64_t child = 0; child < count; ++child) {
        const std::int32_t index = chosen.host_index[static_cast<std::size_t>(child)];
        hidden_[static_cast<std::size_t>(index)] = 0;
        chosen.host_sequence_ids.push_back(
            images_.host_sequence_ids[static_cast<std::size_t>(index / L_)] * L_ + index % L_);
        for (std::int64_t half = 0; half < halves; ++half) {
            const auto row = static_cast<std::size_t>(child_row_place(child, half, count, chunk, halves));
            patches[row] = static_cast<std::int32_t>(half * M_ * L_ + index);
            parents[row] = static_cast<std::int32_t>(half * M_ + index / L_);
        }
    }
    static_cast<NextPatches&>(chosen) = create_next_patches(tape_, ranks_, count, halves, random_);
    if (random_)
        for (std::int64_t half = 0; half < halves; ++half)
            copy_to_tensor(tape_, tape_.slice(chosen.mask, half * M_, M_), before.data(), before.size());
    const auto copy = [&](const Tensor& to, const auto& from) {
        copy_to_tensor(tape_, to, from.data(), from.size() * sizeof from[0]);
    };
    copy(chosen.sequence_ids, chosen.host_sequence_ids);
    copy(chosen.rows.patches, patches);
    copy(chosen.rows.parents, parents);
    return chosen;
}

std::vector<std::uint8_t> PatchOrder::hidden() const {
    if (on_host_) return hidden_;
    const std::int64_t left = steps_done_ == 0 ? L_ : hidden_after(L_, steps_done_ - 1);
    std::vector<std::int32_t> ranks(static_cast<std::size_t>(M_ * L_));
    copy_from_tensor(tape_, ranks.data(), ranks_.ranks, ranks.size() * sizeof(std::int32_t));
    std::vector<std::uint8_t> hidden;
    for (const std::int32_t rank : ranks) hidden.push_back(rank < left ? 1 : 0);
    return hidden;
}
