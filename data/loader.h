// Batches for training, in an order that is a function of the seed alone.
//
// Samples are counted from 0 over the whole training. Sample n belongs to epoch n / count and takes place n %
// count of that epoch's permutation, a function of (seed, epoch); whether it is mirrored is one bit of a
// function of (seed, n). So a position, the number of the next sample, is all that a checkpoint needs to
// continue exactly.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

#include "data/packed.h"

struct Batch {
    std::vector<std::uint8_t> pixels;  // [B, C, S, S]
    std::vector<std::int32_t> labels;  // [B], -1: no label
    std::int64_t position = 0;         // of its first sample
};

// Fills `permutation` with 0 .. size-1 in the order of the epoch (Fisher and Yates; Durstenfeld's algorithm
// 235, 1964).
void shuffle_epoch(std::uint64_t seed, std::int64_t epoch, std::vector<std::int32_t>& permutation);

// Whether sample n of the training is mirrored left to right.
bool sample_is_flipped(std::uint64_t seed, std::int64_t sample);

// Gathers batches in a thread of its own, a few ahead of the training, into buffers that are used again.
class Loader {
  public:
    // `position`: of the first sample of the first batch. `stride`: from a batch's first sample to the next
    // batch's, 0 for `batch`: of R ranks, rank r takes position + r * batch and stride R * batch. The file
    // must outlive the loader. Throws Error if batch < 1, position < 0 or 0 < stride < batch.
    Loader(const PackedFile& file, std::int64_t batch, std::uint64_t seed, bool flip, std::int64_t position,
           std::int64_t stride = 0);
    ~Loader();
    Loader(const Loader&) = delete;
    Loader& operator=(const Loader&) = delete;

    // The next batch, valid until the next call. Throws what went wrong in the thread (Error: the file
    // changed its length).
    const Batch& next();

  private:
    static constexpr std::size_t depth =
        4;  // batches: one in the caller's hands, the others ready or being filled

    void run();
    void fill(Batch& batch);

    const PackedFile& file_;
    const std::int64_t batch_, stride_;
    const std::uint64_t seed_;
    const bool flip_;

    // The thread's alone.
    std::int64_t position_, epoch_ = -1;
    std::vector<std::int32_t> permutation_;  // of epoch_

    std::mutex mutex_;
    std::condition_variable changed_;
    Batch batches_[depth];                 // batch k lies in batches_[k % depth]
    std::size_t filled_ = 0, handed_ = 0;  // batches so far
    bool stopping_ = false;
    std::exception_ptr failure_;

    std::thread thread_;  // last, so that it starts when everything else stands
};

// Records first .. first + count - 1 as they lie in the file, for validation. Throws Error if they are not
// all there.
void read_batch(const PackedFile& file, std::int64_t first, std::int64_t count, Batch& batch);
