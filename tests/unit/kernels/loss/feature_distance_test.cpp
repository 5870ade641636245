#include "kernels/loss/feature_distance.h"

#include <doctest/doctest.h>

#include "tests/unit/kernels/bf16_check.h"

using namespace kernel_check;

namespace {

constexpr double factor = 0.125;
constexpr float scale = 0.75f;

struct Maps {
    Maps(std::int64_t row_count, std::int64_t columns)
        : rows(row_count),
          width(columns),
          a(uniform(rows * width, 1, -0.5f, 1)),
          b(uniform(rows * width, 2, -0.5f, 1)),
          weight(uniform(width, 3, 0, 1)) {
        // Rows of zeros, as ReLU leaves them: in a, in b, in both.
        for (std::int64_t row = 0; row + 1 < rows; row += 4) zero(a, row);
        for (std::int64_t row = 0; row + 1 < rows; row += 6) zero(b, row);
    }
    void zero(std::vector<float>& map, std::int64_t row) const {
        std::fill_n(map.begin() + row * width, width, 0.0f);
    }

    std::int64_t rows, width;
    std::vector<float> a, b, weight;
};

struct Expected {
    double sum = 0;
    std::vector<double> slopes;  // of scale * the sum
};

double length(const std::vector<float>& map, std::int64_t first, std::int64_t width) {
    double sum = 0;
    for (std::int64_t c = 0; c < width; ++c) {
        const double value = map[static_cast<std::size_t>(first + c)];
        sum += value * value;
    }
    return std::sqrt(sum);
}

Expected expect(const Maps& m) {
    Expected result;
    result.slopes.resize(m.a.size());
    for (std::int64_t row = 0; row < m.rows; ++row) {
        const std::int64_t first = row * m.width;
        const double a_length = length(m.a, first, m.width), b_length = length(m.b, first, m.width);
        std::vector<double> slope(static_cast<std::size_t>(m.width));
        double along = 0;
        for (std::int64_t c = 0; c < m.width; ++c) {
            const auto i = static_cast<std::size_t>(first + c), k = static_cast<std::size_t>(c);
            const double u = m.a[i] / (a_length + 1e-10), v = m.b[i] / (b_length + 1e-10), w = m.weight[k];
            result.sum += w * (u - v) * (u - v);
            slope[k] = 2 * static_cast<double>(scale) * w * (u - v);
            along += slope[k] * m.a[i];
        }
        if (a_length == 0) continue;
        for (std::int64_t c = 0; c < m.width; ++c) {
            const auto i = static_cast<std::size_t>(first + c), k = static_cast<std::size_t>(c);
            result.slopes[i] = (slope[k] - along * m.a[i] / (a_length * a_length)) / a_length;
        }
    }
    return result;
}

std::vector<double> workspace(Device device) {
    return std::vector<double>(static_cast<std::size_t>(SIZE_ON(device, feature_distance_workspace)), NAN);
}

// Every size of a team of lanes, with widths that end within a chunk, and rows that end within a warp.
const std::vector<Maps>& cases() {
    static const std::vector<Maps> all = {{1, 3},    {3, 5},    {17, 48}, {70, 64}, {9, 100},
                                          {33, 128}, {13, 129}, {5, 512}, {600, 16}};
    return all;
}

}  // namespace

DEVICE_TEST("feature_distance agrees with the formula in double") {
    for (const Maps& m : cases()) {
        CAPTURE(m.rows);
        CAPTURE(m.width);
        const Expected expected = expect(m);
        std::vector<double> total = {7.5}, parts = workspace(device);
        RUN(device, feature_distance_accumulate, total, parts, m.a, m.b, m.weight, factor, m.rows, m.width);
        CHECK(std::abs(total[0] - 7.5 - factor * expected.sum) <= 1e-6 * (factor * expected.sum + 1e-3));
        std::vector<float> da(m.a.size(), NAN);
        RUN(device, feature_distance_backward, da, m.a, m.b, m.weight, scale, m.rows, m.width);
        CHECK(relative_error(da, expected.slopes) < 1e-5);
    }
}

DEVICE_TEST("feature_distance of equal maps is 0, and so is its slope") {
    const Maps m(17, 48);
    std::vector<double> total = {0}, parts = workspace(device);
    std::vector<float> da(m.a.size(), NAN);
    RUN(device, feature_distance_accumulate, total, parts, m.a, m.a, m.weight, factor, m.rows, m.width);
    RUN(device, feature_distance_backward, da, m.a, m.a, m.weight, scale, m.rows, m.width);
    CHECK(total[0] < 1e-12);  // 0 but for how products are rounded
    CHECK(std::ranges::all_of(da, [](float value) { return std::abs(value) < 1e-6f; }));
}

DEVICE_TEST("feature_distance does not depend on the number of threads") {
    const Maps m(700, 64);
    CHECK(same_for_any_threads([&] {
        std::vector<double> total = {0}, parts = workspace(device);
        std::vector<float> da(m.a.size());
        RUN(device, feature_distance_accumulate, total, parts, m.a, m.b, m.weight, factor, m.rows, m.width);
        RUN(device, feature_distance_backward, da, m.a, m.b, m.weight, scale, m.rows, m.width);
        da.resize(da.size() + 2);
        std::memcpy(da.data() + m.a.size(), total.data(), sizeof(double));
        return da;
    }));
}

CUDA_TEST("feature_distance of bf16 maps is that of the same numbers in float") {
    for (const Maps& m : cases()) {
        const std::vector<bf16> a = to_bf16(m.a), b = to_bf16(m.b);
        std::vector<double> total = {0}, float_total = {0}, parts = workspace(Device::cuda);
        RUN_CUDA(feature_distance_accumulate, total, parts, a, b, m.weight, factor, m.rows, m.width);
        RUN(Device::cuda, feature_distance_accumulate, float_total, parts, to_floats(a), to_floats(b),
            m.weight, factor, m.rows, m.width);
        CAPTURE(m.width);
        CHECK(total[0] == float_total[0]);
        std::vector<bf16> da(a.size());
        std::vector<float> float_da(a.size());
        RUN_CUDA(feature_distance_backward, da, a, b, m.weight, scale, m.rows, m.width);
        RUN(Device::cuda, feature_distance_backward, float_da, to_floats(a), to_floats(b), m.weight, scale,
            m.rows, m.width);
        CHECK(rounds_to(da, float_da));
    }
}
