// The dropout factors of one tile of attention weights, drawn by the rule of attention.h (AttentionDropout)
// at each use: forward and backward draw the same ones, so none are stored.
//
// Numbers follow each other along the keys, while a tile is [key][query]; they are drawn row by row and
// transposed. Cost: about 0.5 ns per weight and core, a quarter of the attention itself at head_dim 64.
#pragma once

#include <cmath>
#include <cstdint>

#include "kernels/attention/attention.h"
#include "kernels/attention/attention_tile.h"
#include "kernels/pointwise/dropout_mask.h"

namespace cpu::attention {

// A tile of the weights [S, H, L, L].
struct WeightTile {
    std::int64_t sequence, head, length, first_query, first_key;
    int queries, keys;
};

class DropoutTile {
  public:
    // Fills factor[key][query], 0 or 1 / (1 - p), for the queries and keys of the tile.
    void draw(const AttentionDropout& dropout, const WeightTile& tile) {
        const float* row_start[tile_rows];
        const std::int64_t length = tile.length;
        const std::int64_t first = (tile.head * length + tile.first_query) * length + tile.first_key;
        if (tile.keys == length) {  // the rows follow each other without gaps: one run of numbers
            draw_run(factors_, dropout, tile.sequence, first, tile.queries * length);
            for (int i = 0; i < tile_rows; ++i)
                row_start[i] = factors_ + first % 4 + std::min(i, tile.queries - 1) * length;
        } else {
            for (int i = 0; i < tile.queries; ++i)
                draw_run(factors_ + i * row_room, dropout, tile.sequence, first + i * length, tile.keys);
            for (int i = 0; i < tile_rows; ++i) {
                const int row = std::min(i, tile.queries - 1);
                row_start[i] = factors_ + row * row_room + (first + row * length) % 4;
            }
        }
        for (int i = 0; i < tile.queries; i += lanes) {
            for (int j = 0; j < tile.keys; j += lanes) {
                const float* block[lanes];
                for (int r = 0; r < lanes; ++r) block[r] = row_start[i + r] + j;
                transpose_16x16(&factor[j][i], tile_rows, block);
            }
        }
    }

    alignas(64) Tile factor;

  private:
    // The factors of elements first .. first + count - 1, to target + first % 4. Whole groups of 16 counters
    // are drawn, so up to 63 floats behind them are overwritten as well: rows are drawn in ascending order.
    static void draw_run(float* target, const AttentionDropout& dropout, std::int64_t sequence,
                         std::int64_t first, std::int64_t count) {
        const auto id = static_cast<std::uint64_t>(dropout.sequence_ids[sequence]);
        const auto low = static_cast<std::uint32_t>(id), high = static_cast<std::uint32_t>(id >> 32);
        const float kept = 1 / (1 - dropout.probability);
        // unit_float(word) >= p, as a comparison of integers
        const auto threshold = static_cast<std::uint32_t>(std::ceil(dropout.probability * 0x1p24f));
        const std::int64_t counters = (first % 4 + count + 3) / 4;
        for (std::int64_t n = 0; n < counters; n += lanes, target += 4 * lanes) {
            std::uint32_t words[4 * lanes];
            philox_group(words, static_cast<std::uint32_t>(first / 4 + n), low, high, dropout.step,
                         dropout.key);
#pragma omp simd
            for (int e = 0; e < 4 * lanes; ++e) target[e] = words[e] >> 8 >= threshold ? kept : 0;
        }
    }

    static constexpr int row_room = tile_rows + 4;
    // The transpose may read 15 floats beyond the last row, the last group drawn may reach 63 beyond it.
    alignas(64) float factors_[tile_rows * row_room + 4 * lanes];
};

}  // namespace cpu::attention
