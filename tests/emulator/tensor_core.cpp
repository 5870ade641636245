#include "tests/emulator/tensor_core.h"

#include <fmt/format.h>

#include <cstring>

#include "kernels/common/bf16.h"
#include "tests/emulator/truncated_sum.h"

namespace emulator {
namespace {

float element(std::uint32_t word, int half) {
    return to_float(bf16{static_cast<std::uint16_t>(word >> 16 * half)});
}

static_assert(cpu::lanes == 16);

void multiply_all(void* const* lanes) {
    float a[16][16], d[8][16];  // [k][row], [column][row]
    float b[16][8];
    for (int lane = 0; lane < 32; ++lane) {
        const auto& part = *static_cast<const MatrixProduct*>(lanes[lane]);
        const int g = lane / 4, t = lane % 4;
        for (int half = 0; half < 2; ++half) {
            for (int i = 0; i < 4; ++i) a[2 * t + i / 2 * 8 + half][g + i % 2 * 8] = element(part.a[i], half);
            for (int i = 0; i < 2; ++i) b[2 * t + i * 8 + half][g] = element(part.b[i], half);
        }
    }
    for (int lane = 0; lane < 32; ++lane) {
        const auto& part = *static_cast<const MatrixProduct*>(lanes[lane]);
        for (int i = 0; i < 4; ++i) d[lane % 4 * 2 + i % 2][lane / 4 + i / 2 * 8] = part.d[i];
    }
    const TensorCore core = tensor_core();
    for (int column = 0; column < 8; ++column) {
        cpu::Vector sum;
        cpu::load(sum, d[column]);
        for (int first = 0; first < 16; first += core.products) {
            cpu::Vector products[most_products];
            for (int i = 0; i < core.products; ++i) {
                cpu::load(products[i], a[first + i]);
                products[i] *= b[first + i][column];
            }
            add_products(sum, products, core.products, core);
        }
        cpu::store(d[column], sum);
    }
    for (int lane = 0; lane < 32; ++lane) {
        auto& part = *static_cast<MatrixProduct*>(lanes[lane]);
        for (int i = 0; i < 4; ++i) part.d[i] = d[lane % 4 * 2 + i % 2][lane / 4 + i / 2 * 8];
    }
}

struct MatrixLoad {
    std::uint16_t row[8];
    std::uint32_t registers[4];
    int count;
    bool transposed;
};

void load_all(void* const* lanes) {
    for (int lane = 0; lane < 32; ++lane) {
        auto& mine = *static_cast<MatrixLoad*>(lanes[lane]);
        const int g = lane / 4, t = lane % 4;
        for (int i = 0; i < mine.count; ++i) {
            const auto at = [&](int row, int column) -> std::uint32_t {
                return static_cast<const MatrixLoad*>(lanes[8 * i + row])->row[column];
            };
            mine.registers[i] = mine.transposed ? at(2 * t, g) | at(2 * t + 1, g) << 16
                                                : at(g, 2 * t) | at(g, 2 * t + 1) << 16;
        }
    }
}

}  // namespace

void multiply(MatrixProduct& mine, const Where& where) {
    compute_with_warp(WarpOperation::matrix_product, &mine, multiply_all, where);
}

void load_matrices(std::uint32_t* registers, int count, const std::uint16_t (&row)[8], bool transposed,
                   const Where& where) {
    MatrixLoad mine{{}, {}, count, transposed};
    std::memcpy(mine.row, row, sizeof mine.row);
    compute_with_warp(WarpOperation::load_matrix, &mine, load_all, where);
    std::memcpy(registers, mine.registers, static_cast<std::size_t>(count) * sizeof(std::uint32_t));
}

void fail_unaligned(const char* what) {
    fail(fmt::format("{} is not a multiple of 16 bytes", what));
}

}  // namespace emulator
