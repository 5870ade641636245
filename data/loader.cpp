#include "data/loader.h"

#include <algorithm>
#include <cstring>
#include <numeric>

#include "kernels/philox.h"
#include "runtime/error.h"

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

void copy_mirrored(const std::uint8_t* source, std::int64_t rows, std::int64_t width,
                   std::uint8_t* destination) {
    for (std::int64_t row = 0; row < rows; ++row)
        std::reverse_copy(source + row * width, source + (row + 1) * width, destination + row * width);
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

Loader::Loader(const PackedFile& file, std::int64_t batch, std::uint64_t seed, bool flip,
               std::int64_t position, std::int64_t stride)
    : file_(file),
      batch_(batch),
      stride_(stride == 0 ? batch : stride),
      seed_(seed),
      flip_(flip),
      position_(position) {
    if (batch < 1) fail("a batch of {} images, expected at least 1", batch);
    if (position < 0) fail("data position {}, expected at least 0", position);
    if (stride_ < batch_) fail("batches of {} images every {} samples overlap", batch_, stride_);
    permutation_.resize(static_cast<std::size_t>(file.count()));
    for (Batch& buffer : batches_) {
        buffer.pixels.resize(static_cast<std::size_t>(batch * file.record_bytes()));
        buffer.labels.resize(static_cast<std::size_t>(batch));
    }
    thread_ = std::thread(&Loader::run, this);
}

Loader::~Loader() {
    {
        const std::lock_guard lock(mutex_);
        stopping_ = true;
    }
    changed_.notify_all();
    thread_.join();
}

const Batch& Loader::next() {
    std::unique_lock lock(mutex_);
    ++handed_;
    changed_.notify_all();
    changed_.wait(lock, [&] { return filled_ >= handed_ || failure_; });
    if (filled_ < handed_) std::rethrow_exception(failure_);
    return batches_[(handed_ - 1) % depth];
}

void Loader::run() {
    try {
        while (true) {
            Batch* batch;
            {
                std::unique_lock lock(mutex_);
                // The caller reads batch handed_ - 1, so batch number filled_ may not reach its place yet.
                const auto place_is_free = [&] {
                    return filled_ + 1 < std::max<std::size_t>(handed_, 1) + depth;
                };
                changed_.wait(lock, [&] { return stopping_ || place_is_free(); });
                if (stopping_) return;
                batch = &batches_[filled_ % depth];
            }
            fill(*batch);
            {
                const std::lock_guard lock(mutex_);
                ++filled_;
            }
            changed_.notify_all();
        }
    } catch (...) {
        const std::lock_guard lock(mutex_);
        failure_ = std::current_exception();
        changed_.notify_all();
    }
}

void Loader::fill(Batch& batch) {
    file_.check_length();
    batch.position = position_;
    const std::int64_t record_bytes = file_.record_bytes();
    for (std::int64_t i = 0; i < batch_; ++i) {
        const std::int64_t sample = position_ + i, epoch = sample / file_.count();
        if (epoch != epoch_) {
            shuffle_epoch(seed_, epoch, permutation_);
            epoch_ = epoch;
        }
        const std::int64_t record = permutation_[static_cast<std::size_t>(sample % file_.count())];
        std::uint8_t* destination = batch.pixels.data() + i * record_bytes;
        if (flip_ && sample_is_flipped(seed_, sample))
            copy_mirrored(file_.pixels(record), std::int64_t{file_.channels()} * file_.size(), file_.size(),
                          destination);
        else
            std::memcpy(destination, file_.pixels(record), static_cast<std::size_t>(record_bytes));
        batch.labels[static_cast<std::size_t>(i)] = file_.label(record);
    }
    position_ += stride_;
}

void read_batch(const PackedFile& file, std::int64_t first, std::int64_t count, Batch& batch) {
    if (first < 0 || count < 0 || count > file.count() || first > file.count() - count)
        fail("{}: records {} to {} were asked for, it has {}", file.path().string(), first, first + count - 1,
             file.count());
    file.check_length();
    batch.position = first;
    batch.pixels.assign(file.pixels(first), file.pixels(first) + count * file.record_bytes());
    batch.labels.resize(static_cast<std::size_t>(count));
    for (std::int64_t i = 0; i < count; ++i)
        batch.labels[static_cast<std::size_t>(i)] = file.label(first + i);
}
