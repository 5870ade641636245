// In place on the packed q, k, v that the matrix product wrote, so no head is copied. The table's row serves
// all heads of q and k of a token from the first-level cache. Pairs are adjacent (the checkpoints' layout),
// so the vector code spends two shuffles each way; pairs half a head apart would need none.
#include "kernels/attention/rotary.h"

#include <cmath>

#include "kernels/common/partition.h"

namespace cpu {

void rotary_table(float* cosine, float* sine, std::int64_t grid, std::int64_t head_dim) {
    const std::int64_t half = head_dim / 2, quarter = head_dim / 4;
    std::fill(cosine, cosine + half, 0.0f);
    std::fill(sine, sine + half, 0.0f);
    for (std::int64_t cell = 0; cell < grid * grid; ++cell) {
        for (std::int64_t j = 0; j < half; ++j) {
            const std::int64_t position = j < quarter ? cell / grid : cell % grid;
            const std::int64_t k = j < quarter ? j : j - quarter;
            const double frequency =
                std::pow(10000.0, -4.0 * static_cast<double>(k) / static_cast<double>(head_dim));
            const double angle = static_cast<double>(position) * frequency;
            cosine[(1 + cell) * half + j] = static_cast<float>(std::cos(angle));
            sine[(1 + cell) * half + j] = static_cast<float>(std::sin(angle));
        }
    }
}

// Turns the heads of one token's q and k; `direction` 1 forward, -1 backward.
static void turn_token(float* token, const float* cosine, const float* sine, std::int64_t heads,
                       std::int64_t head_dim, float direction) {
    for (std::int64_t head = 0; head < 2 * heads; ++head) {
        float* pairs = token + head * head_dim;
#pragma omp simd
        for (std::int64_t j = 0; j < head_dim / 2; ++j) {
            const float a = pairs[2 * j], b = pairs[2 * j + 1];
            const float c = cosine[j], s = direction * sine[j];
            pairs[2 * j] = a * c - b * s;
            pairs[2 * j + 1] = b * c + a * s;
        }
    }
}

static void turn(float* qkv, const float* cosine, const float* sine, std::int64_t sequences,
                 std::int64_t length, std::int64_t heads, std::int64_t head_dim, std::int64_t first_position,
                 float direction) {
    const std::int64_t half = head_dim / 2, stride = 3 * heads * head_dim;
    for_each_task(sequences * length, sequences * length * 2 * heads * head_dim, [=](std::int64_t token) {
        const std::int64_t entry = first_position + token % length;
        turn_token(qkv + token * stride, cosine + entry * half, sine + entry * half, heads, head_dim,
                   direction);
    });
}

void rotary_forward(float* qkv, const float* cosine, const float* sine, std::int64_t sequences,
                    std::int64_t length, std::int64_t heads, std::int64_t head_dim,
                    std::int64_t first_position) {
    turn(qkv, cosine, sine, sequences, length, heads, head_dim, first_position, 1.0f);
}

void rotary_backward(float* d_qkv, const float* cosine, const float* sine, std::int64_t sequences,
                     std::int64_t length, std::int64_t heads, std::int64_t head_dim,
                     std::int64_t first_position) {
    turn(d_qkv, cosine, sine, sequences, length, heads, head_dim, first_position, -1.0f);
}

}  // namespace cpu
