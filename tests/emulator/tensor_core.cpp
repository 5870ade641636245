#include "tests/emulator/tensor_core.h"

#include <cstring>

#include "kernels/bf16.h"

namespace emulator {
namespace {

float element(std::uint32_t word, int half) {
    return to_float(bf16{static_cast<std::uint16_t>(word >> 16 * half)});
}

void multiply_all(void* const* lanes) {
    float a[16][16], b[16][8];
    for (int lane = 0; lane < 32; ++lane) {
        const auto& part = *static_cast<const MatrixProduct*>(lanes[lane]);
        const int g = lane / 4, t = lane % 4;
        for (int half = 0; half < 2; ++half) {
            for (int i = 0; i < 4; ++i) a[g + i % 2 * 8][2 * t + i / 2 * 8 + half] = element(part.a[i], half);
            for (int i = 0; i < 2; ++i) b[2 * t + i * 8 + half][g] = element(part.b[i], half);
        }
    }
    for (int lane = 0; lane < 32; ++lane) {
        auto& part = *static_cast<MatrixProduct*>(lanes[lane]);
        const int g = lane / 4, t = lane % 4;
        for (int i = 0; i < 4; ++i) {
            const int row = g + i / 2 * 8, column = 2 * t + i % 2;
            float sum = part.d[i];
            for (int k = 0; k < 16; ++k) sum += a[row][k] * b[k][column];
            part.d[i] = sum;
        }
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

void load_matrices(std::uint32_t* registers, int count, const void* row, bool transposed,
                   const Where& where) {
    MatrixLoad mine{{}, {}, count, transposed};
    if (lane() < 8 * count) {
        require_aligned(row, "ldmatrix: a row's address");
        std::memcpy(mine.row, row, sizeof mine.row);
    }
    compute_with_warp(WarpOperation::load_matrix, &mine, load_all, where);
    std::memcpy(registers, mine.registers, count * sizeof(std::uint32_t));
}

}  // namespace emulator
