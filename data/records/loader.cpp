#include "data/records/loader.h"

#include <cstring>

#include "runtime/base/error.h"

Loader::Loader(const PackedFile& file, std::int64_t batch, std::uint64_t seed, bool flip,
               std::int64_t position, std::int64_t stride)
    : file_(file),
      flip_(flip),
      steps_(batch, position, stride),
      order_(seed, file.count()),
      prefetcher_([this](Batch& next) { fill(next); }) {}

void Loader::fill(Batch& batch) {
    file_.check_length();
    batch.position = steps_.position;
    const std::int64_t record_bytes = file_.record_bytes();
    batch.pixels.resize(static_cast<std::size_t>(steps_.batch * record_bytes));
    batch.labels.resize(static_cast<std::size_t>(steps_.batch));
    for (std::int64_t i = 0; i < steps_.batch; ++i) {
        const std::int64_t sample = steps_.position + i, record = order_.record(sample);
        std::uint8_t* destination = batch.pixels.data() + i * record_bytes;
        if (flip_ && order_.flipped(sample))
            file_.read_mirrored(record, destination);
        else
            std::memcpy(destination, file_.pixels(record), static_cast<std::size_t>(record_bytes));
        batch.labels[static_cast<std::size_t>(i)] = file_.label(record);
    }
    steps_.position += steps_.stride;
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
