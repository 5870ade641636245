#include "models/nat/codebook_revival.h"

#include <algorithm>

#include "runtime/device/device.h"
#include "runtime/tensor/random.h"

CodebookRevival::CodebookRevival(std::int64_t entries, std::int64_t patience, std::uint64_t seed)
    : last_used_(static_cast<std::size_t>(entries), -1.0f), patience_(patience), seed_(seed) {}

void CodebookRevival::keep_places() {
    placed_ = true;
    std::ranges::fill(last_used_, 0.0f);
}

void CodebookRevival::note(std::span<const std::int32_t> codes, std::int64_t step) {
    for (const std::int32_t code : codes)
        last_used_[static_cast<std::size_t>(code)] = static_cast<float>(step);
}

bool CodebookRevival::dead(std::size_t entry, std::int64_t step) const {
    const auto last = static_cast<std::int64_t>(last_used_[entry]);
    return (step == 0 && !placed_) || last < 0 || step - last >= patience_;
}

bool CodebookRevival::needed(std::int64_t step) const {
    for (std::size_t entry = 0; entry < last_used_.size(); ++entry)
        if (dead(entry, step)) return true;
    return false;
}

void CodebookRevival::revive(const Tokenizer& tokenizer, std::span<const float> vectors, std::int64_t step) {
    const Parameter& codebook = tokenizer.codebook();
    const auto width = static_cast<std::size_t>(codebook.shape[1]), count = vectors.size() / width;
    std::vector<std::int32_t> order(count);
    random_order(order, random_key(seed_, "codebook revival"), 0, static_cast<std::uint32_t>(step));
    std::size_t next = 0;
    for (std::size_t entry = 0; entry < last_used_.size(); ++entry) {
        if (!dead(entry, step)) continue;
        const auto vector = static_cast<std::size_t>(order[next++ % count]);
        copy_to_device(tokenizer.backend().device, codebook.value + entry * width,
                       vectors.data() + vector * width, width * sizeof(float),
                       main_stream(tokenizer.backend().device));
        last_used_[entry] = static_cast<float>(step);
    }
}
