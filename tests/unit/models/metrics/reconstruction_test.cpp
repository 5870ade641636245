#include "models/metrics/reconstruction.h"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <random>
#include <stdexcept>
#include <vector>

namespace {

using Bytes = std::vector<std::uint8_t>;

Bytes noise(std::size_t count, unsigned seed) {
    std::mt19937 engine(seed);
    Bytes bytes(count);
    for (std::uint8_t& byte : bytes) byte = static_cast<std::uint8_t>(engine() & 255);
    return bytes;
}

// Straight from the definition: at every place, weighted moments over the 121 pixels of the window.
double similarity_by_definition(const Bytes& a, const Bytes& b, int channels, int height, int width) {
    double window[11][11], sum = 0;
    for (int i = 0; i < 11; ++i)
        for (int j = 0; j < 11; ++j) {
            window[i][j] = std::exp(-((i - 5) * (i - 5) + (j - 5) * (j - 5)) / (2 * 1.5 * 1.5));
            sum += window[i][j];
        }
    double total = 0;
    int places = 0;
    for (int c = 0; c < channels; ++c)
        for (int y = 0; y + 11 <= height; ++y)
            for (int x = 0; x + 11 <= width; ++x, ++places) {
                double ma = 0, mb = 0, va = 0, vb = 0, covariance = 0;
                const auto each = [&](auto body) {
                    for (int i = 0; i < 11; ++i)
                        for (int j = 0; j < 11; ++j) {
                            const auto at = static_cast<std::size_t>((c * height + y + i) * width + x + j);
                            body(window[i][j] / sum, static_cast<double>(a[at]), static_cast<double>(b[at]));
                        }
                };
                each([&](double w, double p, double q) {
                    ma += w * p;
                    mb += w * q;
                });
                each([&](double w, double p, double q) {
                    va += w * (p - ma) * (p - ma);
                    vb += w * (q - mb) * (q - mb);
                    covariance += w * (p - ma) * (q - mb);
                });
                const double C1 = 6.5025, C2 = 58.5225;
                total +=
                    (2 * ma * mb + C1) * (2 * covariance + C2) / ((ma * ma + mb * mb + C1) * (va + vb + C2));
            }
    return total / places;
}

}  // namespace

TEST_CASE("PSNR of 8-bit pictures") {
    CHECK(peak_signal_to_noise(Bytes{0, 255}, Bytes{255, 0}) == doctest::Approx(0));
    CHECK(peak_signal_to_noise(Bytes{10, 20, 30, 40}, Bytes{11, 19, 31, 39}) ==
          doctest::Approx(20 * std::log10(255.0)));
    CHECK(peak_signal_to_noise(Bytes{3}, Bytes{3}) == std::numeric_limits<double>::infinity());
    CHECK_THROWS_AS(peak_signal_to_noise(Bytes{3}, Bytes{3, 4}), std::logic_error);
    CHECK_THROWS_AS(peak_signal_to_noise(Bytes{}, Bytes{}), std::logic_error);
}

TEST_CASE("SSIM agrees with its definition") {
    struct Size {
        int channels, height, width;
    };
    for (const auto& [channels, height, width] : {Size{1, 11, 11}, {3, 16, 13}, {2, 12, 20}}) {
        const auto count = static_cast<std::size_t>(channels * height * width);
        const Bytes a = noise(count, 1);
        Bytes b = noise(count, 2);
        for (std::size_t i = 0; i < count; ++i) b[i] = static_cast<std::uint8_t>((3 * a[i] + b[i]) / 4);
        const double expected = similarity_by_definition(a, b, channels, height, width);
        CHECK(expected > 0.3);
        CHECK(expected < 0.99);
        CHECK(structural_similarity(a, b, channels, height, width) ==
              doctest::Approx(expected).epsilon(1e-9));
        CHECK(structural_similarity(a, a, channels, height, width) == doctest::Approx(1));
    }
    const Bytes small = noise(10 * 20, 3);
    CHECK_THROWS_AS(structural_similarity(small, small, 1, 10, 20), std::logic_error);
    CHECK_THROWS_AS(structural_similarity(small, small, 1, 20, 20), std::logic_error);
}

TEST_CASE("perplexity of a codebook") {
    using Counts = std::vector<std::int64_t>;
    CHECK(codebook_perplexity(Counts{5, 5, 5, 5}) == doctest::Approx(4));
    CHECK(codebook_perplexity(Counts{0, 7, 0}) == doctest::Approx(1));
    CHECK(codebook_perplexity(Counts{1, 3, 0}) ==
          doctest::Approx(std::exp(-0.25 * std::log(0.25) - 0.75 * std::log(0.75))));
    CHECK_THROWS_AS(codebook_perplexity(Counts{0, 0}), std::logic_error);
}
