// A lane of a register is a code: the codebook is transposed once into panels of two registers of codes, each
// [C, 32] with AVX-512, of which the first-level cache holds one while a thread walks over its vectors z. Four of
// those are processed at a time, so that 8 running sums stay in registers and a load of two registers serves 8
// multiplications. Every code's distance is summed by the same additions, in the order of channels, at any
// position; so equal rows of the codebook have equal distances to the bit, and the first of them is selected.
#include "kernels/layout/nearest_code.h"

#include <algorithm>
#include <limits>

#include "kernels/common/partition.h"
#include "kernels/common/vector.h"

namespace cpu {
namespace {

constexpr std::int64_t panel = 2 * register_lanes, together = 4;
constexpr float nowhere = std::numeric_limits<float>::infinity();

std::int64_t panels_of(std::int64_t K) {
    return (K + panel - 1) / panel;
}

// The nearest of every lane's codes so far.
struct Nearest {
    Register distance;
    RegisterIndex code;
};

// Distances of `together` rows of z to the two vectors of codes, each compared with the nearest so far.
void compare_panel(Nearest (&nearest)[together], const float* codes, const float* z, std::int64_t rows,
                   std::int64_t first_code, std::int64_t C) {
    Register sums[together][2] = {};
    for (std::int64_t c = 0; c < C; ++c) {
        const Register e0 = load_register(codes + c * panel),
                       e1 = load_register(codes + c * panel + register_lanes);
#pragma GCC unroll 4
        for (std::int64_t row = 0; row < together; ++row) {
            const float value = z[std::min(row, rows - 1) * C + c];
            const Register d0 = e0 - value, d1 = e1 - value;
            sums[row][0] += d0 * d0;
            sums[row][1] += d1 * d1;
        }
    }
    RegisterIndex index;
    for (int lane = 0; lane < register_lanes; ++lane)
        index[lane] = static_cast<std::int32_t>(first_code) + lane;
    for (int half = 0; half < 2; ++half, index += register_lanes)
        for (std::int64_t row = 0; row < together; ++row) {
            const RegisterIndex nearer = sums[row][half] < nearest[row].distance;
            nearest[row].distance = nearer ? sums[row][half] : nearest[row].distance;
            nearest[row].code = nearer ? index : nearest[row].code;
        }
}

std::int32_t first_nearest(const Nearest& nearest) {
    int best = 0;
    for (int lane = 1; lane < register_lanes; ++lane) {
        const float distance = nearest.distance[lane], least = nearest.distance[best];
        if (distance < least || (distance == least && nearest.code[lane] < nearest.code[best])) best = lane;
    }
    return nearest.code[best];
}

// workspace [panels, C, panel]; lanes behind the last code are infinitely far from everything.
void transpose_codebook(float* workspace, const float* codebook, std::int64_t K, std::int64_t C) {
    for_each_task(panels_of(K), K * C, [=](std::int64_t task) {
        float* to = workspace + task * panel * C;
        for (std::int64_t lane = 0; lane < panel; ++lane) {
            const std::int64_t k = task * panel + lane;
            for (std::int64_t c = 0; c < C; ++c) to[c * panel + lane] = k < K ? codebook[k * C + c] : nowhere;
        }
    });
}

}  // namespace

void nearest_code(std::int32_t* codes, float* workspace, const float* z, const float* codebook,
                  std::int64_t M, std::int64_t K, std::int64_t C) {
    transpose_codebook(workspace, codebook, K, C);
    // Vectors that pass over a panel while it is in the cache.
    constexpr std::int64_t block = 16 * together;
    for_each_task((M + block - 1) / block, M * K, [=](std::int64_t task) {
        const std::int64_t begin = task * block, count = std::min(block, M - begin);
        Nearest nearest[block / together][together];
        for (auto& group : nearest)
            for (Nearest& row : group) row = {Register{} + nowhere, RegisterIndex{}};
        for (std::int64_t p = 0; p < panels_of(K); ++p)
            for (std::int64_t row = 0; row < count; row += together)
                compare_panel(nearest[row / together], workspace + p * panel * C, z + (begin + row) * C,
                              count - row, p * panel, C);
        for (std::int64_t row = 0; row < count; ++row)
            codes[begin + row] = first_nearest(nearest[row / together][row % together]);
    });
}

std::int64_t nearest_code_workspace(std::int64_t K, std::int64_t C) {
    return panels_of(K) * panel * C;
}

}  // namespace cpu
