#include "data/fractals/fractals.h"

#include <doctest/doctest.h>

#include <cmath>
#include <set>
#include <vector>

#include "runtime/base/error.h"

namespace {

std::vector<std::uint8_t> drawn(int size, int class_index, std::uint64_t index, std::uint64_t seed = 0) {
    std::vector<std::uint8_t> pixels(static_cast<std::size_t>(3 * size * size));
    draw_fractal(pixels.data(), size, class_index, seed, index);
    return pixels;
}

double deviation(const std::vector<std::uint8_t>& pixels) {
    double sum = 0, squares = 0;
    for (const std::uint8_t value : pixels) {
        sum += value;
        squares += static_cast<double>(value) * value;
    }
    const auto count = static_cast<double>(pixels.size());
    return std::sqrt(std::max(0.0, squares / count - sum / count * sum / count));
}

}  // namespace

TEST_CASE("fractals: a pure function of class, seed and index") {
    for (int c = 0; c < fractal_classes; ++c) {
        CAPTURE(c);
        const auto first = drawn(32, c, 5);
        CHECK(drawn(32, c, 5) == first);
        CHECK(drawn(32, c, 6) != first);
        CHECK(drawn(32, c, 5, 1) != first);
        CHECK(drawn(32, (c + 1) % fractal_classes, 5) != first);
    }
}

TEST_CASE("fractals: no class draws empty pictures, at any size") {
    for (int c = 0; c < fractal_classes; ++c)
        for (std::uint64_t index = 0; index < 60; ++index) {
            CAPTURE(c);
            CAPTURE(index);
            CHECK(deviation(drawn(32, c, index)) > 15);
            if (index < 8)
                for (const int size : {8, 33, 64}) CHECK(deviation(drawn(size, c, index)) > 10);
        }
    CHECK_THROWS_AS(drawn(8, fractal_classes, 0), Error);
    CHECK_THROWS_AS(drawn(8, -1, 0), Error);
}

TEST_CASE("fractals: the classes have names of their own and look apart") {
    std::set<std::string_view> names(fractal_class_names().begin(), fractal_class_names().end());
    CHECK(names.size() == fractal_classes);
    std::vector<std::vector<double>> means(fractal_classes, std::vector<double>(3 * 16 * 16));
    for (std::size_t c = 0; c < fractal_classes; ++c)
        for (std::uint64_t index = 0; index < 40; ++index) {
            const auto pixels = drawn(16, static_cast<int>(c), index);
            for (std::size_t i = 0; i < pixels.size(); ++i) means[c][i] += pixels[i] / 40.0;
        }
    for (std::size_t a = 0; a < fractal_classes; ++a)
        for (std::size_t b = 0; b < a; ++b) {
            double distance = 0;
            for (std::size_t i = 0; i < means[a].size(); ++i)
                distance += std::fabs(means[a][i] - means[b][i]);
            CHECK(distance / static_cast<double>(means[a].size()) > 10);
        }
}
