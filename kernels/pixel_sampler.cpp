// The products are the work, so they are written here: 8 rows times 32 outputs are 16 sums that stay in
// registers, each step over K loads two vectors of weights and eight broadcast activations for 16
// multiply-adds. That keeps both multiply-add units of a core busy while the weights arrive at 16 bytes a
// cycle, which the second-level cache delivers. Weights are packed beforehand because [N, K] rows would have
// to be transposed at every call. All else is called from its own kernel, on the few rows of a tile, where it
// finds its input in the first-level cache and starts no threads.
#include "kernels/pixel_sampler.h"

#include <omp.h>

#include <algorithm>
#include <array>
#include <cassert>
#include <utility>

#include "kernels/attention_decode.h"
#include "kernels/embedding.h"
#include "kernels/gelu.h"
#include "kernels/layernorm.h"
#include "kernels/partition.h"
#include "kernels/vector.h"

namespace cpu {
namespace {

constexpr std::int64_t vocabulary = 256;
constexpr float epsilon = 1e-6f;
constexpr int tile_rows = 8;
constexpr int panel = 2 * lanes;  // outputs
constexpr std::int64_t stack_floats = (512 << 10) / sizeof(float);

std::int64_t round_up_to_panel(std::int64_t n) {
    return (n + panel - 1) / panel * panel;
}
std::int64_t linear_floats(std::int64_t N, std::int64_t K) {
    return round_up_to_panel(N) * (K + 1);
}

std::int64_t norm_floats(std::int64_t W) {
    return round_up_to_panel(2 * W);
}

// Where the parts of the packed weights begin. A norm is [weight, bias] of W each.
struct BlockLayout {
    std::int64_t norm1, qkv, proj, norm2, fc1, fc2, floats;
};
struct Layout {
    std::int64_t condition, ln, norm, logits[3];
    std::int64_t codebooks[2];  // once more as they are, [256, W], for the values that are fed back
    std::int64_t blocks, floats;
    BlockLayout block;  // relative to the block's own beginning
};

BlockLayout block_layout(std::int64_t W) {
    BlockLayout block;
    block.norm1 = 0;
    block.qkv = block.norm1 + norm_floats(W);
    block.proj = block.qkv + linear_floats(3 * W, W);
    block.norm2 = block.proj + linear_floats(W, W);
    block.fc1 = block.norm2 + norm_floats(W);
    block.fc2 = block.fc1 + linear_floats(4 * W, W);
    block.floats = block.fc2 + linear_floats(W, 4 * W);
    return block;
}

Layout packed_layout(const PixelSamplerShape& shape) {
    const std::int64_t W = shape.width;
    Layout layout{};
    layout.ln = layout.condition + linear_floats(W, shape.condition_width);
    layout.norm = layout.ln + norm_floats(W);
    std::int64_t next = layout.norm + norm_floats(W);
    for (std::int64_t c = 0; c < shape.channels; ++c) {
        layout.logits[c] = next;
        next += linear_floats(vocabulary, W);
        if (c + 1 == shape.channels) break;
        layout.codebooks[c] = next;
        next += vocabulary * W;
    }
    layout.blocks = next;
    layout.block = block_layout(W);
    layout.floats = layout.blocks + shape.blocks * layout.block.floats;
    return layout;
}

void pack_norm(float* packed, const float* weight, const float* bias, std::int64_t W) {
    std::copy_n(weight, W, packed);
    std::copy_n(bias, W, packed + W);
}

void pack_linear(float* packed, const float* weight, const float* bias, std::int64_t N, std::int64_t K) {
    for (std::int64_t first = 0; first < N; first += panel, packed += (K + 1) * panel) {
        std::fill_n(packed, (K + 1) * panel, 0.0f);
        for (std::int64_t n = first; n < std::min(N, first + panel); ++n) {
            float* column = packed + (n - first);
            column[0] = bias[n];
            for (std::int64_t k = 0; k < K; ++k) column[(k + 1) * panel] = weight[n * K + k];
        }
    }
}

struct Product {
    float* y;        // [rows, N]
    const float* x;  // [rows, K]
    const float* panels;
    std::int64_t N, K;
    bool accumulate = false;  // y += ... instead of y = ...
};

template <int Rows>
void store_panel(const Product& p, std::int64_t column, const Vector (&sum)[Rows][2]) {
    float* y = p.y + column;
    const std::int64_t columns = std::min<std::int64_t>(panel, p.N - column);
    if (columns == panel) {
        for (int r = 0; r < Rows; ++r, y += p.N) {
            for (int v = 0; v < 2; ++v) {
                Vector old = {};
                if (p.accumulate) load(old, y + v * lanes);
                store(y + v * lanes, old + sum[r][v]);
            }
        }
        return;
    }
    float values[Rows][panel];
    for (int r = 0; r < Rows; ++r)
        for (int v = 0; v < 2; ++v) store(&values[r][v * lanes], sum[r][v]);
    for (int r = 0; r < Rows; ++r, y += p.N)
        for (int n = 0; n < columns; ++n) y[n] = (p.accumulate ? y[n] : 0.0f) + values[r][n];
}

// The sum over k runs in one order for every number of rows, so a row's bits do not depend on it.
template <int Rows>
void multiply(const Product& p) {
    const float* weight = p.panels;
    for (std::int64_t column = 0; column < p.N; column += panel) {
        Vector sum[Rows][2], b[2];
        for (int v = 0; v < 2; ++v) {
            load(b[v], weight + v * lanes);
            for (int r = 0; r < Rows; ++r) sum[r][v] = b[v];
        }
        weight += panel;
        for (std::int64_t k = 0; k < p.K; ++k, weight += panel) {
            for (int v = 0; v < 2; ++v) load(b[v], weight + v * lanes);
            for (int r = 0; r < Rows; ++r) {
                const float a = p.x[r * p.K + k];
                for (int v = 0; v < 2; ++v) sum[r][v] += a * b[v];
            }
        }
        store_panel<Rows>(p, column, sum);
    }
}

template <int... Index>
constexpr auto multiply_functions(std::integer_sequence<int, Index...>) {
    return std::array{multiply<Index + 1>...};
}
constexpr auto multiply_rows = multiply_functions(std::make_integer_sequence<int, tile_rows>{});

std::int64_t activation_floats(const PixelSamplerShape& shape) {
    return tile_rows * (2 * shape.width + std::max(4 * shape.width, vocabulary) +
                        2 * shape.blocks * shape.channels * shape.width);
}

// The rows of a tile on their way through the level: the conditional ones, then their unconditional partners.
struct Tile {
    const PixelSamplerShape& shape;
    int rows;
    float *x, *normed;  // [rows, W]
    float* wide;        // q, k and v [rows, 3 W], the MLP's hidden layer [rows, 4 W] or logits [rows, 256]
    float* caches;      // per block keys, then values [rows, heads, channels, head_dim]
};

void product(const Tile& tile, const Product& p) {
    multiply_rows[static_cast<std::size_t>(tile.rows - 1)](p);
}

void normalize(const Tile& tile, float* y, const float* norm) {
    const std::int64_t W = tile.shape.width;
    float mean[tile_rows], rstd[tile_rows];
    layernorm_forward(y, mean, rstd, tile.x, norm, norm + W, tile.rows, W, epsilon);
}

void run_block(const Tile& tile, const float* packed, const BlockLayout& block, float* keys, float* values,
               std::int64_t channel) {
    const std::int64_t W = tile.shape.width, heads = tile.shape.heads;
    normalize(tile, tile.normed, packed + block.norm1);
    product(tile, {tile.wide, tile.normed, packed + block.qkv, 3 * W, W});
    attention_decode(tile.normed, keys, values, tile.wide, tile.rows, heads, W / heads, channel,
                     tile.shape.channels);
    product(tile, {tile.x, tile.normed, packed + block.proj, W, W, true});
    normalize(tile, tile.normed, packed + block.norm2);
    product(tile, {tile.wide, tile.normed, packed + block.fc1, 4 * W, W});
    // Row by row: within a longer run an element's place among vectors would depend on its row.
    for (int r = 0; r < tile.rows; ++r) gelu_forward(tile.wide + r * 4 * W, tile.wide + r * 4 * W, 4 * W);
    product(tile, {tile.x, tile.wide, packed + block.fc2, W, 4 * W, true});
}

// tile.x holds the tokens of `channel`; leaves its logits in tile.wide [rows, 256].
void predict(const Tile& tile, const float* packed, const Layout& layout, std::int64_t channel) {
    const std::int64_t W = tile.shape.width, cache = tile.rows * tile.shape.channels * W;
    normalize(tile, tile.x, packed + layout.ln);
    for (std::int64_t i = 0; i < tile.shape.blocks; ++i) {
        float* keys = tile.caches + 2 * i * cache;
        run_block(tile, packed + layout.blocks + i * layout.block.floats, layout.block, keys, keys + cache,
                  channel);
    }
    normalize(tile, tile.normed, packed + layout.norm);
    product(tile, {tile.wide, tile.normed, packed + layout.logits[channel], vocabulary, W});
}

// What all tiles share: the arguments of pixel_sample.
struct Job {
    std::int32_t* values;
    float* margins;
    const float *conditions, *uniforms, *packed;
    const PixelSamplerShape& shape;
    std::int64_t draws;
    const Guidance& guidance;
};

// Tokens of the first channel, for both halves of the rows.
void project_conditions(const Job& job, const Layout& layout, const Tile& tile, std::int64_t first,
                        int halves) {
    const std::int64_t K = job.shape.condition_width, W = job.shape.width;
    const int drawn = tile.rows / halves;
    for (int half = 0; half < halves; ++half)
        multiply_rows[static_cast<std::size_t>(drawn - 1)]({tile.x + half * drawn * W,
                                                            job.conditions + (half * job.draws + first) * K,
                                                            job.packed + layout.condition, W, K});
}

// All channels of the draws first .. first + drawn - 1.
void sample_tile(const Job& job, const Layout& layout, std::int64_t first, int drawn) {
    alignas(64) float room[stack_floats];
    const std::int64_t W = job.shape.width, channels = job.shape.channels;
    const int halves = job.guidance.scale == 1.0f ? 1 : 2, rows = halves * drawn;
    float *normed = room + rows * W, *wide = normed + rows * W;
    float* caches = wide + rows * std::max(4 * W, vocabulary);
    const Tile tile{job.shape, rows, room, normed, wide, caches};
    std::int32_t values[tile_rows];
    project_conditions(job, layout, tile, first, halves);
    for (std::int64_t c = 0; c < channels; ++c) {
        predict(tile, job.packed, layout, c);
        const float* unconditional = halves == 1 ? nullptr : tile.wide + drawn * vocabulary;
        const std::int64_t at = c * job.draws + first;
        categorical_sample(values, job.margins == nullptr ? nullptr : job.margins + at, tile.wide,
                           unconditional, job.uniforms == nullptr ? nullptr : job.uniforms + at, drawn,
                           vocabulary, job.guidance);
        for (int half = 0; half < halves; ++half) {
            for (int i = 0; i < drawn; ++i)
                job.values[(half * job.draws + first + i) * channels + c] = values[i];
            if (c + 1 < channels)
                embedding_forward(tile.x + half * drawn * W, W, job.packed + layout.codebooks[c], values, 1,
                                  drawn, W);
        }
    }
}

// As many as the threads can share evenly, with at least half the rows that a tile may have.
std::int64_t tile_count(std::int64_t draws, std::int64_t most_draws) {
    const std::int64_t threads = omp_get_max_threads();
    const std::int64_t least = (draws + most_draws - 1) / most_draws;
    const std::int64_t even = (least + threads - 1) / threads * threads;
    return std::min(even, std::max(least, draws / (most_draws / 2)));
}

}  // namespace

bool pixel_sampler_fits(const PixelSamplerShape& shape) {
    return activation_floats(shape) <= stack_floats;
}

std::int64_t pixel_sampler_packed_floats(const PixelSamplerShape& shape) {
    return packed_layout(shape).floats;
}

void pixel_sampler_pack(float* packed, const PixelSamplerWeights& weights, const PixelSamplerShape& shape) {
    const std::int64_t W = shape.width;
    const Layout layout = packed_layout(shape);
    pack_linear(packed + layout.condition, weights.condition_weight, weights.condition_bias, W,
                shape.condition_width);
    pack_norm(packed + layout.ln, weights.ln_weight, weights.ln_bias, W);
    pack_norm(packed + layout.norm, weights.norm_weight, weights.norm_bias, W);
    for (std::int64_t c = 0; c < shape.channels; ++c) {
        pack_linear(packed + layout.logits[c], weights.codebooks[c], weights.biases[c], vocabulary, W);
        if (c + 1 < shape.channels)
            std::copy_n(weights.codebooks[c], vocabulary * W, packed + layout.codebooks[c]);
    }
    for (std::int64_t i = 0; i < shape.blocks; ++i) {
        const PixelSamplerBlock& block = weights.blocks[i];
        float* start = packed + layout.blocks + i * layout.block.floats;
        pack_norm(start + layout.block.norm1, block.norm1_weight, block.norm1_bias, W);
        pack_linear(start + layout.block.qkv, block.qkv_weight, block.qkv_bias, 3 * W, W);
        pack_linear(start + layout.block.proj, block.proj_weight, block.proj_bias, W, W);
        pack_norm(start + layout.block.norm2, block.norm2_weight, block.norm2_bias, W);
        pack_linear(start + layout.block.fc1, block.fc1_weight, block.fc1_bias, 4 * W, W);
        pack_linear(start + layout.block.fc2, block.fc2_weight, block.fc2_bias, W, 4 * W);
    }
}

void pixel_sample(std::int32_t* values, float* margins, const float* conditions, const float* uniforms,
                  const float* packed, const PixelSamplerShape& shape, std::int64_t draws,
                  const Guidance& guidance) {
    assert(pixel_sampler_fits(shape));
    const Layout layout = packed_layout(shape);
    const Job job{values, margins, conditions, uniforms, packed, shape, draws, guidance};
    const std::int64_t halves = guidance.scale == 1.0f ? 1 : 2, tiles = tile_count(draws, tile_rows / halves);
    const std::int64_t activations =
        halves * draws * shape.channels * (9 * shape.width * shape.blocks + vocabulary);
    const std::int64_t shared_out = tiles > 1 ? activations : 0;  // a single tile starts no threads
    for_each_task(tiles, shared_out, [&job, &layout, draws, tiles](std::int64_t tile) {
        const auto [begin, end] = row_slice(draws, tiles, tile);
        sample_tile(job, layout, begin, static_cast<int>(end - begin));
    });
}

}  // namespace cpu
