#include "models/metrics/linear_algebra.h"

#include <doctest/doctest.h>
#include <cmath>
#include <limits>
#include <random>
#include <stdexcept>

#include "kernels/common/threads.h"
#include "runtime/base/error.h"

namespace {

using Matrix = std::vector<double>;

Matrix noise(std::size_t count, unsigned seed) {
    std::mt19937 engine(seed);
    Matrix values(count);
    for (double& value : values) value = static_cast<double>(engine()) * 0x1p-31 - 1;
    return values;
}

// X^T X of X [rows, n]: positive semidefinite, singular for fewer rows than n.
Matrix semidefinite(std::size_t rows, std::size_t n, unsigned seed) {
    const Matrix X = noise(rows * n, seed);
    Matrix result(n * n);
    for (std::size_t r = 0; r < rows; ++r)
        for (std::size_t i = 0; i < n; ++i)
            for (std::size_t j = 0; j < n; ++j) result[i * n + j] += X[r * n + i] * X[r * n + j];
    return result;
}

}  // namespace

TEST_CASE("products of parts of matrices agree with their sums") {
    constexpr std::int64_t rows = 5, others = 7, inner = 9, stride = 11, out = 8;
    const Matrix a = noise(stride * stride, 1), b = noise(stride * stride, 2);
    Matrix c(rows * out, 100);
    multiply_by_transpose({a.data(), rows, inner, stride}, {b.data(), others, inner, stride}, c.data(), out);
    for (std::size_t i = 0; i < rows; ++i)
        for (std::size_t j = 0; j < out; ++j) {
            double sum = 0;
            for (std::size_t k = 0; k < inner; ++k) sum += a[i * stride + k] * b[j * stride + k];
            CHECK(c[i * out + j] == doctest::Approx(j < others ? sum : 100).epsilon(1e-13));
        }
    Matrix added(rows * out, 100);
    add_transpose_product({a.data(), inner, rows, stride}, {b.data(), inner, others, stride}, added.data(),
                          out);
    for (std::size_t i = 0; i < rows; ++i)
        for (std::size_t j = 0; j < out; ++j) {
            double sum = 100;
            for (std::size_t k = 0; k < inner; ++k) sum += a[k * stride + i] * b[k * stride + j];
            CHECK(added[i * out + j] == doctest::Approx(j < others ? sum : 100).epsilon(1e-13));
        }
    CHECK_THROWS_AS(multiply_by_transpose({a.data(), 2, 3, 3}, {b.data(), 2, 4, 4}, c.data(), 2),
                    std::logic_error);
    CHECK_THROWS_AS(add_transpose_product({a.data(), 3, 2, 2}, {b.data(), 4, 2, 2}, c.data(), 2),
                    std::logic_error);
}

TEST_CASE("eigenvalues of symmetric matrices") {
    const auto values = symmetric_eigenvalues({2, 1, 0, 1, 2, 0, 0, 0, -5}, 3);
    REQUIRE(values.size() == 3);
    CHECK(values[0] == doctest::Approx(-5));
    CHECK(values[1] == doctest::Approx(1));
    CHECK(values[2] == doctest::Approx(3));
    CHECK_THROWS_AS(symmetric_eigenvalues({1, 2}, 2), std::logic_error);
    CHECK_THROWS_AS(symmetric_eigenvalues({std::numeric_limits<double>::quiet_NaN()}, 1), Error);
    CHECK_THROWS_AS(symmetric_eigenvalues({std::numeric_limits<double>::infinity()}, 1), Error);
}

TEST_CASE("symmetric square roots: their square is the matrix, also a singular one") {
    for (const std::size_t n : {1, 3, 131})
        for (const std::size_t rows : {n, n / 2 + 1}) {
            const Matrix matrix = semidefinite(rows, n, 3);
            const Matrix root = symmetric_square_root(matrix, static_cast<std::int64_t>(n));
            const Matrix square = square_product(root, root, static_cast<std::int64_t>(n));
            double difference = 0, asymmetry = 0;
            for (std::size_t i = 0; i < n; ++i)
                for (std::size_t j = 0; j < n; ++j) {
                    difference = std::max(difference, std::fabs(square[i * n + j] - matrix[i * n + j]));
                    asymmetry = std::max(asymmetry, std::fabs(root[i * n + j] - root[j * n + i]));
                }
            CHECK(difference < 1e-11);
            CHECK(asymmetry < 1e-13);
        }
    const Matrix negative = symmetric_square_root({4, 0, 0, -1e-9}, 2);
    CHECK(negative[0] == doctest::Approx(2));
    CHECK(negative[3] == doctest::Approx(0));
}

TEST_CASE("square roots are the same bits for any number of threads") {
    constexpr std::int64_t n = 150;
    const Matrix matrix = semidefinite(n, n, 5);
    const int threads = cpu::thread_count();
    cpu::set_thread_count(1);
    const Matrix one = symmetric_square_root(matrix, n);
    cpu::set_thread_count(3);
    const Matrix three = symmetric_square_root(matrix, n);
    cpu::set_thread_count(threads);
    CHECK(one == three);
}
