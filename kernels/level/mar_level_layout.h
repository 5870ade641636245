// How the weights of a level lie in the device's memory, in bytes, and the arrays of a block in its shared memory.
//
// A cluster has a rank for 32 columns of the width D: half a head, which also takes 128 columns of the MLP's
// hidden layer. Packed weights:
//
//   level        floats: mask token [D], positions [P + L, D], patch norm, norm (weight [D], bias [D] each),
//                patch bias [D], patch weight [inputs, D]
//   per block and rank, the slabs that the rank reads, by three bulk copies: qkv and proj, fc1, fc2:
//     qkv        norm1, bias [96], tiles [12, D / 32]      32 columns each of q, k and v
//     proj       bias [32], tiles [4, D / 32]              32 columns
//     fc1        norm2, bias [128], tiles [16, D / 32]     128 columns
//     fc2        bias [32], tiles [D / 8, 4]               all columns, of 128 values of the hidden layer
//
// A tile of weights is 8 outputs times a depth of 32 as 32 lanes x 8 bf16: a lane's registers of two fragments B
// (ptx.cuh), for k and k + 16, as one 16-byte access without bank conflicts.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/level/mar_level.h"

namespace cuda::mar_level_detail {

constexpr int piece = 32, head_dim = 64, ranks_per_head = head_dim / piece, hidden_piece = 4 * piece;
constexpr int tile_outputs = 8, tile_depth = 32, tile_bytes = tile_outputs * tile_depth * 2;
constexpr int most_length = 32, most_width = 256;

// Offsets within a slab, and its length.
struct SlabLayout {
    int bias, tiles, bytes;
};
enum Slab { qkv, proj, fc1, fc2, slab_count };

constexpr int outputs_of(Slab slab, int D) {
    return slab == qkv ? 3 * piece : slab == proj ? piece : slab == fc1 ? hidden_piece : D;
}
constexpr int depth_of(Slab slab, int D) {
    return slab == fc2 ? hidden_piece : D;
}
constexpr SlabLayout slab_layout(Slab slab, int D) {
    const int norm = slab == qkv || slab == fc1 ? 2 * D * 4 : 0,
              biases = slab == fc2 ? piece : outputs_of(slab, D), tiles = norm + 4 * biases;
    return {norm, tiles,
            tiles + outputs_of(slab, D) / tile_outputs * (depth_of(slab, D) / tile_depth) * tile_bytes};
}

// Where a rank's slabs of a block begin, and their length together.
constexpr int slab_start(Slab slab, int D) {
    int start = 0;
    for (int s = 0; s < slab; ++s) start += slab_layout(static_cast<Slab>(s), D).bytes;
    return start;
}

// The bulk copies of a block, in the order of their use; where one begins, and the longest one's length. fc1 is as
// long as qkv and proj, fc2 shorter.
constexpr int loads = 3;
constexpr int load_of(Slab slab) {
    return slab <= proj ? 0 : slab - 1;
}
constexpr int load_start(int load, int D) {
    return slab_start(load == 0 ? qkv : static_cast<Slab>(load + 1), D);
}
constexpr int load_bytes(int D) {
    return load_start(1, D);
}

// Floats in front of the slabs.
struct LevelLayout {
    std::int64_t mask_token, positions, patch_norm, norm, patch_bias, patch_weight, count;
};
constexpr LevelLayout level_layout(std::int64_t length, std::int64_t D, std::int64_t inputs) {
    LevelLayout layout{};
    layout.positions = D;
    layout.patch_norm = layout.positions + length * D;
    layout.norm = layout.patch_norm + 2 * D;
    layout.patch_bias = layout.norm + 2 * D;
    layout.patch_weight = layout.patch_bias + D;
    layout.count = layout.patch_weight + inputs * D;
    return layout;
}

// From row to row of a tile an odd number of 16-byte units, for ldmatrix.
constexpr int stride_of(int columns) {
    return columns + 8;
}
constexpr int attention_rows = 16 + 2 * most_length;  // queries of a block, keys, values

constexpr int state_words = 4;  // of 8 bytes: mbarriers of the halves of `weights`, rows in use; 16-byte units

// Elements of a block's arrays in shared memory.
struct SharedLayout {
    int normed, update, partial, attention, stage, weights;  // weights: in bytes, of two bulk copies
};
constexpr SharedLayout shared_layout(int D) {
    return {most_length * stride_of(D),
            most_length * stride_of(D),
            most_length * stride_of(D),
            attention_rows * stride_of(head_dim),
            most_length * stride_of(hidden_piece),
            2 * load_bytes(D)};
}

}  // namespace cuda::mar_level_detail
