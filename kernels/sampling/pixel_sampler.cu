// A block computes a tile of pixels from their conditions to their values; the activations never leave its
// shared memory, and each draw is made by one warp from logits there. With guidance a tile holds the
// conditional rows of its pixels, followed by their unconditional ones.
//
// Weights. All blocks' weights of a narrow level (98 KB in bf16 at width 64, one block) stay in shared
// memory: a thread block loads them once, while it projects the first conditions, and then takes one tile
// after the other, on as many thread blocks as there are multiprocessors. Wider levels (1.2 MB at width 128,
// 3 blocks) stream from the second-level cache, as the codebooks always do: 256 outputs are as much as the
// attention and the MLP at width 64 together, and would leave too little room for rows. Streamed weights are
// loaded directly into the registers of the tensor cores' fragments (pixel_sampler_product.cuh); staging them
// would add a copy and a barrier, and no other warp of the block needs them.
//
// Clusters. With few tiles the multiprocessors that would be idle share the work of a wide level: a cluster of 8 blocks
// has a tile, each block an eighth of the outputs of every product (148 KB at width 128, 3 blocks), whose weights come
// into its shared memory once. All blocks have all activations, and do what lies between the products alike.
//
// Numbers. bf16: the residual stream, norms, softmax, gelu, logits and the draw in float; inputs of products
// (normed, q, k, v, attention's result, the hidden layer) are rounded once. float: the same kernel, products
// by plain multiply-adds.
//
// ptxas budget: 128 registers, no spills
#include "kernels/sampling/pixel_sampler.h"

#include <stdexcept>

#include "kernels/common/cluster.cuh"
#include "kernels/layout/normalized.cuh"
#include "kernels/sampling/categorical.cuh"
#include "kernels/sampling/pixel_sampler_layout.cuh"
#include "kernels/sampling/pixel_sampler_plan.cuh"
#include "kernels/sampling/pixel_sampler_product.cuh"
#include "kernels/sampling/uniform.h"
#include "kernels/sampling/value_code.cuh"

namespace cuda {
namespace {

using namespace pixel_sampler_detail;

constexpr float epsilon = 1e-6f;
constexpr int most_channels = 3;
template <class T>
constexpr int copy_unit = 16 / sizeof(T);  // of an asynchronous copy

template <class T>
struct Job {
    std::int32_t* values;
    float* margins;
    const T* conditions;
    const float* uniforms;
    const T* packed;
    const std::uint8_t* limits;
    const std::int64_t* sequence_ids;
    const PhiloxKey* key;
    NormalizedPixels into;
    std::int64_t draws, tiles;
    Guidance guidance;
    PixelCode code;
    Layout layout;
    ShareLayout share;  // of a block of a cluster
    Strides strides;
    int channels, width, condition_width, blocks, heads;
    int rows, guidance_rows;  // of a tile; guidance_rows: 2 with guidance
};

__device__ int lane_index() {
    return static_cast<int>(threadIdx.x) % warp_size;
}
__device__ int warp_index() {
    return static_cast<int>(threadIdx.x) / warp_size;
}
__device__ int warp_count() {
    return static_cast<int>(blockDim.x) / warp_size;
}

// One row, by one warp; `to` may be `from`. One copy for all its callers, and short loops over the lanes: the
// kernel's code would otherwise exceed the instruction caches.
template <class To>
__attribute__((noinline)) __device__ void normalize(To* to, const float* from, const float* norm, int W) {
    float sum = 0;
#pragma unroll 2
    for (int i = lane_index(); i < W; i += warp_size) sum += from[i];
    const float mean = warp_sum(sum) / static_cast<float>(W);
    float squares = 0;
#pragma unroll 2
    for (int i = lane_index(); i < W; i += warp_size) squares += (from[i] - mean) * (from[i] - mean);
    const float rstd = rsqrtf(warp_sum(squares) / static_cast<float>(W) + epsilon);
    const float* bias = norm + norm_bias(W);
#pragma unroll 2
    for (int i = lane_index(); i < W; i += warp_size)
        to[i] = as<To>((from[i] - mean) * rstd * norm[i] + bias[i]);
}

// A level is a chain of products, with something done row by row between them:
//   condition (by pieces), then for each channel   [qkv, proj, fc1, fc2] per block, logits
enum class Step { condition, qkv, proj, fc1, fc2, logits };

// State of one thread block: its job, the activations of its tile, and the weights of the level's blocks, in
// shared or global memory; in a cluster its share of them.
template <class T, int row_tiles, class Where>
struct Sampler {
    const Job<T>& job;
    Activations<T> tile;
    const T* blocks;
    T* share;  // shared memory

    __device__ const T* block(int i) const { return blocks + i * job.layout.block.elements; }
    __device__ const float* norm(std::int64_t place) const {
        return reinterpret_cast<const float*>(job.packed + place);
    }
    // The norm before block i, or behind the last one.
    __device__ const float* norm_before(int i) const {
        if (i == job.blocks) return norm(job.layout.norm);
        return reinterpret_cast<const float*>(block(i) + job.layout.block.norm1);
    }
    __device__ float* x(int row) const { return tile.x + row * job.strides.x; }
    __device__ T* normed(int row) const { return tile.normed + row * job.strides.normed; }
    __device__ T* wide(int row) const { return tile.wide + row * job.strides.wide; }
    __device__ float* logits(int row) const { return tile.logits + row * job.strides.logits; }

    __device__ void normalize_rows(const float* norm) const {
        for (int row = warp_index(); row < job.rows; row += warp_count())
            normalize(normed(row), x(row), norm, job.width);
    }

    // A packed layer [N, K]; in a cluster its share from `shared` elements on.
    __device__ Product<T> product(const T* packed, int N, int K, bool from_wide, Into into,
                                  std::int64_t shared) const {
        const int outputs = static_cast<int>(padded_outputs<T>(N)),
                  depth = static_cast<int>(padded_depth<T>(K));
        return {reinterpret_cast<const float*>(packed),
                Where::shared ? share + shared : packed + float_elements<T>(outputs),
                outputs,
                depth,
                0,
                depth,
                from_wide,
                into,
                Where::shared};
    }
    // Starts to copy what product() expects there.
    __device__ void fetch_share(const T* packed, int N, int K, std::int64_t shared) const {
        const int tiles = static_cast<int>(padded_outputs<T>(N)) / columns_of_tile,
                  units = static_cast<int>(padded_depth<T>(K)) * columns_of_tile / copy_unit<T>;
        const T* weight = packed + float_elements<T>(padded_outputs<T>(N));
#pragma unroll 1
        for (int i = static_cast<int>(threadIdx.x); i < tiles * units; i += static_cast<int>(blockDim.x)) {
            const int outputs = i / units * Where::ranks() + Where::rank();
            if (outputs >= tiles) break;
            copy_async_16(share + shared + i * copy_unit<T>,
                          weight + (static_cast<std::int64_t>(outputs) * units + i % units) * copy_unit<T>);
        }
    }
    __device__ void fetch_shares() const {
        const int W = job.width;
        const BlockLayout& packed = job.layout.block;
#pragma unroll 1
        for (int i = 0; i < job.blocks; ++i) {
            const std::int64_t start = i * job.share.block;
            fetch_share(block(i) + packed.qkv, 3 * W, W, start + job.share.qkv);
            fetch_share(block(i) + packed.proj, W, W, start + job.share.proj);
            fetch_share(block(i) + packed.fc1, 4 * W, W, start + job.share.fc1);
            fetch_share(block(i) + packed.fc2, W, 4 * W, start + job.share.fc2);
        }
#pragma unroll 1
        for (int c = 0; c < job.channels; ++c)
            fetch_share(job.packed + job.layout.logits[c], vocabulary, W,
                        job.share.logits + c * job.share.channel);
        copy_async_commit();
    }
    // The product of a step; of the conditions' its piece from column `first` on.
    __device__ Product<T> product_of(Step step, int i, int channel, int first) const {
        const int W = job.width;
        const Layout& layout = job.layout;
        const std::int64_t start = i * job.share.block;
        switch (step) {
            case Step::condition: {
                Product<T> piece =
                    product(job.packed + layout.condition, W, job.condition_width, true, Into::x, 0);
                piece.weight = job.packed + layout.condition + float_elements<T>(piece.outputs);
                piece.of_rank = false;
                piece.first = first;
                piece.depth = min(condition_room(), piece.layer_depth - first);
                if (first > 0) piece.bias = nullptr;
                return piece;
            }
            case Step::qkv:
                return product(block(i) + layout.block.qkv, 3 * W, W, false, Into::wide,
                               start + job.share.qkv);
            case Step::proj:
                return product(block(i) + layout.block.proj, W, W, false, Into::x, start + job.share.proj);
            case Step::fc1:
                return product(block(i) + layout.block.fc1, 4 * W, W, false, Into::gelu,
                               start + job.share.fc1);
            case Step::fc2:
                return product(block(i) + layout.block.fc2, W, 4 * W, true, Into::x, start + job.share.fc2);
            default:
                return product(job.packed + layout.logits[channel], vocabulary, W, false, Into::logits,
                               job.share.logits + channel * job.share.channel);
        }
    }

    // Columns of the conditions that fit into `wide`.
    __device__ int condition_room() const { return job.strides.wide / depth_of_pair * depth_of_pair; }

    // wide = the conditions' columns from `first` on, zeros where there are none.
    __device__ void load_conditions(std::int64_t first_draw, int first) const {
        const int count =
            min(condition_room(), static_cast<int>(padded_depth<T>(job.condition_width)) - first);
        const int drawn = job.rows / job.guidance_rows;
        for (int row = warp_index(); row < job.rows; row += warp_count()) {
            const std::int64_t draw = first_draw + row % drawn;
            const T* from = job.conditions + (row / drawn * job.draws + draw) * job.condition_width + first;
            T* to = wide(row);
            const int valid = draw < job.draws ? min(count, job.condition_width - first) : 0;
#pragma unroll 2
            for (int i = lane_index(); i < count; i += warp_size) to[i] = i < valid ? from[i] : T{};
        }
    }

    // normed = attention of q over the keys and values of this channel and those before, whose own join the
    // caches. 8 lanes take one head of one row.
    __device__ void attend(int block, int channel) const {
        constexpr int team = 8, teams = warp_size / team;
        const int W = job.width, head_dim = W / job.heads, units = job.rows * job.heads;
        const int part = lane_index() % team;
        const float scale = rsqrtf(static_cast<float>(head_dim));
        const std::int64_t step = static_cast<std::int64_t>(job.rows) * W;  // from keys to values to keys
        T* cache = tile.caches + block * (job.channels - 1) * 2 * step;
        for (int first = warp_index() * teams; first < units; first += warp_count() * teams) {
            const bool valid = first + lane_index() / team < units;
            const int unit = min(first + lane_index() / team, units - 1);
            const int row = unit / job.heads, column = unit % job.heads * head_dim;
            const T* q = wide(row) + column;
            T* cached = cache + row * W + column;
            float scores[most_channels] = {}, maximum = -INFINITY, sum = 0;
#pragma unroll
            for (int c = 0; c < most_channels; ++c)
                if (c <= channel) {
                    const T* k = c == channel ? q + W : cached + 2 * c * step;
                    float dot = 0;
                    for (int d = part; d < head_dim; d += team) dot += to_float(q[d]) * to_float(k[d]);
                    for (int distance = team / 2; distance > 0; distance /= 2)
                        dot += __shfl_xor_sync(all_lanes, dot, distance);
                    scores[c] = dot * scale;
                    maximum = fmaxf(maximum, scores[c]);
                }
#pragma unroll
            for (int c = 0; c < most_channels; ++c)
                if (c <= channel) {
                    scores[c] = expf(scores[c] - maximum);
                    sum += scores[c];
                }
            if (!valid) continue;
            for (int d = part; d < head_dim; d += team) {
                const T k = q[W + d], v = q[2 * W + d];
                float weighted = 0;
#pragma unroll
                for (int c = 0; c < most_channels; ++c)
                    if (c <= channel)
                        weighted += scores[c] * to_float(c == channel ? v : cached[(2 * c + 1) * step + d]);
                normed(row)[column + d] = as<T>(weighted / sum);
                if (channel + 1 == job.channels) continue;
                cached[2 * channel * step + d] = k;
                cached[(2 * channel + 1) * step + d] = v;
            }
        }
    }

    // A draw of the tile, or a value of its code, by one warp. Draws behind the last are 0.
    __device__ int draw(int channel, int row, std::int64_t draw) const {
        if (draw >= job.draws) return 0;
        const int drawn = job.rows / job.guidance_rows;
        const std::int64_t at = channel * job.draws + draw;
        float margin;
        if (job.code.on()) {
            const int value = code_value(logits(row), job.code, draw, channel, job.channels);
            if (lane_index() == 0) job.values[draw * job.channels + channel] = value;
            return value;
        }
        float number = 0;
        if (job.uniforms)
            number = job.uniforms[at];
        else if (job.key)
            number = uniform_of(static_cast<std::uint32_t>(channel), job.sequence_ids[draw], *job.key);
        const int value =
            draw_categorical(logits(row), job.guidance_rows == 2 ? logits(row + drawn) : nullptr, vocabulary,
                             number, job.limits ? job.limits[2 * at] : 0,
                             job.limits ? job.limits[2 * at + 1] : vocabulary - 1, job.guidance, margin);
        if (lane_index() == 0 && Where::rank() == 0) {
            for (int half = 0; half < job.guidance_rows; ++half)
                job.values[(half * job.draws + draw) * job.channels + channel] = value;
            if (job.margins) job.margins[at] = margin;
        }
        return value;
    }

    // One row of tokens, x, through ln and the first norm behind it.
    __device__ void enter(int row) const {
        normalize(x(row), x(row), norm(job.layout.ln), job.width);
        __syncwarp();
        normalize(normed(row), x(row), norm_before(0), job.width);
    }

    // Draws `channel` from the logits and starts the next channel from the drawn values.
    __device__ void draw_rows(int channel, std::int64_t first_draw) const {
        const int drawn = job.rows / job.guidance_rows;
        for (int i = warp_index(); i < drawn; i += warp_count()) {
            const int value = draw(channel, i, first_draw + i);
            if (channel + 1 == job.channels) continue;
            const T* token = job.packed + job.layout.codebooks[channel] + value * job.width;
            for (int row = i; row < job.rows; row += drawn) {
#pragma unroll 2
                for (int d = lane_index(); d < job.width; d += warp_size) x(row)[d] = to_float(token[d]);
                __syncwarp();
                enter(row);
            }
        }
    }

    // normed = LN(x; norm2), and zeros behind the hidden layer that fc1 will leave in `wide`.
    __device__ void prepare_mlp(const float* norm2) const {
        normalize_rows(norm2);
        const int hidden = 4 * job.width;
        for (int row = warp_index(); row < job.rows; row += warp_count())
#pragma unroll 2
            for (int i = hidden + lane_index(); i < padded_depth<T>(hidden); i += warp_size)
                wide(row)[i] = T{};
    }

    __device__ void run(std::int64_t first_draw) const {
        const Step start = job.blocks > 0 ? Step::qkv : Step::logits;
        for (int row = warp_index(); row < job.rows; row += warp_count())
#pragma unroll 2
            for (int i = lane_index(); i < job.strides.x; i += warp_size) x(row)[i] = 0;
        load_conditions(first_draw, 0);
        Where::barrier();
        Step step = Step::condition;
        int channel = 0, i = 0, loaded = 0;
        while (channel < job.channels) {
            multiply<Where, row_tiles>(tile, product_of(step, i, channel, loaded));
            Where::barrier();
            switch (step) {
                case Step::condition:
                    loaded += condition_room();
                    if (loaded < job.condition_width) {
                        load_conditions(first_draw, loaded);
                        break;
                    }
                    copy_async_wait<0>();  // weights that stay: the first norm is among them
                    __syncthreads();
                    for (int row = warp_index(); row < job.rows; row += warp_count()) enter(row);
                    step = start;
                    break;
                case Step::qkv:
                    attend(i, channel);
                    step = Step::proj;
                    break;
                case Step::proj:
                    prepare_mlp(reinterpret_cast<const float*>(block(i) + job.layout.block.norm2));
                    step = Step::fc1;
                    break;
                case Step::fc1:
                    step = Step::fc2;
                    continue;  // nothing happened since the barrier
                case Step::fc2:
                    normalize_rows(norm_before(++i));
                    step = i < job.blocks ? Step::qkv : Step::logits;
                    break;
                case Step::logits:
                    draw_rows(channel++, first_draw);
                    i = 0;
                    step = start;
                    Where::barrier();  // the next product may overwrite a partner's logits
                    continue;
            }
            __syncthreads();
        }
    }
};

// A tile's values, when all have been drawn. Not inlined: its registers are not the sampler's.
template <class T>
__attribute__((noinline)) __device__ void write_normalized(const Job<T>& job, std::int64_t first_draw) {
    const int drawn = job.rows / job.guidance_rows;
#pragma unroll 1
    for (int i = static_cast<int>(threadIdx.x); i < job.rows * job.channels;
         i += static_cast<int>(blockDim.x)) {
        const int channel = i % job.channels, row = i / job.channels;
        const std::int64_t draw = first_draw + row % drawn, from = row / drawn * job.draws + draw;
        if (draw >= job.draws) continue;
        job.into.y[static_cast<std::int64_t>(job.into.rows[from]) * job.channels + channel] =
            normalized(static_cast<float>(job.values[from * job.channels + channel]), job.into.mean[channel],
                       job.into.deviation[channel]);
    }
}

// A thread block loads the resident weights, or its share, into shared memory; then it, or its cluster, processes
// tiles, those of block b being b, b + blocks, ...
template <class T, int row_tiles, bool resident, class Where>
__global__ void __launch_bounds__(resident ? 2 * group_threads : group_threads, resident ? 1 : 2)
    sample(const __grid_constant__ Job<T> job) {
    wait_for_previous_kernel();
    SharedMemory shared;
    Activations<T> tile;
    tile.rows = job.rows;
    tile.strides = job.strides;
    tile.x = shared.take<float>(job.rows * job.strides.x);
    tile.normed = shared.take<T>(job.rows * job.strides.normed);
    tile.wide = shared.take<T>(job.rows * job.strides.wide);
    tile.logits = reinterpret_cast<float*>(tile.wide);
    tile.caches = shared.take<T>(job.rows * job.strides.cache);
    const T* blocks = job.packed + job.layout.blocks;
    T* share = nullptr;
    if constexpr (Where::shared) share = shared.take<T>(job.share.elements);
    if constexpr (resident) {
        const std::int64_t elements = job.blocks * job.layout.block.elements;
        T* copy = shared.take<T>(elements);
        for (std::int64_t i = threadIdx.x * copy_unit<T>; i < elements; i += blockDim.x * copy_unit<T>)
            copy_async_16(copy + i, blocks + i);
        copy_async_commit();
        blocks = copy;
    }
    for (int row = warp_index(); row < job.rows; row += warp_count())
#pragma unroll 2
        for (int i = job.width + lane_index(); i < job.strides.normed; i += warp_size)
            tile.normed[row * job.strides.normed + i] = T{};
    const Sampler<T, row_tiles, Where> sampler{job, tile, blocks, share};
    if constexpr (Where::shared) sampler.fetch_shares();
    const int ranks = Where::ranks();
    for (std::int64_t t = blockIdx.x / ranks; t < job.tiles; t += gridDim.x / ranks) {
        const std::int64_t first_draw = t * (job.rows / job.guidance_rows);
        sampler.run(first_draw);
        if (job.into.y != nullptr && Where::rank() == 0) write_normalized(job, first_draw);
    }
}

ClusterLaunch cluster_launch(const Plan& plan) {
    return {static_cast<unsigned>(plan.tiles) * cluster_size, cluster_size, group_threads, plan.shared_bytes};
}

template <class T>
void launch_tiles(Stream stream, const Plan& plan, const Job<T>& job) {
    const bool resident = plan.weights == Weights::resident;
    const auto blocks = static_cast<unsigned>(
        resident ? std::min(plan.tiles, device_limits().multiprocessors) : plan.tiles);
    const unsigned threads = resident && plan.rows >= 32 ? 2 * group_threads : group_threads;
    const auto with = [&](auto kernel) { launch(kernel, blocks, threads, plan.shared_bytes, stream, job); };
    if constexpr (std::is_same_v<T, bf16>)
        if (plan.weights == Weights::clustered)
            return launch_clusters(sample<bf16, 1, false, Clustered>, cluster_launch(plan), stream, job);
    if constexpr (std::is_same_v<T, float>)
        with(sample<float, 1, false, Alone>);
    else if (resident)
        plan.rows == 64 ? with(sample<bf16, 2, true, Alone>) : with(sample<bf16, 1, true, Alone>);
    else
        plan.rows == 32 ? with(sample<bf16, 2, false, Alone>) : with(sample<bf16, 1, false, Alone>);
}

}  // namespace

bool pixel_sampler_fits(const PixelSamplerShape& shape) {
    const auto no_clusters = [](const Plan&) { return 0; };
    return plan_tiles<float>(shape, 1, 2, no_clusters).rows > 0 &&
           plan_tiles<bf16>(shape, 1, 2, no_clusters).rows > 0;
}

template <class T>
void pixel_sample(Stream stream, std::int32_t* values, float* margins, const T* conditions,
                  const float* uniforms, const T* packed, const PixelSamplerShape& shape, std::int64_t draws,
                  const Guidance& guidance, const std::uint8_t* limits, const PixelCode& code,
                  const std::int64_t* sequence_ids, const PhiloxKey* key, const NormalizedPixels& into) {
    const int guidance_rows = guidance.scale == 1.0f ? 1 : 2;
    // A code's state is read and written by one block.
    const Plan plan = plan_tiles<T>(shape, draws, guidance_rows, [&](const Plan& few) {
        return code.on() ? 0 : resident_clusters(sample<bf16, 1, false, Clustered>, cluster_launch(few));
    });
    if (plan.rows == 0)
        throw std::runtime_error("CUDA: the pixel sampler's activations exceed a block's shared memory");
    const auto narrow = [](std::int64_t size) { return static_cast<int>(size); };
    launch_tiles<T>(stream, plan,
                    {values,
                     margins,
                     conditions,
                     uniforms,
                     packed,
                     limits,
                     sequence_ids,
                     key,
                     into,
                     draws,
                     plan.tiles,
                     guidance,
                     code,
                     packed_layout<T>(shape),
                     share_layout(shape, cluster_size),
                     activation_strides<T>(shape),
                     narrow(shape.channels),
                     narrow(shape.width),
                     narrow(shape.condition_width),
                     narrow(shape.blocks),
                     narrow(shape.heads),
                     narrow(plan.rows),
                     guidance_rows});
}

template void pixel_sample(Stream, std::int32_t*, float*, const float*, const float*, const float*,
                           const PixelSamplerShape&, std::int64_t, const Guidance&, const std::uint8_t*,
                           const PixelCode&, const std::int64_t*, const PhiloxKey*, const NormalizedPixels&);
template void pixel_sample(Stream, std::int32_t*, float*, const bf16*, const float*, const bf16*,
                           const PixelSamplerShape&, std::int64_t, const Guidance&, const std::uint8_t*,
                           const PixelCode&, const std::int64_t*, const PhiloxKey*, const NormalizedPixels&);

}  // namespace cuda
