// A linear layer for tests: operands whose rows lie apart, and its results by the formula in double
// precision.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "tests/unit/kernels/bf16_check.h"

namespace kernel_check {

constexpr float not_a_number = std::numeric_limits<float>::quiet_NaN();

struct Shape {
    std::int64_t rows, N, K;
};

// [rows, width] with rows `stride` apart; the padding between rows is NaN, so that reads of it are detected.
inline std::vector<float> strided(std::int64_t rows, std::int64_t width, std::int64_t stride, unsigned seed) {
    const std::vector<float> dense = uniform(rows * width, seed);
    std::vector<float> values(static_cast<std::size_t>(rows * stride), not_a_number);
    for (std::int64_t row = 0; row < rows; ++row)
        std::copy_n(dense.begin() + row * width, width, values.begin() + row * stride);
    return values;
}

// The rows without the padding between them, which must still be NaN.
inline std::vector<float> packed(const std::vector<float>& values, std::int64_t rows, std::int64_t width,
                                 std::int64_t stride) {
    std::vector<float> dense;
    bool untouched = true;
    for (std::int64_t row = 0; row < rows; ++row)
        for (std::int64_t i = 0; i < stride; ++i) {
            const float value = values[static_cast<std::size_t>(row * stride + i)];
            if (i < width)
                dense.push_back(value);
            else
                untouched = untouched && std::isnan(value);
        }
    CHECK(untouched);
    return dense;
}

// Operands of one layer; x and dy with gaps between their rows.
struct Layer {
    Shape shape;
    std::int64_t x_stride, y_stride;
    std::vector<float> x, dy, weight, bias;

    explicit Layer(const Shape& s, std::int64_t gap = 3)
        : shape(s),
          x_stride(s.K + gap),
          y_stride(s.N + (gap > 0 ? gap + 2 : 0)),
          x(strided(s.rows, s.K, x_stride, 1)),
          dy(strided(s.rows, s.N, y_stride, 2)),
          weight(uniform(s.N * s.K, 3)),
          bias(uniform(s.N, 4)) {}

    // On bf16 numbers.
    Layer in_bf16() const {
        Layer layer = *this;
        for (std::vector<float>* values : {&layer.x, &layer.dy, &layer.weight, &layer.bias})
            *values = rounded_to_bf16(*values);
        return layer;
    }

    double x_at(std::int64_t row, std::int64_t k) const {
        return x[static_cast<std::size_t>(row * x_stride + k)];
    }
    double dy_at(std::int64_t row, std::int64_t n) const {
        return dy[static_cast<std::size_t>(row * y_stride + n)];
    }
    double weight_at(std::int64_t n, std::int64_t k) const {
        return weight[static_cast<std::size_t>(n * shape.K + k)];
    }

    std::vector<double> forward(bool with_bias) const {
        std::vector<double> y;
        for (std::int64_t row = 0; row < shape.rows; ++row)
            for (std::int64_t n = 0; n < shape.N; ++n) {
                double sum = with_bias ? bias[static_cast<std::size_t>(n)] : 0.0f;
                for (std::int64_t k = 0; k < shape.K; ++k) sum += x_at(row, k) * weight_at(n, k);
                y.push_back(sum);
            }
        return y;
    }

    std::vector<double> input_gradient(double initial) const {
        std::vector<double> dx;
        for (std::int64_t row = 0; row < shape.rows; ++row)
            for (std::int64_t k = 0; k < shape.K; ++k) {
                double sum = initial;
                for (std::int64_t n = 0; n < shape.N; ++n) sum += dy_at(row, n) * weight_at(n, k);
                dx.push_back(sum);
            }
        return dx;
    }

    std::vector<double> weight_gradient(double initial) const {
        std::vector<double> d_weight(weight.size(), initial);
        for (std::int64_t row = 0; row < shape.rows; ++row)
            for (std::int64_t n = 0; n < shape.N; ++n)
                for (std::int64_t k = 0; k < shape.K; ++k)
                    d_weight[static_cast<std::size_t>(n * shape.K + k)] += dy_at(row, n) * x_at(row, k);
        return d_weight;
    }

    std::vector<double> bias_gradient(double initial) const {
        std::vector<double> d_bias(bias.size(), initial);
        for (std::int64_t row = 0; row < shape.rows; ++row)
            for (std::int64_t n = 0; n < shape.N; ++n) d_bias[static_cast<std::size_t>(n)] += dy_at(row, n);
        return d_bias;
    }
};

}  // namespace kernel_check
