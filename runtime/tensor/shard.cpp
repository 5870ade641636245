#include "runtime/tensor/shard.h"

#include <algorithm>

std::vector<Bucket> cut_into_buckets(std::size_t slab_floats, std::size_t bucket_floats, int ranks) {
    const std::size_t alignment = part_alignment * static_cast<std::size_t>(ranks);
    const std::size_t size =
        std::max<std::size_t>(1, (bucket_floats + alignment - 1) / alignment) * alignment;
    std::vector<Bucket> buckets;
    for (std::size_t end = slab_floats; end > 0;) {
        const std::size_t begin = end > size ? end - size : 0;
        buckets.push_back({begin, end});
        end = begin;
    }
    return buckets;
}

Shard whole_slab(std::size_t slab_floats) {
    return {{{0, slab_floats, 0}}, slab_floats};
}

Shard shard_of(const std::vector<Bucket>& buckets, int rank, int ranks) {
    Shard shard;
    for (const Bucket& bucket : buckets) {
        const std::size_t count = (bucket.end - bucket.begin) / static_cast<std::size_t>(ranks);
        shard.pieces.push_back({bucket.begin + static_cast<std::size_t>(rank) * count, count, shard.floats});
        shard.floats += count;
    }
    return shard;
}

void pack_shard(Device device, Stream stream, const Shard& shard, float* packed, const float* slab) {
    for (const Piece& piece : shard.pieces) {
        copy_within_device(device, packed + piece.place, slab + piece.offset, piece.count * sizeof(float),
                           stream);
    }
}

void unpack_shard(Device device, Stream stream, const Shard& shard, float* slab, const float* packed) {
    for (const Piece& piece : shard.pieces) {
        copy_within_device(device, slab + piece.offset, packed + piece.place, piece.count * sizeof(float),
                           stream);
    }
}

std::vector<Segment> segments_of(const Parameters& parameters, const Shard& shard) {
    std::vector<Piece> pieces = shard.pieces;
    std::ranges::sort(pieces, {}, &Piece::offset);
    std::vector<Segment> segments;
    auto first = pieces.begin();
    for (const Parameter& parameter : parameters.all()) {
        const std::size_t end = parameter.offset + static_cast<std::size_t>(parameter.count);
        while (first != pieces.end() && first->offset + first->count <= parameter.offset) ++first;
        for (auto piece = first; piece != pieces.end() && piece->offset < end; ++piece) {
            const std::size_t from = std::max(piece->offset, parameter.offset),
                              to = std::min(piece->offset + piece->count, end);
            segments.push_back({&parameter, static_cast<std::int64_t>(from - parameter.offset),
                                static_cast<std::int64_t>(to - from), piece->place + from - piece->offset});
        }
    }
    return segments;
}
