#include "data/records/loader.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <set>

#include "runtime/base/error.h"
#include "tests/unit/temporary_folder.h"

namespace {

// Grey pictures of 2 x 2 pixels that encode their number and orientation: [number, 100 + number / 2; 0, 1].
struct Numbered {
    explicit Numbered(int count) {
        PackedWriter writer(folder / "numbers.bin", 2, 1, {"even", "odd"});
        for (int i = 0; i < count; ++i) {
            const std::uint8_t pixels[4] = {static_cast<std::uint8_t>(i),
                                            static_cast<std::uint8_t>(100 + i / 2), 0, 1};
            writer.add(pixels, i % 2);
        }
        writer.commit();
    }

    TemporaryFolder folder;
    PackedFile open() const { return PackedFile(folder / "numbers.bin"); }
};

struct Sample {
    int number, label;
    bool flipped;
    auto operator<=>(const Sample&) const = default;
};

std::vector<Sample> samples(const Batch& batch) {
    std::vector<Sample> result;
    for (std::size_t i = 0; i < batch.labels.size(); ++i) {
        const std::uint8_t* p = batch.pixels.data() + 4 * i;
        const bool flipped = p[2] == 1;
        const int number = flipped ? p[1] : p[0];
        CHECK((flipped ? p[0] : p[1]) == 100 + number / 2);
        CHECK(p[3] == (flipped ? 0 : 1));
        result.push_back({number, batch.labels[i], flipped});
    }
    return result;
}

std::vector<Sample> load(const PackedFile& file, std::int64_t batch, bool flip, std::int64_t position,
                         int batches) {
    Loader loader(file, batch, 7, flip, position);
    std::vector<Sample> result;
    for (int i = 0; i < batches; ++i) {
        const Batch& next = loader.next();
        CHECK(next.position == position + i * batch);
        const auto part = samples(next);
        result.insert(result.end(), part.begin(), part.end());
    }
    return result;
}

}  // namespace

TEST_CASE("loader: every epoch is a permutation, and no two are alike") {
    const Numbered data(60);
    const PackedFile file = data.open();
    const auto all = load(file, 20, false, 0, 9);
    std::set<std::vector<Sample>> orders;
    for (int epoch = 0; epoch < 3; ++epoch) {
        std::vector<Sample> order(all.begin() + 60 * epoch, all.begin() + 60 * (epoch + 1));
        orders.insert(order);
        std::ranges::sort(order);
        for (int i = 0; i < 60; ++i) CHECK(order[static_cast<std::size_t>(i)] == Sample{i, i % 2, false});
    }
    CHECK(orders.size() == 3);
}

TEST_CASE("loader: a position continues exactly, whatever the batch size") {
    const Numbered data(50);
    const PackedFile file = data.open();
    const auto all = load(file, 8, true, 0, 30);
    for (const auto& [position, batch] : {std::pair{8, 8}, {40, 8}, {37, 5}, {101, 16}}) {
        CAPTURE(position);
        const auto later = load(file, batch, true, position, 4);
        CHECK(std::equal(later.begin(), later.end(), all.begin() + position));
    }
}

TEST_CASE("loader: about half of the pictures are mirrored, exactly") {
    const Numbered data(100);
    const PackedFile file = data.open();
    const auto all = load(file, 50, true, 0, 40);
    const auto flipped = std::ranges::count_if(all, &Sample::flipped);
    CHECK(flipped > 850);
    CHECK(flipped < 1150);
}

TEST_CASE("loader: refuses what it cannot do; validation reads in order") {
    const Numbered data(10);
    const PackedFile file = data.open();
    CHECK_THROWS_AS(Loader(file, 0, 0, false, 0), Error);
    CHECK_THROWS_AS(Loader(file, 4, 0, false, -1), Error);
    Batch batch;
    read_batch(file, 3, 4, batch);
    CHECK(samples(batch) == std::vector<Sample>{{3, 1, false}, {4, 0, false}, {5, 1, false}, {6, 0, false}});
    CHECK_THROWS_AS(read_batch(file, 8, 3, batch), Error);
}
