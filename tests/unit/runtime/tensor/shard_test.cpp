#include "runtime/tensor/shard.h"

#include <doctest/doctest.h>

#include <numeric>
#include <vector>

TEST_CASE("shard: buckets cover a slab from its end, in parts of equal, aligned size") {
    for (const int ranks : {1, 2, 3, 8})
        for (const std::size_t bucket_floats :
             {std::size_t{0}, std::size_t{1}, std::size_t{100}, std::size_t{5000}}) {
            CAPTURE(ranks);
            CAPTURE(bucket_floats);
            const std::size_t unit = part_alignment * static_cast<std::size_t>(ranks), slab = 7 * unit;
            const auto buckets = cut_into_buckets(slab, bucket_floats, ranks);
            std::size_t end = slab;
            for (const Bucket& bucket : buckets) {
                CHECK(bucket.end == end);
                CHECK(bucket.begin < bucket.end);
                CHECK((bucket.end - bucket.begin) % unit == 0);
                end = bucket.begin;
            }
            CHECK(end == 0);
        }
    CHECK(cut_into_buckets(0, 16, 2).empty());
}

TEST_CASE("shard: the ranks' shards are the slab, each float once") {
    for (const int ranks : {1, 2, 3, 5}) {
        const std::size_t slab = part_alignment * static_cast<std::size_t>(ranks) * 5;
        const auto buckets = cut_into_buckets(slab, 70, ranks);
        std::vector<int> owners(slab);
        for (int rank = 0; rank < ranks; ++rank) {
            const Shard shard = shard_of(buckets, rank, ranks);
            CHECK(shard.floats == slab / static_cast<std::size_t>(ranks));
            std::size_t place = 0;
            for (const Piece& piece : shard.pieces) {
                CHECK(piece.place == place);
                place += piece.count;
                for (std::size_t i = 0; i < piece.count; ++i) ++owners[piece.offset + i];
            }
            CHECK(place == shard.floats);
        }
        CHECK(owners == std::vector<int>(slab, 1));
    }
}

TEST_CASE("shard: packing and unpacking are inverse, and segments find each parameter's elements") {
    constexpr int ranks = 3;
    Parameters parameters;
    parameters.add("a", {5, 7}, Init::zeros);
    parameters.add("b", {3}, Init::zeros);
    parameters.add("c", {2}, Init::zeros, true);
    parameters.add("d", {40, 10}, Init::zeros);
    const std::size_t before = parameters.slab_floats();
    parameters.pad_slab(part_alignment * ranks);
    CHECK(parameters.slab_floats() % (part_alignment * ranks) == 0);
    CHECK(parameters.slab_floats() - before < part_alignment * ranks);

    std::vector<float> slab(parameters.slab_floats()), again(slab.size(), -1.0f);
    std::iota(slab.begin(), slab.end(), 0.0f);
    std::vector<std::vector<int>> seen;
    for (const Parameter& parameter : parameters.all())
        seen.emplace_back(static_cast<std::size_t>(parameter.count));
    const auto buckets = cut_into_buckets(slab.size(), 100, ranks);
    for (int rank = 0; rank < ranks; ++rank) {
        const Shard shard = shard_of(buckets, rank, ranks);
        std::vector<float> packed(shard.floats);
        pack_shard(Device::cpu, {}, shard, packed.data(), slab.data());
        unpack_shard(Device::cpu, {}, shard, again.data(), packed.data());
        for (const Segment& segment : segments_of(parameters, shard))
            for (std::int64_t i = 0; i < segment.count; ++i) {
                const auto element = static_cast<std::size_t>(segment.begin + i);
                CHECK(packed[segment.place + static_cast<std::size_t>(i)] ==
                      slab[segment.parameter->offset + element]);
                for (std::size_t p = 0; p < seen.size(); ++p)
                    if (&parameters.all()[p] == segment.parameter) ++seen[p][element];
            }
    }
    CHECK(again == slab);
    for (const auto& elements : seen) CHECK(elements == std::vector<int>(elements.size(), 1));
}

TEST_CASE("shard: the whole slab has one segment for each parameter, at its offset") {
    Parameters parameters;
    parameters.add("a", {5, 7}, Init::zeros);
    parameters.add("b", {3}, Init::zeros);
    const auto segments = segments_of(parameters, whole_slab(parameters.slab_floats()));
    REQUIRE(segments.size() == 2);
    for (const Segment& segment : segments) {
        CHECK(segment.begin == 0);
        CHECK(segment.count == segment.parameter->count);
        CHECK(segment.place == segment.parameter->offset);
    }
}
