#include "kernels/attention/rotary.h"

#include <doctest/doctest.h>

#include "tests/unit/kernels/bf16_check.h"
#include "tests/unit/kernels/kernel_check.h"

using namespace kernel_check;

namespace {

struct Tables {
    std::vector<float> cosine, sine;
    Tables(std::int64_t grid, std::int64_t head_dim)
        : cosine(static_cast<std::size_t>((1 + grid * grid) * head_dim / 2), NAN), sine(cosine) {
        cpu::rotary_table(cosine.data(), sine.data(), grid, head_dim);
    }
};

// The rotation angle of pair j at a grid cell, from the definition.
double angle(std::int64_t row, std::int64_t column, std::int64_t j, std::int64_t head_dim) {
    const double half = static_cast<double>(head_dim) / 2;
    const std::int64_t quarter = head_dim / 4, k = j % quarter;
    return static_cast<double>(j < quarter ? row : column) *
           std::pow(10000.0, -2.0 * static_cast<double>(k) / half);
}

}  // namespace

TEST_CASE("the rotary table turns by row and column and zeroes the condition token") {
    for (const std::int64_t head_dim : {4, 16, 20, 64}) {
        const std::int64_t grid = 5, half = head_dim / 2;
        const Tables tables(grid, head_dim);
        std::vector<double> cosine(tables.cosine.size(), 0), sine(tables.sine.size(), 0);
        for (std::int64_t cell = 0; cell < grid * grid; ++cell)
            for (std::int64_t j = 0; j < half; ++j) {
                cosine[(1 + cell) * half + j] = std::cos(angle(cell / grid, cell % grid, j, head_dim));
                sine[(1 + cell) * half + j] = std::sin(angle(cell / grid, cell % grid, j, head_dim));
            }
        CHECK(relative_error(tables.cosine, cosine) < 1e-7);
        CHECK(relative_error(tables.sine, sine) < 1e-7);
    }
}

DEVICE_TEST("rotary forward turns q and k and leaves v alone") {
    for (const std::int64_t head_dim : {4, 16, 20, 64})
        for (const std::int64_t first_position : {0, 3}) {
            const std::int64_t sequences = 3, length = 7, heads = 3, grid = 4, width = heads * head_dim;
            const Tables tables(grid, head_dim);
            const std::vector<float> before = uniform(sequences * length * 3 * width, 8);
            std::vector<float> after = before;
            RUN(device, rotary_forward, after, tables.cosine, tables.sine, sequences, length, heads, head_dim,
                first_position);
            std::vector<double> expected = widened(before);
            for (std::int64_t token = 0; token < sequences * length; ++token)
                for (std::int64_t pair = 0; pair < width; ++pair) {  // q and k have width / 2 pairs each
                    const std::int64_t at = token * 3 * width + 2 * pair;
                    const std::int64_t position = first_position + token % length, cell = position - 1;
                    const double a = before[at], b = before[at + 1];
                    const double turn = angle(cell / grid, cell % grid, pair % (head_dim / 2), head_dim);
                    expected[at] = position == 0 ? 0 : a * std::cos(turn) - b * std::sin(turn);
                    expected[at + 1] = position == 0 ? 0 : b * std::cos(turn) + a * std::sin(turn);
                }
            CAPTURE(head_dim);
            CAPTURE(first_position);
            CHECK(relative_error(after, expected) < 1e-6);
        }
}

DEVICE_TEST("rotary backward is the transpose of the forward") {
    const std::int64_t sequences = 2, length = 5, heads = 2, head_dim = 20, size = 2 * 5 * 3 * 2 * 20;
    const Tables tables(2, head_dim);
    const std::vector<float> x = uniform(size, 1), dy = uniform(size, 2);
    std::vector<float> y = x, dx = dy;
    RUN(device, rotary_forward, y, tables.cosine, tables.sine, sequences, length, heads, head_dim, 0);
    RUN(device, rotary_backward, dx, tables.cosine, tables.sine, sequences, length, heads, head_dim, 0);
    double forward = 0, backward = 0;
    for (std::size_t i = 0; i < x.size(); ++i) {
        forward += static_cast<double>(y[i]) * dy[i];
        backward += static_cast<double>(x[i]) * dx[i];
    }
    CHECK(std::abs(forward - backward) < 1e-5);
    for (std::int64_t i = 0; i < 2 * heads * head_dim; ++i) CHECK(dx[i] == 0);
}

DEVICE_TEST("rotary does not depend on the number of threads") {
    const Tables tables(8, 16);
    CHECK(same_for_any_threads([&] {
        std::vector<float> qkv = uniform(11 * 65 * 3 * 3 * 16, 1);
        RUN(device, rotary_forward, qkv, tables.cosine, tables.sine, 11, 65, 3, 16, 0);
        return qkv;
    }));
}

#ifdef FRACTAL_CUDA

// Each value is rounded once: by at most half a unit in its last place.
TEST_CASE("rotary in bf16 rounds what it does in float, wherever the array starts") {
    for (const std::int64_t head_dim : {4, 12, 16, 20, 64})
        for (const std::int64_t shift : {0, 1}) {
            const std::int64_t sequences = 3, length = 7, heads = 3, width = heads * head_dim;
            const Tables tables(4, head_dim);
            const std::vector<bf16> before = to_bf16(uniform(shift + sequences * length * 3 * width, 8));
            std::vector<bf16> forward = before, backward = before;
            RUN_CUDA(rotary_forward, from(forward, shift), tables.cosine, tables.sine, sequences, length,
                     heads, head_dim, std::int64_t{2});
            RUN_CUDA(rotary_backward, from(backward, shift), tables.cosine, tables.sine, sequences, length,
                     heads, head_dim, std::int64_t{2});
            std::vector<float> turned = to_floats(before), turned_back = turned;
            cpu::rotary_forward(turned.data() + shift, tables.cosine.data(), tables.sine.data(), sequences,
                                length, heads, head_dim, 2);
            cpu::rotary_backward(turned_back.data() + shift, tables.cosine.data(), tables.sine.data(),
                                 sequences, length, heads, head_dim, 2);
            CHECK(relative_error(to_floats(forward), widened(turned)) < 0x1p-8);
            CHECK(relative_error(to_floats(backward), widened(turned_back)) < 0x1p-8);
        }
}

#endif
