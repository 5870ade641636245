#include "kernels/layout/pixels.h"

#include <doctest/doctest.h>

#include "tests/unit/kernels/kernel_check.h"

using namespace kernel_check;

namespace {

const std::vector<float> mean = {0.485f, 0.456f, 0.406f}, deviation = {0.229f, 0.224f, 0.225f};

}  // namespace

DEVICE_TEST("normalized pixels agree with the formula") {
    for (const std::int64_t C : {1, 3})
        for (const std::int64_t plane : {1, 5, 129, 132, 4096}) {
            const std::int64_t N = 5;
            const std::vector<std::int32_t> values = integers(N * C * plane, 1, 256);
            const std::vector<std::uint8_t> bytes(values.begin(), values.end());
            std::vector<float> y(bytes.size(), NAN);
            RUN(device, normalize_pixels, y, bytes, address(mean.data()), address(deviation.data()), N, C,
                plane);
            std::vector<double> expected(bytes.size());
            std::vector<float> rounded(bytes.size());
            for (std::int64_t i = 0; i < N * C * plane; ++i) {
                const std::int64_t c = i / plane % C;
                volatile float step = static_cast<float>(bytes[i]) / 255.0f;
                step = step - mean[c];
                rounded[i] = step / deviation[c];
                expected[i] =
                    (bytes[i] / 255.0 - static_cast<double>(mean[c])) / static_cast<double>(deviation[c]);
            }
            CHECK(relative_error(y, expected) < 2e-7);
            CHECK(same_bits(y, rounded));
        }
}

DEVICE_TEST("every byte survives normalisation and back, and both directions agree on the bits") {
    std::vector<std::int32_t> values;
    std::vector<std::uint8_t> bytes;
    for (int v = 0; v < 256; ++v)
        for (int c = 0; c < 3; ++c) {
            values.push_back(v);
            bytes.push_back(static_cast<std::uint8_t>(v));
        }
    std::vector<float> y(values.size()), by_pixels(values.size());
    std::vector<std::int32_t> back(values.size(), -1);
    RUN(device, normalize_values, y, values, address(mean.data()), address(deviation.data()), nullptr, 256,
        3);
    RUN(device, normalize_pixels, by_pixels, bytes, address(mean.data()), address(deviation.data()), 256, 3,
        1);
    RUN(device, pixel_values, back, y, address(mean.data()), address(deviation.data()), 256, 3);
    CHECK(same_bits(y, by_pixels));
    CHECK(back == values);
    // Backwards into every second row.
    std::vector<std::int32_t> rows;
    for (std::int32_t n = 255; n >= 0; --n) rows.push_back(2 * n);
    std::vector<float> scattered(2 * values.size(), -7.0f), expected = scattered;
    RUN(device, normalize_values, scattered, values, address(mean.data()), address(deviation.data()), rows,
        256, 3);
    for (std::size_t n = 0; n < rows.size(); ++n)
        std::copy_n(y.begin() + static_cast<std::ptrdiff_t>(3 * n), 3, expected.begin() + 3 * rows[n]);
    CHECK(same_bits(scattered, expected));
}

DEVICE_TEST("pixel values round halves to even and stay within a byte") {
    // Mean 0 and deviation 1: only the product with 255 rounds.
    const float zero = 0, one = 1;
    const auto value = [&](float y) {
        std::vector<std::int32_t> v = {-1};
        RUN(device, pixel_values, v, std::vector<float>{y}, address(&zero), address(&one), 1, 1);
        return v[0];
    };
    CHECK(value(0.5f) == 128);      // 127.5
    CHECK(value(0.5f / 255) == 0);  // 0.5
    CHECK(value(1.5f / 255) == 2);
    CHECK(value(0.1f) == 26);  // 25.5
    CHECK(value(0.3f) == 76);  // 76.500003, which in float is the half
    CHECK(value(-3.0f) == 0);
    CHECK(value(7.0f) == 255);
    CHECK(value(254.6f / 255) == 255);
    CHECK(value(INFINITY) == 255);
    CHECK(value(NAN) == 0);
}

DEVICE_TEST("pixel values round after every operation") {
    const std::vector<float> normalized = uniform(3 * 20001, 3, -2.5f, 2.7f);
    std::vector<std::int32_t> values(normalized.size(), -1);
    RUN(device, pixel_values, values, normalized, address(mean.data()), address(deviation.data()), 20001, 3);
    std::int64_t wrong = 0;
    for (std::size_t i = 0; i < values.size(); ++i) {
        volatile float step = normalized[i] * deviation[i % 3];
        step = step + mean[i % 3];
        step = step * 255.0f;
        const float rounded = std::nearbyint(step);
        wrong += values[i] != static_cast<std::int32_t>(std::clamp(rounded, 0.0f, 255.0f));
    }
    CHECK(wrong == 0);
}

DEVICE_TEST("the mean colour is the mean over the rows of the means along them") {
    for (const std::int64_t size : {1, 4, 6, 16, 150, 300}) {
        const std::int64_t M = size > 16 ? 1 : 37, C = 3;
        const std::vector<float> images = uniform(M * C * size * size, 3);
        std::vector<float> means(static_cast<std::size_t>(M * C), NAN);
        std::vector<double> expected(means.size());
        RUN(device, mean_pixels, means, images, M, C, size);
        std::vector<float> in_order;
        for (std::int64_t plane = 0; plane < M * C; ++plane) {
            volatile float total = 0;
            for (std::int64_t row = 0; row < size; ++row) {
                volatile float sum = 0;
                for (std::int64_t i = 0; i < size; ++i) sum = sum + images[(plane * size + row) * size + i];
                total = total + sum / static_cast<float>(size);
            }
            in_order.push_back(total / static_cast<float>(size));
        }
        for (std::size_t i = 0; i < images.size(); ++i)
            expected[i / static_cast<std::size_t>(size * size)] +=
                static_cast<double>(images[i]) / static_cast<double>(size * size);
        CHECK(relative_error(means, expected) < 1e-6);
        CHECK(same_bits(means, in_order));
    }
}

DEVICE_TEST("normalized bytes that start anywhere") {
    const std::vector<std::int32_t> values = integers(3 * 64 + 4, 1, 256);
    const std::vector<std::uint8_t> bytes(values.begin(), values.end());
    for (const std::int64_t first : {0, 1, 4}) {
        std::vector<float> y(3 * 64, NAN), expected(3 * 64);
        RUN(device, normalize_pixels, y, from(bytes, first), address(mean.data()), address(deviation.data()),
            1, 3, 64);
        for (std::int64_t i = 0; i < 3 * 64; ++i)
            expected[i] = (static_cast<float>(bytes[first + i]) / 255.0f - mean[i / 64]) / deviation[i / 64];
        CHECK(same_bits(y, expected));
    }
}
