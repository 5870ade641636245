#include "kernels/sampling/remask.h"

#include <doctest/doctest.h>

#include "tests/unit/kernels/kernel_check.h"

using namespace kernel_check;

namespace {

// One call on random confidences, of which the first `masked` of each image are finite.
struct Images {
    Images(std::int64_t images, std::int64_t positions, std::int64_t masked, std::int64_t remasked)
        : count(images),
          N(positions),
          filled(integers(count * N, 1, 50)),
          confidence(uniform(count * N, 2, -9, 3)),
          ids(static_cast<std::size_t>(2 * count * N), -1),
          ranks(static_cast<std::size_t>(N)),
          step{{static_cast<std::int32_t>(remasked)}} {
        for (std::size_t n = 0; n < ranks.size(); ++n)  // 7: prime to every N of these tests
            ranks[n] = static_cast<std::int32_t>((7 * n + 3) % ranks.size());
        for (std::size_t i = 0; i < confidence.size(); ++i)
            if (static_cast<std::int64_t>(i) % N >= masked) confidence[i] = INFINITY;
    }

    void run(Device device) {
        RUN(device, remask, ids, filled, confidence, ranks, step,
            count / static_cast<std::int64_t>(step.size()), count, 2, N, K);
    }

    // Masks of an image of the first half; the others keep their tokens, the second half is the same.
    std::int64_t masks(std::int64_t image) const {
        std::int64_t masks = 0;
        for (std::int64_t n = 0; n < N; ++n) {
            const auto i = static_cast<std::size_t>(image * N + n);
            masks += ids[i] == K;
            if (ids[i] != K) CHECK(ids[i] == filled[i]);
            CHECK(ids[i + static_cast<std::size_t>(count * N)] == ids[i]);
        }
        return masks;
    }

    static constexpr std::int32_t K = 50;
    std::int64_t count, N;
    std::vector<std::int32_t> filled;
    std::vector<float> confidence;
    std::vector<std::int32_t> ids, ranks;
    std::vector<DecodingStep> step;  // equal shares of the images
};

}  // namespace

DEVICE_TEST("remask: the least confident are masked again, as many as the schedule says") {
    for (const std::int64_t N : {1, 5, 64, 300, 1024})
        for (const std::int64_t wanted : {std::int64_t{0}, N / 3, N - 1}) {
            CAPTURE(N);
            CAPTURE(wanted);
            const std::int64_t masked = (2 * N + 2) / 3;
            Images s(2, N, masked, wanted);
            s.run(device);
            const std::int64_t m = std::max<std::int64_t>(1, std::min(masked - 1, wanted));
            for (std::int64_t image = 0; image < s.count; ++image) {
                CHECK(s.masks(image) == m);
                const auto row = s.confidence.begin() + image * N;
                std::vector<float> sorted(row, row + N);
                std::sort(sorted.begin(), sorted.end());
                for (std::int64_t n = 0; n < N; ++n)
                    CHECK((s.ids[static_cast<std::size_t>(image * N + n)] == s.K) ==
                          (row[n] <= sorted[static_cast<std::size_t>(m - 1)]));
            }
        }
}

DEVICE_TEST("remask: equal confidences at the cut all become masks; zero has no sign") {
    Images s(2, 8, 8, 4);
    s.confidence = {-1, -3, -2, -2, -2, -2, 0, 1, 0.0f, -0.0f, -1, -1, -1, 0.0f, 5, 6};
    s.run(device);
    CHECK(s.masks(0) == 5);
    CHECK(s.masks(1) == 6);
}

DEVICE_TEST("remask: the first image's masks bound the number of all") {
    Images s(2, 6, 6, 5);
    s.confidence = {-1, -2, INFINITY, -4, INFINITY, INFINITY, -1, -2, -3, -4, -5, -6};
    s.run(device);
    CHECK(s.masks(0) == 2);
    CHECK(s.masks(1) == 2);
}

DEVICE_TEST("remask: without bounds all masks may stay, or none") {
    for (const std::int64_t N : {1, 5, 300})
        for (const bool by_rank : {false, true})
            for (const std::int64_t wanted : {std::int64_t{0}, N}) {
                CAPTURE(N);
                const std::int64_t masked = (2 * N + 2) / 3;
                Images s(2, N, masked, wanted);
                s.step[0].bounded = false;
                s.step[0].by_rank = by_rank;
                s.run(device);
                for (std::int64_t image = 0; image < s.count; ++image)
                    CHECK(s.masks(image) == (wanted == 0 ? 0 : masked));
            }
}

DEVICE_TEST("remask: by rank the last ones of the order are masked again, whatever their confidences") {
    for (const std::int64_t N : {1, 5, 64, 300, 1024, 8192}) {
        CAPTURE(N);
        const std::int64_t masked = (2 * N + 2) / 3, wanted = N / 3;
        Images s(2, N, masked, wanted);
        s.step[0].by_rank = true;
        s.run(device);
        std::vector<std::int32_t> sorted(s.ranks.begin(), s.ranks.begin() + masked);
        std::sort(sorted.rbegin(), sorted.rend());
        const std::int64_t m = std::max<std::int64_t>(1, std::min(masked - 1, wanted));
        for (std::int64_t image = 0; image < s.count; ++image) {
            CHECK(s.masks(image) == m);
            for (std::int64_t n = 0; n < N; ++n) {
                const bool again = n < masked && s.ranks[static_cast<std::size_t>(n)] >=
                                                     sorted[static_cast<std::size_t>(m - 1)];
                CHECK((s.ids[static_cast<std::size_t>(image * N + n)] == s.K) == again);
            }
        }
    }
}

DEVICE_TEST("remask: equal shares of the images follow steps of their own, counted from their first images") {
    Images s(4, 20, 20, 12);
    s.step.push_back({.remasked = 15});
    s.step[0].by_rank = true;
    for (std::size_t n = 0; n < 10; ++n)
        s.confidence[2 * 20 + n] = INFINITY;  // of the second step's first image
    s.run(device);
    for (const std::int64_t image : {0, 1}) CHECK(s.masks(image) == 12);
    for (const std::int64_t image : {2, 3}) CHECK(s.masks(image) == 9);
    for (std::size_t n = 0; n < 20; ++n) CHECK((s.ids[n] == s.K) == (s.ranks[n] >= 8));
}

TEST_CASE("remask: bits in the order of floats") {
    const std::vector<float> ascending{-INFINITY, -3e38f, -1,         -1e-45f, 0,
                                       1e-45f,    1,      1.0000001f, 3e38f,   INFINITY};
    for (std::size_t i = 1; i < ascending.size(); ++i)
        CHECK(ordered_bits(ascending[i - 1]) < ordered_bits(ascending[i]));
    CHECK(ordered_bits(0.0f) == ordered_bits(-0.0f));
    CHECK(ordered_bits(NAN) > ordered_bits(INFINITY));
    CHECK(remasked_count(256, {244}) == 244);
    CHECK(remasked_count(100, {244}) == 99);
    CHECK(remasked_count(1, {128}) == 1);
    CHECK(remasked_count(100, {0}) == 1);
    CHECK(remasked_count(100, {.remasked = 244, .bounded = false}) == 100);
    CHECK(remasked_count(100, {.remasked = 0, .bounded = false}) == 0);
}
