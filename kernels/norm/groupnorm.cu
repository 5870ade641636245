// Three passes, as on the CPU: sums per channel over slices of an image's positions, the groups' statistics
// from them, and the result. A block has one slice of one image; each of its threads keeps 8 channels, whose
// constants and sums stay in registers while it walks down the rows, so that neighbouring threads read
// neighbouring memory and no group's border costs a branch. x is read twice, the second time from the L2
// cache where an image's maps fit into it. Fusing the passes into one would need a barrier over the whole
// device; the launch in the middle handles C numbers per slice.
//
// ptxas budget: 96 registers, no spills
#include "kernels/norm/groupnorm.h"

#include <algorithm>
#include <stdexcept>

#include "kernels/common/chunk.cuh"
#include "kernels/common/slices.cuh"

namespace cuda {
namespace {

constexpr int block_threads = 256;

struct Identity {
    __device__ static float value(float u) { return u; }
    __device__ static float slope(float) { return 1.0f; }
};
struct Swish {
    __device__ static float value(float u) { return u / (1.0f + expf(-u)); }
    __device__ static float slope(float u) {
        const float s = 1.0f / (1.0f + expf(-u));
        return s * (1.0f + u * (1.0f - s));
    }
};
struct LeakyRelu {
    __device__ static float value(float u) { return u < 0 ? 0.2f * u : u; }
    __device__ static float slope(float u) { return u < 0 ? 0.2f : 1.0f; }
};

// Partition of the rows of all images: `lanes` threads take the chunks of a row (or a part of them, if there
// are more than a block has threads), the block's others the following rows.
struct Tiling {
    explicit Tiling(const GroupNormShape& shape) {
        constexpr std::int64_t slice_elements = 16384, most = 256;
        const std::int64_t chunks = (shape.channels + chunk_size - 1) / chunk_size;
        lanes = static_cast<int>(std::min(chunks, std::int64_t{block_threads}));
        height = block_threads / lanes;
        tiles = blocks_for(chunks, lanes);
        slices =
            static_cast<int>(std::clamp(shape.positions * shape.channels / slice_elements, std::int64_t{1},
                                        std::min(most, std::max(shape.positions / height, std::int64_t{1}))));
    }
    dim3 grid(const GroupNormShape& shape) const { return {blocks_for(shape.images * slices, 1), tiles}; }
    dim3 block() const { return {static_cast<unsigned>(lanes), static_cast<unsigned>(height)}; }
    int threads() const { return lanes * height; }

    int lanes, height, slices;
    unsigned tiles;
};

// The part of the maps that a thread takes: rows row, row + blockDim.y, ... below `end` of the 8 channels
// from `column`.
struct Share {
    __device__ Share(const GroupNormShape& shape, int slices)
        : image(blockIdx.x / slices),
          column((static_cast<std::int64_t>(blockIdx.y) * blockDim.x + threadIdx.x) * chunk_size),
          count(chunk_count(shape.channels - column)) {
        const std::int64_t slice = blockIdx.x % slices;
        row = shape.positions * slice / slices + threadIdx.y;
        end = shape.positions * (slice + 1) / slices;
    }
    // The element where a row of this image begins for this thread.
    __device__ std::int64_t offset(const GroupNormShape& shape, std::int64_t position) const {
        return (image * shape.positions + position) * shape.channels + column;
    }
    std::int64_t image, column, row, end;
    int count;
};

__device__ inline void load_groups(Chunk& to, const float* by_group, const Share& share,
                                   const GroupNormShape& shape) {
    const auto width = static_cast<int>(shape.group_channels());
    const auto column = static_cast<int>(share.column);
#pragma unroll
    for (int i = 0; i < chunk_size; ++i)
        to[i] = i < share.count ? by_group[share.image * shape.groups + (column + i) / width] : 0.0f;
}

// parts [images * slices, 2, C] = the block's sums over its rows, added in the order of its threads.
__device__ void write_sums(float* parts, const Chunk (&sums)[2], std::int64_t channels) {
    SharedMemory shared;
    const int columns = static_cast<int>(blockDim.x) * chunk_size,
              thread = static_cast<int>(threadIdx.y * blockDim.x + threadIdx.x),
              threads = static_cast<int>(blockDim.x * blockDim.y);
    float* rows = shared.take<float>(static_cast<std::size_t>(threads) * chunk_size);
    for (int which = 0; which < 2; ++which) {
        if (which > 0) __syncthreads();
        store_chunk(rows + thread * chunk_size, sums[which]);
        __syncthreads();
        for (int i = thread; i < columns; i += threads) {
            float total = 0;
            for (int row = 0; row < static_cast<int>(blockDim.y); ++row) total += rows[row * columns + i];
            const std::int64_t channel = static_cast<std::int64_t>(blockIdx.y) * columns + i;
            if (channel < channels)
                parts[(static_cast<std::int64_t>(blockIdx.x) * 2 + which) * channels + channel] = total;
        }
    }
}

// ---- forward ----------------------------------------------------------------------------------------------

template <class T>
__global__ void __launch_bounds__(block_threads)
    sum_slices(float* parts, const T* x, GroupNormShape shape, int slices) {
    wait_for_previous_kernel();
    Share share(shape, slices);
    const bool packed = packed_rows(x, shape.channels);
    const Chunk shift = load_chunk(x + share.offset(shape, 0), share.count, packed);
    Chunk sums[2] = {};
    for (; share.row < share.end; share.row += blockDim.y) {
        const Chunk here = load_chunk(x + share.offset(shape, share.row), share.count, packed);
#pragma unroll
        for (int i = 0; i < chunk_size; ++i) {
            const float d = here[i] - shift[i];
            sums[0][i] += d;
            sums[1][i] += d * d;
        }
    }
    write_sums(parts, sums, shape.channels);
}

// A warp for each group of each image. Its lanes add up the slices of a channel; channels are joined in their
// order as sets of P values with a mean and a sum of squared deviations each.
template <class T>
__global__ void __launch_bounds__(block_threads)
    finish_groups(float* mean, float* rstd, const float* parts, const T* x, GroupNormShape shape, int slices,
                  float epsilon) {
    wait_for_previous_kernel();
    const std::int64_t index = thread_index() / warp_size;
    const int lane = static_cast<int>(threadIdx.x) % warp_size;
    if (index >= shape.images * shape.groups) return;
    const std::int64_t image = index / shape.groups, width = shape.group_channels(), C = shape.channels,
                       first = index % shape.groups * width;
    const auto P = static_cast<float>(shape.positions);
    float joined_mean = 0, deviations = 0;
    for (std::int64_t i = 0; i < width; ++i) {
        float sum = 0, squares = 0;
        for (int slice = lane; slice < slices; slice += warp_size) {
            const float* part = parts + (image * slices + slice) * 2 * C + first + i;
            sum += part[0];
            squares += part[C];
        }
        sum = warp_sum(sum);
        squares = warp_sum(squares);
        const auto before = static_cast<float>(i);
        const float step = to_float(x[image * shape.positions * C + first + i]) + sum / P - joined_mean;
        joined_mean += step / (before + 1);
        deviations += squares - sum * (sum / P) + step * step * P * (before / (before + 1));
    }
    if (lane != 0) return;
    mean[index] = joined_mean;
    rstd[index] = 1.0f / sqrtf(fmaxf(deviations, 0.0f) / (P * static_cast<float>(width)) + epsilon);
}

template <class F, class T>
__global__ void __launch_bounds__(block_threads)
    write_result(T* y, const float* mean, const float* rstd, const T* x, const float* weight,
                 const float* bias, GroupNormShape shape, int slices) {
    wait_for_previous_kernel();
    Share share(shape, slices);
    if (share.count <= 0) return;
    const bool packed = packed_rows(x, shape.channels) && packed_rows(y, shape.channels);
    Chunk centre, scale;
    load_groups(centre, mean, share, shape);
    load_groups(scale, rstd, share, shape);
    const Chunk w = load_chunk(weight + share.column, share.count, packed && aligned(weight)),
                b = load_chunk(bias + share.column, share.count, packed && aligned(bias));
#pragma unroll
    for (int i = 0; i < chunk_size; ++i) scale[i] *= w[i];
    for (; share.row < share.end; share.row += blockDim.y) {
        const std::int64_t offset = share.offset(shape, share.row);
        Chunk here = load_chunk(x + offset, share.count, packed);
#pragma unroll
        for (int i = 0; i < chunk_size; ++i) here[i] = F::value((here[i] - centre[i]) * scale[i] + b[i]);
        store_chunk(y + offset, here, share.count, packed);
    }
}

// ---- backward ---------------------------------------------------------------------------------------------

template <class T>
struct Backward {
    T* dx;
    const T *dy, *x;
    const float *weight, *bias, *mean, *rstd;
    GroupNormShape shape;
    int slices;
};

// A thread's per-channel values.
struct Channels {
    template <class T>
    __device__ Channels(const Backward<T>& a, const Share& share) {
        load_groups(mean, a.mean, share, a.shape);
        load_groups(rstd, a.rstd, share, a.shape);
        const bool packed = packed_rows(a.weight, a.shape.channels) && aligned(a.bias);
        weight = load_chunk(a.weight + share.column, share.count, packed);
        bias = load_chunk(a.bias + share.column, share.count, packed);
    }
    // n and h of one element.
    template <class F>
    __device__ void derive(float& n, float& h, float x, float dy, int i) const {
        n = (x - mean[i]) * rstd[i];
        h = dy * F::slope(n * weight[i] + bias[i]);
    }
    Chunk mean, rstd, weight, bias;
};

template <class F, class T>
__global__ void __launch_bounds__(block_threads, 2) sum_backward_slices(float* parts, Backward<T> a) {
    wait_for_previous_kernel();
    Share share(a.shape, a.slices);
    const bool packed = packed_rows(a.x, a.shape.channels) && packed_rows(a.dy, a.shape.channels);
    const Channels channels(a, share);
    Chunk sums[2] = {};
    for (; share.row < share.end; share.row += blockDim.y) {
        const std::int64_t offset = share.offset(a.shape, share.row);
        const Chunk x = load_chunk(a.x + offset, share.count, packed),
                    dy = load_chunk(a.dy + offset, share.count, packed);
#pragma unroll
        for (int i = 0; i < chunk_size; ++i) {
            float n, h;
            channels.derive<F>(n, h, x[i], dy[i], i);
            sums[0][i] += h * n;
            sums[1][i] += h;
        }
    }
    write_sums(parts, sums, a.shape.channels);
}

// A warp for each group of each image: the sums of its channels over the slices, image_sums [images, 2, C],
// and of them the means over the group, means [2, images, G].
__global__ void __launch_bounds__(block_threads)
    finish_backward_groups(float* image_sums, float* means, const float* parts, const float* weight,
                           GroupNormShape shape, int slices) {
    wait_for_previous_kernel();
    const std::int64_t index = thread_index() / warp_size, groups = shape.images * shape.groups;
    const int lane = static_cast<int>(threadIdx.x) % warp_size;
    if (index >= groups) return;
    const std::int64_t image = index / shape.groups, width = shape.group_channels(), C = shape.channels,
                       first = index % shape.groups * width;
    float totals[2] = {};
    for (std::int64_t c = first; c < first + width; ++c)
        for (int which = 0; which < 2; ++which) {
            float sum = 0;
            for (int slice = lane; slice < slices; slice += warp_size)
                sum += parts[((image * slices + slice) * 2 + which) * C + c];
            sum = warp_sum(sum);
            if (lane == 0) image_sums[(image * 2 + which) * C + c] = sum;
            totals[which] += weight[c] * sum;
        }
    if (lane != 0) return;
    const float elements = static_cast<float>(shape.positions) * static_cast<float>(width);
    means[index] = totals[0] / elements;
    means[groups + index] = totals[1] / elements;
}

template <class F, class T>
__global__ void __launch_bounds__(block_threads, 2) write_backward(Backward<T> a, const float* means) {
    wait_for_previous_kernel();
    Share share(a.shape, a.slices);
    if (share.count <= 0) return;
    const bool packed = packed_rows(a.x, a.shape.channels) && packed_rows(a.dy, a.shape.channels) &&
                        packed_rows(a.dx, a.shape.channels);
    const Channels channels(a, share);
    Chunk mean_gn, mean_g;
    load_groups(mean_gn, means, share, a.shape);
    load_groups(mean_g, means + a.shape.images * a.shape.groups, share, a.shape);
    for (; share.row < share.end; share.row += blockDim.y) {
        const std::int64_t offset = share.offset(a.shape, share.row);
        const Chunk x = load_chunk(a.x + offset, share.count, packed),
                    dy = load_chunk(a.dy + offset, share.count, packed);
        Chunk dx;
#pragma unroll
        for (int i = 0; i < chunk_size; ++i) {
            float n, h;
            channels.derive<F>(n, h, x[i], dy[i], i);
            dx[i] = channels.rstd[i] * (h * channels.weight[i] - mean_g[i] - n * mean_gn[i]);
        }
        store_chunk(a.dx + offset, dx, share.count, packed);
    }
}

template <class Body>
void with_activation(Activation activation, Body body) {
    if (activation == Activation::swish) return body(Swish());
    if (activation == Activation::leaky_relu) return body(LeakyRelu());
    body(Identity());
}

std::size_t sums_bytes(const Tiling& tiling) {
    return shared_array_bytes(static_cast<std::size_t>(tiling.threads()) * chunk_size * sizeof(float));
}

}  // namespace

template <class T>
void groupnorm_forward(Stream stream, T* y, float* mean, float* rstd, float* workspace, const T* x,
                       const float* weight, const float* bias, const GroupNormShape& shape, float eps,
                       Activation activation) {
    if (shape.elements() == 0) return;
    const Tiling tiling(shape);
    launch(sum_slices<T>, tiling.grid(shape), tiling.block(), sums_bytes(tiling), stream, workspace, x, shape,
           tiling.slices);
    launch(finish_groups<T>, blocks_for(shape.images * shape.groups, block_threads / warp_size),
           block_threads, 0, stream, mean, rstd, workspace, x, shape, tiling.slices, eps);
    with_activation(activation, [&](auto f) {
        launch(write_result<decltype(f), T>, tiling.grid(shape), tiling.block(), 0, stream, y, mean, rstd, x,
               weight, bias, shape, tiling.slices);
    });
}

template <class T>
void groupnorm_backward(Stream stream, T* dx, float* dweight, float* dbias, float* workspace, const T* dy,
                        const T* x, const float* weight, const float* bias, const float* mean,
                        const float* rstd, const GroupNormShape& shape, Activation activation) {
    if (shape.elements() == 0) return;
    const Tiling tiling(shape);
    const std::int64_t C = shape.channels, parts = shape.images * tiling.slices * 2 * C;
    float *image_sums = workspace + parts, *means = image_sums + shape.images * 2 * C;
    const Backward<T> a = {dx, dy, x, weight, bias, mean, rstd, shape, tiling.slices};
    with_activation(activation, [&](auto f) {
        using F = decltype(f);
        launch(sum_backward_slices<F, T>, tiling.grid(shape), tiling.block(), sums_bytes(tiling), stream,
               workspace, a);
        launch(finish_backward_groups, blocks_for(shape.images * shape.groups, block_threads / warp_size),
               block_threads, 0, stream, image_sums, means, workspace, weight, shape, tiling.slices);
        launch(write_backward<F, T>, tiling.grid(shape), tiling.block(), 0, stream, a, means);
    });
    add_slices(stream, dweight, image_sums, 2 * C, shape.images, C);
    add_slices(stream, dbias, image_sums + C, 2 * C, shape.images, C);
}

std::int64_t groupnorm_forward_workspace(const GroupNormShape& shape) {
    return shape.images * Tiling(shape).slices * 2 * shape.channels;
}

std::int64_t groupnorm_backward_workspace(const GroupNormShape& shape) {
    return shape.images * ((Tiling(shape).slices + 1) * 2 * shape.channels + 2 * shape.groups);
}

template void groupnorm_forward(Stream, float*, float*, float*, float*, const float*, const float*,
                                const float*, const GroupNormShape&, float, Activation);
template void groupnorm_forward(Stream, bf16*, float*, float*, float*, const bf16*, const float*,
                                const float*, const GroupNormShape&, float, Activation);
template void groupnorm_backward(Stream, float*, float*, float*, float*, const float*, const float*,
                                 const float*, const float*, const float*, const float*,
                                 const GroupNormShape&, Activation);
template void groupnorm_backward(Stream, bf16*, float*, float*, float*, const bf16*, const bf16*,
                                 const float*, const float*, const float*, const float*,
                                 const GroupNormShape&, Activation);

}  // namespace cuda
