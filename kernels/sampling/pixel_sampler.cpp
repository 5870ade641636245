// A tile of rows goes through everything on one thread: the products through packed_linear_tile, which keeps
// both multiply-add units busy while the weights stream from the second-level cache, all else through its own
// kernel, which finds its few rows in the first-level cache and starts no threads.
#include "kernels/sampling/pixel_sampler.h"

#include <algorithm>
#include <cassert>

#include "kernels/attention/attention_decode.h"
#include "kernels/common/partition.h"
#include "kernels/layout/embedding.h"
#include "kernels/layout/pixels.h"
#include "kernels/linear/packed_linear.h"
#include "kernels/norm/layernorm.h"
#include "kernels/pointwise/gelu.h"
#include "kernels/sampling/uniform.h"

namespace cpu {
namespace {

constexpr std::int64_t vocabulary = 256;
constexpr float epsilon = 1e-6f;
constexpr int tile_rows = packed_rows;
constexpr std::int64_t stack_floats = (512 << 10) / sizeof(float);

std::int64_t norm_floats(std::int64_t W) {
    return (2 * W + packed_panel - 1) / packed_panel * packed_panel;
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
    block.proj = block.qkv + packed_linear_elements(3 * W, W);
    block.norm2 = block.proj + packed_linear_elements(W, W);
    block.fc1 = block.norm2 + norm_floats(W);
    block.fc2 = block.fc1 + packed_linear_elements(4 * W, W);
    block.floats = block.fc2 + packed_linear_elements(W, 4 * W);
    return block;
}

Layout packed_layout(const PixelSamplerShape& shape) {
    const std::int64_t W = shape.width;
    Layout layout{};
    layout.ln = layout.condition + packed_linear_elements(W, shape.condition_width);
    layout.norm = layout.ln + norm_floats(W);
    std::int64_t next = layout.norm + norm_floats(W);
    for (std::int64_t c = 0; c < shape.channels; ++c) {
        layout.logits[c] = next;
        next += packed_linear_elements(vocabulary, W);
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

void normalize(const Tile& tile, float* y, const float* norm) {
    const std::int64_t W = tile.shape.width;
    float mean[tile_rows], rstd[tile_rows];
    layernorm_forward(y, mean, rstd, tile.x, norm, norm + W, tile.rows, W, epsilon);
}

void run_block(const Tile& tile, const float* packed, const BlockLayout& block, float* keys, float* values,
               std::int64_t channel) {
    const std::int64_t W = tile.shape.width, heads = tile.shape.heads;
    normalize(tile, tile.normed, packed + block.norm1);
    packed_linear_tile(tile.wide, tile.normed, packed + block.qkv, tile.rows, 3 * W, W, false);
    attention_decode(tile.normed, keys, values, tile.wide, tile.rows, heads, W / heads, channel,
                     tile.shape.channels);
    packed_linear_tile(tile.x, tile.normed, packed + block.proj, tile.rows, W, W, true);
    normalize(tile, tile.normed, packed + block.norm2);
    packed_linear_tile(tile.wide, tile.normed, packed + block.fc1, tile.rows, 4 * W, W, false);
    // Row by row: within a longer run an element's place among vectors would depend on its row.
    for (int r = 0; r < tile.rows; ++r) gelu_forward(tile.wide + r * 4 * W, tile.wide + r * 4 * W, 4 * W);
    packed_linear_tile(tile.x, tile.wide, packed + block.fc2, tile.rows, W, 4 * W, true);
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
    packed_linear_tile(tile.wide, tile.normed, packed + layout.logits[channel], tile.rows, vocabulary, W,
                       false);
}

// Common to all tiles: the arguments of pixel_sample.
struct Job {
    std::int32_t* values;
    float* margins;
    const float *conditions, *uniforms, *packed;
    const PixelSamplerShape& shape;
    std::int64_t draws;
    const Guidance& guidance;
    const std::uint8_t* limits;
    const PixelCode& code;
    const std::int64_t* sequence_ids;
    const PhiloxKey* key;
    const NormalizedPixels& normalized;
};

// Tokens of the first channel, for the guidance_rows rows of each draw.
void project_conditions(const Job& job, const Layout& layout, const Tile& tile, std::int64_t first,
                        int guidance_rows) {
    const std::int64_t K = job.shape.condition_width, W = job.shape.width;
    const int drawn = tile.rows / guidance_rows;
    for (int half = 0; half < guidance_rows; ++half)
        packed_linear_tile(tile.x + half * drawn * W, job.conditions + (half * job.draws + first) * K,
                           job.packed + layout.condition, drawn, W, K, false);
}

// values [drawn] of one channel of the draws first .. first + drawn - 1, from the tile's logits.
void draw_tile(const Job& job, const Tile& tile, std::int32_t* values, std::int64_t first, int drawn,
               std::int64_t channel) {
    const float* unconditional = job.guidance.scale == 1.0f ? nullptr : tile.wide + drawn * vocabulary;
    const std::int64_t at = channel * job.draws + first;
    const float* uniforms = job.uniforms == nullptr ? nullptr : job.uniforms + at;
    float numbers[tile_rows];
    if (uniforms == nullptr && job.key != nullptr) {
        for (int i = 0; i < drawn; ++i)
            numbers[i] =
                uniform_of(static_cast<std::uint32_t>(channel), job.sequence_ids[first + i], *job.key);
        uniforms = numbers;
    }
    categorical_sample(values, job.margins == nullptr ? nullptr : job.margins + at, tile.wide, unconditional,
                       uniforms, drawn, vocabulary, job.guidance,
                       job.limits == nullptr ? nullptr : job.limits + 2 * at);
}

// The same of a code.
void code_tile(const Job& job, const Tile& tile, std::int32_t* values, std::int64_t first, int drawn,
               std::int64_t channel) {
    const PixelCode& code = job.code;
    for (int i = 0; i < drawn; ++i) {
        const float* logits = tile.wide + i * vocabulary;
        if (code.decodes()) {
            const std::int64_t picture = code.picture_of(first + i);
            values[i] = decode_value(logits, code.lanes[picture], code.bytes_of(picture, job.shape.channels));
        } else {
            const std::int64_t at = code.pixels[first + i] * job.shape.channels + channel;
            values[i] = code.given[at];
            code.intervals[at] = value_interval(logits, values[i]);
        }
    }
}

// All channels of the draws first .. first + drawn - 1.
void sample_tile(const Job& job, const Layout& layout, std::int64_t first, int drawn) {
    alignas(64) float room[stack_floats];
    const std::int64_t W = job.shape.width, channels = job.shape.channels;
    const int guidance_rows = job.guidance.scale == 1.0f ? 1 : 2, rows = guidance_rows * drawn;
    float *normed = room + rows * W, *wide = normed + rows * W;
    float* caches = wide + rows * std::max(4 * W, vocabulary);
    const Tile tile{job.shape, rows, room, normed, wide, caches};
    std::int32_t values[tile_rows];
    project_conditions(job, layout, tile, first, guidance_rows);
    for (std::int64_t c = 0; c < channels; ++c) {
        predict(tile, job.packed, layout, c);
        if (job.code.on())
            code_tile(job, tile, values, first, drawn, c);
        else
            draw_tile(job, tile, values, first, drawn, c);
        for (int half = 0; half < guidance_rows; ++half) {
            for (int i = 0; i < drawn; ++i) {
                const std::int64_t row = half * job.draws + first + i;
                job.values[row * channels + c] = values[i];
                if (const NormalizedPixels& to = job.normalized; to.y != nullptr)
                    to.y[to.rows[row] * channels + c] =
                        normalized_value(values[i], to.mean[c], to.deviation[c]);
            }
            if (c + 1 < channels)
                embedding_forward(tile.x + half * drawn * W, W, job.packed + layout.codebooks[c], values, 1,
                                  drawn, W);
        }
    }
}

// As many as the threads can share evenly, with at least half the rows that a tile may have.
std::int64_t tile_count(std::int64_t draws, std::int64_t most_draws) {
    const std::int64_t threads = thread_count();
    const std::int64_t least = (draws + most_draws - 1) / most_draws;
    const std::int64_t even = (least + threads - 1) / threads * threads;
    return std::min(even, std::max(least, draws / (most_draws / 2)));
}

}  // namespace

bool pixel_sampler_fits(const PixelSamplerShape& shape) {
    return activation_floats(shape) <= stack_floats;
}

std::int64_t pixel_sampler_packed_elements(const PixelSamplerShape& shape) {
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
                  const Guidance& guidance, const std::uint8_t* limits, const PixelCode& code,
                  const std::int64_t* sequence_ids, const PhiloxKey* key,
                  const NormalizedPixels& normalized) {
    assert(pixel_sampler_fits(shape));
    const Layout layout = packed_layout(shape);
    const Job job{values,   margins, conditions, uniforms,     packed, shape,     draws,
                  guidance, limits,  code,       sequence_ids, key,    normalized};
    const std::int64_t guidance_rows = guidance.scale == 1.0f ? 1 : 2,
                       tiles = tile_count(draws, tile_rows / guidance_rows);
    const std::int64_t activations =
        guidance_rows * draws * shape.channels * (9 * shape.width * shape.blocks + vocabulary);
    const std::int64_t shared_out = tiles > 1 ? activations : 0;  // a single tile starts no threads
    for_each_task(tiles, shared_out, [&job, &layout, draws, tiles](std::int64_t tile) {
        const auto [begin, end] = row_slice(draws, tiles, tile);
        sample_tile(job, layout, begin, static_cast<int>(end - begin));
    });
}

}  // namespace cpu
