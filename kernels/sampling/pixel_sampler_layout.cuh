// How the pixel sampler's weights lie in the device's memory, and its activations in a block's shared memory.
//
// Packed weights, in elements of T; every part starts at a multiple of 16 bytes:
//
//   condition    linear [W, condition width]
//   ln, norm     norms [W]
//   per channel  logits: linear [256, W]; then, but for the last channel, the codebook as it is, [256, W]
//   per block    norm1, qkv [3 W, W], proj [W, W], norm2, fc1 [4 W, W], fc2 [W, 4 W]
//
//   norm [W]         float weight, float bias, each filled up to a multiple of 4
//   linear [N, K]    float bias [N'], then the weight, N' and K' being N and K filled up with zeros:
//     T = float      [K, N'], N' a multiple of 4: neighbouring threads take neighbouring outputs
//     T = bf16       [N' / 8, K' / 32, 32 lanes, 8], N' a multiple of 8, K' of 32: a lane's registers of two
//                    fragments B (ptx.cuh), for k and k + 16, so that a warp fetches both by one coalesced
//                    16-byte access per lane and needs neither shared memory nor ldmatrix for them
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "kernels/common/bf16.h"
#include "kernels/common/ptx.cuh"
#include "kernels/sampling/pixel_sampler.h"

namespace cuda::pixel_sampler_detail {

constexpr int vocabulary = 256;
constexpr int columns_of_tile = 8, depth_of_pair = 32;  // of a pair of fragments B

constexpr std::int64_t round_up(std::int64_t x, std::int64_t multiple) {
    return (x + multiple - 1) / multiple * multiple;
}

// `count` floats as elements of T.
template <class T>
constexpr std::int64_t float_elements(std::int64_t count) {
    return count * static_cast<std::int64_t>(sizeof(float) / sizeof(T));
}

template <class T>
constexpr std::int64_t padded_outputs(std::int64_t N) {
    return round_up(N, sizeof(T) == 2 ? columns_of_tile : 4);
}
template <class T>
constexpr std::int64_t padded_depth(std::int64_t K) {
    return sizeof(T) == 2 ? round_up(K, depth_of_pair) : K;
}
template <class T>
constexpr std::int64_t linear_elements(std::int64_t N, std::int64_t K) {
    return float_elements<T>(padded_outputs<T>(N)) + padded_outputs<T>(N) * padded_depth<T>(K);
}

constexpr std::int64_t norm_bias(std::int64_t W) {
    return round_up(W, 4);
}
template <class T>
constexpr std::int64_t norm_elements(std::int64_t W) {
    return float_elements<T>(2 * norm_bias(W));
}

// Where the parts begin. Those of a block are relative to the block's own beginning.
struct BlockLayout {
    std::int64_t norm1, qkv, proj, norm2, fc1, fc2, elements;
};
struct Layout {
    std::int64_t condition, ln, norm, logits[3], codebooks[2], blocks, elements;
    BlockLayout block;
};

template <class T>
Layout packed_layout(const PixelSamplerShape& shape) {
    const std::int64_t W = shape.width;
    std::int64_t next = 0;
    const auto take = [&next](std::int64_t elements) { return next += elements, next - elements; };
    BlockLayout block{};
    block.norm1 = take(norm_elements<T>(W));
    block.qkv = take(linear_elements<T>(3 * W, W));
    block.proj = take(linear_elements<T>(W, W));
    block.norm2 = take(norm_elements<T>(W));
    block.fc1 = take(linear_elements<T>(4 * W, W));
    block.fc2 = take(linear_elements<T>(W, 4 * W));
    block.elements = next;
    next = 0;
    Layout layout{};
    layout.condition = take(linear_elements<T>(W, shape.condition_width));
    layout.ln = take(norm_elements<T>(W));
    layout.norm = take(norm_elements<T>(W));
    for (std::int64_t c = 0; c < shape.channels; ++c) {
        layout.logits[c] = take(linear_elements<T>(vocabulary, W));
        if (c + 1 < shape.channels) layout.codebooks[c] = take(vocabulary * W);
    }
    layout.blocks = take(shape.blocks * block.elements);
    layout.elements = next;
    layout.block = block;
    return layout;
}

// Of a cluster's blocks each has every `ranks`-th tile of 8 outputs of the blocks' products and of the logits in its
// shared memory: bf16 alone. In elements, as if no rank had fewer tiles than another.
constexpr std::int64_t share_elements(std::int64_t N, std::int64_t K, std::int64_t ranks) {
    const std::int64_t tiles = padded_outputs<bf16>(N) / columns_of_tile;
    return (tiles + ranks - 1) / ranks * columns_of_tile * padded_depth<bf16>(K);
}
struct ShareLayout {
    std::int64_t qkv, proj, fc1, fc2, block;  // of a block, and its length
    std::int64_t logits, channel, elements;   // of the first channel, and a channel's length
};
constexpr ShareLayout share_layout(const PixelSamplerShape& shape, std::int64_t ranks) {
    const std::int64_t W = shape.width;
    ShareLayout layout{};
    layout.proj = share_elements(3 * W, W, ranks);
    layout.fc1 = layout.proj + share_elements(W, W, ranks);
    layout.fc2 = layout.fc1 + share_elements(4 * W, W, ranks);
    layout.block = layout.fc2 + share_elements(W, 4 * W, ranks);
    layout.logits = shape.blocks * layout.block;
    layout.channel = share_elements(vocabulary, W, ranks);
    layout.elements = layout.logits + shape.channels * layout.channel;
    return layout;
}

// The activations of a tile of rows. From row to row `normed` and `wide` advance by an odd number of 16-byte
// units, so that the 8 rows of an ldmatrix are in different banks; x by 8 banks beyond a multiple of 32 for
// the same reason. Columns are padded to the next multiple of 32: a product's depth is zero-padded.
struct Strides {
    int x, normed, wide, logits;  // in elements of their types
    int cache;                    // elements of a row over all blocks and earlier channels
};

template <class T>
constexpr Strides activation_strides(const PixelSamplerShape& shape) {
    const auto W = static_cast<int>(shape.width), odd = 8,  // 16 bytes of bf16
        padded = static_cast<int>(round_up(W, depth_of_pair)),
               hidden = static_cast<int>(round_up(4 * W, depth_of_pair)),
               logits = static_cast<int>(float_elements<T>(vocabulary + 4));
    Strides strides{};
    strides.x = padded + 8;
    strides.normed = padded + odd;
    strides.wide = std::max(hidden + odd, logits);
    strides.logits = strides.wide / static_cast<int>(sizeof(float) / sizeof(T));
    strides.cache = static_cast<int>(shape.blocks * (shape.channels - 1)) * 2 * W;
    return strides;
}

// Shared memory of the kernel for the activations of `rows` rows.
template <class T>
std::size_t activation_bytes(const PixelSamplerShape& shape, std::int64_t rows) {
    const Strides strides = activation_strides<T>(shape);
    const auto bytes = [rows](std::int64_t elements, std::size_t size) {
        return shared_array_bytes(static_cast<std::size_t>(rows * elements) * size);
    };
    return bytes(strides.x, sizeof(float)) + bytes(strides.normed, sizeof(T)) +
           bytes(strides.wide, sizeof(T)) + bytes(strides.cache, sizeof(T));
}

}  // namespace cuda::pixel_sampler_detail
