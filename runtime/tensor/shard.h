// Partition of a slab's floats (all parameters, for instance) among ranks.
//
// A slab is divided into buckets, the units in which gradients are summed, and each bucket into equal parts,
// one per rank. A rank's parts of all buckets, concatenated, are its shard of the slab. So every bucket
// occupies all ranks as soon as it is ready.
#pragma once

#include <cstddef>
#include <vector>

#include "kernels/common/stream.h"
#include "runtime/tensor/parameters.h"

// Floats [begin, end) of a slab.
struct Bucket {
    std::size_t begin = 0, end = 0;
};

// Slabs are padded to a multiple of this times the number of ranks, so that every part is aligned to 64
// bytes.
inline constexpr std::size_t part_alignment = 16;

// Buckets of `bucket_floats` (rounded up to the alignment), from the slab's end to its begin: backward
// finishes the gradients in about this order. `slab_floats` is padded as above.
std::vector<Bucket> cut_into_buckets(std::size_t slab_floats, std::size_t bucket_floats, int ranks);

// Floats [offset, offset + count) of the slab lie at `place` of the shard.
struct Piece {
    std::size_t offset = 0, count = 0, place = 0;
};

struct Shard {
    std::vector<Piece> pieces;  // in the order of buckets
    std::size_t floats = 0;
};

Shard whole_slab(std::size_t slab_floats);
Shard shard_of(const std::vector<Bucket>& buckets, int rank, int ranks);

// packed = the shard's part of the slab, and back. Both in the device's memory.
void pack_shard(Device device, Stream stream, const Shard& shard, float* packed, const float* slab);
void unpack_shard(Device device, Stream stream, const Shard& shard, float* slab, const float* packed);

// Elements [begin, begin + count) of a parameter, which lie at `place` of a shard.
struct Segment {
    const Parameter* parameter = nullptr;
    std::int64_t begin = 0, count = 0;
    std::size_t place = 0;
};

// The segments of each parameter in a shard, in the parameters' order.
std::vector<Segment> segments_of(const Parameters& parameters, const Shard& shard);
