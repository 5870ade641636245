// Batches of images for training, in the order of sample_order.h.
#pragma once

#include <cstdint>
#include <vector>

#include "data/records/packed.h"
#include "data/records/prefetch.h"
#include "data/records/sample_order.h"

struct Batch {
    std::vector<std::uint8_t> pixels;  // [B, C, S, S]
    std::vector<std::int32_t> labels;  // [B], -1: no label
    std::int64_t position = 0;         // of its first sample
};

class Loader {
  public:
    // `position` and `stride` as in BatchSteps. The file must outlive the loader. Throws Error if batch < 1,
    // position < 0 or 0 < stride < batch.
    Loader(const PackedFile& file, std::int64_t batch, std::uint64_t seed, bool flip, std::int64_t position,
           std::int64_t stride = 0);

    // The next batch, valid until the next call. Rethrows the thread's exception (Error: the file changed its
    // length).
    const Batch& next() { return prefetcher_.next(); }

  private:
    void fill(Batch& batch);

    const PackedFile& file_;
    const bool flip_;
    BatchSteps steps_;  // these two are the thread's alone
    SampleOrder order_;
    Prefetcher<Batch> prefetcher_;  // last: its thread reads the others
};

// Records first .. first + count - 1 as they lie in the file, for validation. Throws Error if they are not
// all there.
void read_batch(const PackedFile& file, std::int64_t first, std::int64_t count, Batch& batch);
