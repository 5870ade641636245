// Order of a training run's records, as a function of the seed alone.
//
// Samples are counted from 0 over the whole training. Sample n belongs to epoch n / count and is element n %
// count of that epoch's permutation, a function of (seed, epoch); whether it is mirrored is one bit of a
// function of (seed, n). So a position, the number of the next sample, is all that a checkpoint needs to
// continue exactly.
#pragma once

#include <cstdint>
#include <vector>

// Fills `permutation` with 0 .. size-1 in the order of the epoch (Fisher and Yates; Durstenfeld's algorithm
// 235, 1964).
void shuffle_epoch(std::uint64_t seed, std::int64_t epoch, std::vector<std::int32_t>& permutation);

// Whether sample n of the training is mirrored left to right.
bool sample_is_flipped(std::uint64_t seed, std::int64_t sample);

// The records of samples, for sequential access. Not thread-safe.
class SampleOrder {
  public:
    SampleOrder(std::uint64_t seed, std::int64_t records)
        : seed_(seed), permutation_(static_cast<std::size_t>(records)) {}

    std::int64_t record(std::int64_t sample);
    bool flipped(std::int64_t sample) const { return sample_is_flipped(seed_, sample); }

  private:
    std::uint64_t seed_;
    std::int64_t epoch_ = -1;
    std::vector<std::int32_t> permutation_;  // of epoch_
};

// Positions of a loader's batches: its first, and the stride between the first samples of consecutive
// batches. Of R ranks, rank r takes position + r * batch and stride R * batch.
struct BatchSteps {
    // `stride` 0 means `batch`. Throws Error if batch < 1, position < 0 or 0 < stride < batch.
    BatchSteps(std::int64_t batch, std::int64_t position, std::int64_t stride);

    std::int64_t batch, position, stride;
};
