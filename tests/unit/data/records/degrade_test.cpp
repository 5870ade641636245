#include "data/records/degrade.h"

#include <doctest/doctest.h>

#include <cmath>

#include "data/records/packed.h"
#include "runtime/base/error.h"
#include "tests/unit/temporary_folder.h"

namespace {

// Two classes in turn; picture i has a bright pixel in its middle and the value 10 i elsewhere.
struct Pictures {
    Pictures() {
        PackedWriter writer(folder.path() / "from.bin", 5, 1, {"even", "odd"});
        for (int i = 0; i < 4; ++i) {
            std::vector<std::uint8_t> pixels(25, static_cast<std::uint8_t>(10 * i));
            pixels[12] = 210;
            writer.add(pixels.data(), i % 2, std::vector<std::string>{"picture " + std::to_string(i)});
        }
        writer.commit();
    }
    PackedFile degraded(const Degradation& how) const {
        degrade(folder.path() / "from.bin", folder.path() / "to.bin", how, {});
        return PackedFile(folder.path() / "to.bin");
    }
    TemporaryFolder folder;
};

}  // namespace

TEST_CASE_FIXTURE(Pictures, "degrade: a class is left out, a picture repeated") {
    Degradation how;
    how.without = 0;
    const PackedFile odd = degraded(how);
    REQUIRE(odd.count() == 2);
    CHECK(odd.label(0) == 1);
    CHECK(odd.pixels(1)[0] == 30);
    CHECK(captions_of(odd, 1) == std::vector<std::string>{"picture 3"});
    how.repeats = true;
    const PackedFile repeated = degraded(how);
    REQUIRE(repeated.count() == 2);
    CHECK(repeated.pixels(1)[0] == 10);
    CHECK(repeated.label(1) == 1);
    CHECK(captions_of(repeated, 1) == std::vector<std::string>{"picture 1"});
    CHECK(repeated.pixels(1)[12] == 210);
}

TEST_CASE_FIXTURE(Pictures, "degrade: a Gaussian blur") {
    Degradation how;
    how.blur = 0.8;
    const PackedFile blurred = degraded(how);
    double sum = 0, weight = 0;
    for (int d = -4; d <= 4; ++d) sum += std::exp(-d * d / (2 * 0.8 * 0.8));
    weight = 1 / sum;
    CHECK(std::fabs(blurred.pixels(0)[12] - 210 * weight * weight) <= 0.5 + 1e-9);
    const double beside = weight * std::exp(-1 / (2 * 0.8 * 0.8));
    CHECK(std::fabs(blurred.pixels(0)[13] - 210 * weight * beside) <= 0.5 + 1e-9);
    CHECK(std::fabs(blurred.pixels(0)[6] - 210 * beside * beside) <= 0.5 + 1e-9);
    // Flat parts stay as they are, to the border.
    CHECK(blurred.pixels(3)[0] == 30);
}

TEST_CASE_FIXTURE(Pictures, "degrade: noise of its deviation, the same for the same seed") {
    PackedWriter writer(folder.path() / "from.bin", 64, 3, {});
    const std::vector<std::uint8_t> grey(3 * 64 * 64, 128);
    writer.add(grey.data(), -1);
    writer.add(grey.data(), -1);
    writer.commit();
    Degradation how;
    how.noise = 10;
    const std::vector<std::uint8_t> first = [&] {
        const PackedFile noisy = degraded(how);
        return std::vector<std::uint8_t>(noisy.pixels(0), noisy.pixels(0) + noisy.record_bytes());
    }();
    double mean = 0, square = 0;
    for (const std::uint8_t value : first)
        mean += value / 12288.0, square += (value - 128.0) * (value - 128.0) / 12288;
    CHECK(std::fabs(mean - 128) < 0.4);
    CHECK(std::fabs(std::sqrt(square) - 10) < 0.4);
    const PackedFile again = degraded(how);
    CHECK(std::equal(first.begin(), first.end(), again.pixels(0)));
    CHECK_FALSE(std::equal(first.begin(), first.end(), again.pixels(1)));
    how.seed = 1;
    CHECK_FALSE(std::equal(first.begin(), first.end(), degraded(how).pixels(0)));
}

TEST_CASE_FIXTURE(Pictures, "degrade: nothing left is refused, and nothing is written") {
    PackedWriter writer(folder.path() / "from.bin", 5, 1, {"only"});
    const std::vector<std::uint8_t> pixels(25);
    writer.add(pixels.data(), 0);
    writer.commit();
    Degradation how;
    how.without = 0;
    CHECK_THROWS_AS(degraded(how), Error);
    CHECK_FALSE(std::filesystem::exists(folder.path() / "to.bin"));
}
