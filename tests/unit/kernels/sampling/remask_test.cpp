#include "kernels/sampling/remask.h"

#include <doctest/doctest.h>

#include "tests/unit/kernels/kernel_check.h"

using namespace kernel_check;

namespace {

// One call on random confidences, of which the first `masked` of each image are finite.
struct Images {
    Images(std::int64_t images, std::int64_t positions, std::int64_t masked, float ratio)
        : count(images),
          N(positions),
          filled(integers(count * N, 1, 50)),
          confidence(uniform(count * N, 2, -9, 3)),
          ids(static_cast<std::size_t>(2 * count * N), -1),
          step{{ratio}} {
        for (std::size_t i = 0; i < confidence.size(); ++i)
            if (static_cast<std::int64_t>(i) % N >= masked) confidence[i] = INFINITY;
    }

    void run(Device device) { RUN(device, remask, ids, filled, confidence, step, count, 2, N, K); }

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
    std::vector<std::int32_t> ids;
    std::vector<DecodingStep> step;
};

}  // namespace

DEVICE_TEST("remask: the least confident are masked again, as many as the schedule says") {
    for (const std::int64_t N : {1, 5, 64, 300, 1024})
        for (const float ratio : {0.0f, 0.3f, 0.99f}) {
            CAPTURE(N);
            CAPTURE(ratio);
            const std::int64_t masked = (2 * N + 2) / 3;
            Images s(2, N, masked, ratio);
            s.run(device);
            const auto wanted = static_cast<std::int64_t>(static_cast<float>(N) * ratio);
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
    Images s(2, 8, 8, 0.5f);
    s.confidence = {-1, -3, -2, -2, -2, -2, 0, 1, 0.0f, -0.0f, -1, -1, -1, 0.0f, 5, 6};
    s.run(device);
    CHECK(s.masks(0) == 5);
    CHECK(s.masks(1) == 6);
}

DEVICE_TEST("remask: the first image's masks bound the number of all") {
    Images s(2, 6, 6, 0.9f);
    s.confidence = {-1, -2, INFINITY, -4, INFINITY, INFINITY, -1, -2, -3, -4, -5, -6};
    s.run(device);
    CHECK(s.masks(0) == 2);
    CHECK(s.masks(1) == 2);
}

TEST_CASE("remask: bits in the order of floats") {
    const std::vector<float> ascending{-INFINITY, -3e38f, -1,         -1e-45f, 0,
                                       1e-45f,    1,      1.0000001f, 3e38f,   INFINITY};
    for (std::size_t i = 1; i < ascending.size(); ++i)
        CHECK(ordered_bits(ascending[i - 1]) < ordered_bits(ascending[i]));
    CHECK(ordered_bits(0.0f) == ordered_bits(-0.0f));
    CHECK(ordered_bits(NAN) > ordered_bits(INFINITY));
    CHECK(remasked_count(256, 256, 0.9532f) == 244);
    CHECK(remasked_count(256, 100, 0.9532f) == 99);
    CHECK(remasked_count(256, 1, 0.5f) == 1);
    CHECK(remasked_count(256, 100, 0) == 1);
}
