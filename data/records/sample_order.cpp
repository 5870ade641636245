#include "data/records/sample_order.h"

#include <numeric>
#include <utility>

#include "kernels/common/philox.h"
#include "runtime/base/error.h"

namespace {

// The last word of the counter keeps the two uses of one seed apart.
constexpr std::uint32_t shuffle_purpose = 0x73687566, flip_purpose = 0x666c6970;

std::uint32_t low_word(std::uint64_t value) {
    return static_cast<std::uint32_t>(value);
}
std::uint32_t high_word(std::uint64_t value) {
    return static_cast<std::uint32_t>(value >> 32);
}

PhiloxKey key_of(std::uint64_t seed) {
    return {low_word(seed), high_word(seed)};
}

}  // namespace

void shuffle_epoch(std::uint64_t seed, std::int64_t epoch, std::vector<std::int32_t>& permutation) {
    std::iota(permutation.begin(), permutation.end(), 0);
    const auto number = static_cast<std::uint64_t>(epoch);
    for (std::size_t i = permutation.size(); i > 1; --i) {
        const PhiloxCounter counter = {low_word(i), low_word(number), high_word(number), shuffle_purpose};
        const auto words = philox(counter, key_of(seed));
        // A 64-bit fraction times i: no remainder is favoured by more than i / 2^64.
        const std::uint64_t fraction = std::uint64_t{words[0]} << 32 | words[1];
        const auto j = static_cast<std::size_t>(static_cast<unsigned __int128>(fraction) * i >> 64);
        std::swap(permutation[i - 1], permutation[j]);
    }
}

bool sample_is_flipped(std::uint64_t seed, std::int64_t sample) {
    const auto number = static_cast<std::uint64_t>(sample);
    return (philox({low_word(number), high_word(number), 0, flip_purpose}, key_of(seed))[0] & 1) != 0;
}

std::int64_t SampleOrder::record(std::int64_t sample) {
    const auto records = static_cast<std::int64_t>(permutation_.size());
    if (sample / records != epoch_) {
        epoch_ = sample / records;
        shuffle_epoch(seed_, epoch_, permutation_);
    }
    return permutation_[static_cast<std::size_t>(sample % records)];
}

BatchSteps::BatchSteps(std::int64_t batch_size, std::int64_t first, std::int64_t step)
    : batch(batch_size), position(first), stride(step == 0 ? batch_size : step) {
    if (batch < 1) fail("a batch of {} images, expected at least 1", batch);
    if (position < 0) fail("data position {}, expected at least 0", position);
    if (stride < batch) fail("batches of {} images every {} samples overlap", batch, stride);
}
