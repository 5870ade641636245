#include "data/records/baselines.h"

#include <doctest/doctest.h>
#include <webp/encode.h>

#include <functional>
#include <random>

#include "data/images/image_file.h"
#include "runtime/base/error.h"
#include "tests/unit/temporary_folder.h"

namespace {

// value(image, channel, y, x)
using Drawing = std::function<int(int, int, int, int)>;

class Drawn {
  public:
    Drawn(int count, int size, int channels, const Drawing& value) {
        PackedWriter writer(folder_ / "drawn.bin", size, channels, {});
        for (int n = 0; n < count; ++n) {
            std::vector<std::uint8_t> pixels;
            for (int c = 0; c < channels; ++c)
                for (int y = 0; y < size; ++y)
                    for (int x = 0; x < size; ++x)
                        pixels.push_back(static_cast<std::uint8_t>(value(n, c, y, x)));
            writer.add(pixels.data(), -1);
        }
        writer.commit();
    }
    Baselines measure(std::int64_t images = 1'000'000) const {
        return measure_baselines(PackedFile(folder_ / "drawn.bin"), images);
    }

  private:
    TemporaryFolder folder_;
};

}  // namespace

TEST_CASE("baselines: one value needs no bits, two equally often one, all eight") {
    for (const int channels : {1, 3}) {
        CAPTURE(channels);
        const Baselines constant = Drawn(3, 32, channels, [](int, int, int, int) { return 77; }).measure();
        CHECK(constant.images == 3);
        CHECK(constant.entropy == 0.0);
        const Baselines two =
            Drawn(3, 32, channels, [](int, int, int, int x) { return x % 2 * 9; }).measure();
        CHECK(two.entropy == doctest::Approx(1.0));
        const Baselines all =
            Drawn(1, 16, channels, [](int, int, int y, int x) { return 16 * y + x; }).measure();
        CHECK(all.entropy == doctest::Approx(8.0));
    }
}

TEST_CASE("baselines: the entropy is the mean over the channels, each with its own histogram") {
    // 0 bits, 1 bit and 1/4, 3/4: 0.8113 bits; the histograms of the channels overlap.
    const Baselines mixed = Drawn(2, 16, 3, [](int, int channel, int, int x) {
                                if (channel == 0) return 5;
                                return channel == 1 ? 5 + x % 2 : (x % 4 == 0 ? 5 : 6);
                            }).measure();
    CHECK(mixed.entropy == doctest::Approx((0.0 + 1.0 + 0.811278) / 3).epsilon(1e-6));
}

TEST_CASE("baselines: only the first images are measured") {
    const Drawn drawn(4, 16, 1, [](int n, int, int, int x) { return n < 2 ? 3 : x % 2; });
    CHECK(drawn.measure(2).entropy == 0.0);
    CHECK(drawn.measure(2).images == 2);
    CHECK(drawn.measure(3).entropy > 0.9);
    CHECK(drawn.measure(5).images == 4);
    CHECK(drawn.measure(2).png < drawn.measure(4).png);
    CHECK_THROWS_AS(drawn.measure(0), Error);
    CHECK_THROWS_AS(drawn.measure(-1), Error);
}

TEST_CASE("baselines: PNG and WebP are whole files, in bits for each byte of the images") {
    const Drawing smooth = [](int n, int c, int y, int x) { return 40 * c + n + 2 * x + 3 * y; };
    for (const int channels : {1, 3}) {
        CAPTURE(channels);
        const Baselines baselines = Drawn(3, 32, channels, smooth).measure();
        std::size_t bytes = 0, webp_bytes = 0;  // the latter by libwebp's simple interface, at other settings
        for (int n = 0; n < 3; ++n) {
            Image image{32, 32, channels, {}};
            for (int y = 0; y < 32; ++y)
                for (int x = 0; x < 32; ++x)
                    for (int c = 0; c < channels; ++c)
                        image.pixels.push_back(static_cast<std::uint8_t>(smooth(n, c, y, x)));
            bytes += encode_png(image).size();
            std::vector<std::uint8_t> colours;  // a grey value three times
            for (const std::uint8_t value : image.pixels)
                colours.insert(colours.end(), channels == 1 ? 3 : 1, value);
            std::uint8_t* encoded = nullptr;
            webp_bytes += WebPEncodeLosslessRGB(colours.data(), 32, 32, 32 * 3, &encoded);
            WebPFree(encoded);
        }
        CHECK(baselines.png == doctest::Approx(8.0 * static_cast<double>(bytes) / (3 * 32 * 32 * channels)));
        // A slope is nothing to a code that predicts, and much to one that counts values.
        CHECK(baselines.webp / (8.0 * static_cast<double>(webp_bytes) / (3 * 32 * 32 * channels)) ==
              doctest::Approx(1).epsilon(0.1));
        CHECK(baselines.webp < baselines.png);
        CHECK(baselines.png < baselines.entropy / 2);
    }
}

TEST_CASE("baselines: noise cannot be compressed, and its three channels cost thrice one") {
    std::mt19937 engine(1);
    const Drawing noise = [&](int, int, int, int) { return static_cast<int>(engine() & 255); };
    for (const int channels : {1, 3}) {
        CAPTURE(channels);
        const Baselines baselines = Drawn(4, 48, channels, noise).measure();
        CHECK(baselines.entropy > 7.9);
        CHECK(baselines.entropy <= 8.0);
        // Beside the bytes themselves: a file's header, a filter byte a row, a code that cannot gain
        // anything.
        CHECK(baselines.png > 8.0);
        CHECK(baselines.png < 8.8);
        CHECK(baselines.webp > 8.0);
        CHECK(baselines.webp < 8.8);
    }
}
