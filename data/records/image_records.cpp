#include "data/records/image_records.h"

#include <span>

namespace {

ImageBatch view_of(const Batch& batch) {
    return {std::span<const std::uint8_t>(batch.pixels), batch.labels, batch.position};
}

ImageBatch view_of(const TokenBatch& batch) {
    return {std::span<const std::int32_t>(batch.tokens), batch.labels, batch.position};
}

}  // namespace

ImageRecords::ImageRecords(const std::string& packed, const std::string& tokens) {
    if (tokens.empty())
        packed_.emplace(packed);
    else
        tokens_.emplace(tokens);
}

ImageLoader::ImageLoader(const ImageRecords& records, std::int64_t batch, std::uint64_t seed, bool flip,
                         std::int64_t position, std::int64_t stride) {
    if (records.packed() != nullptr)
        pixels_.emplace(*records.packed(), batch, seed, flip, position, stride);
    else
        tokens_.emplace(*records.tokens(), batch, seed, flip, position, stride);
}

ImageBatch ImageLoader::next() {
    return pixels_ ? view_of(pixels_->next()) : view_of(tokens_->next());
}

ImageBatch ImageReader::read(std::int64_t first, std::int64_t count) {
    if (records_.packed() != nullptr) {
        read_batch(*records_.packed(), first, count, pixels_);
        return view_of(pixels_);
    }
    read_batch(*records_.tokens(), first, count, tokens_);
    return view_of(tokens_);
}
