// The pixel sampler's weights as its kernel reads them (pixel_sampler_layout.cuh): for bf16 in the order of
// the matrix units' fragments, for float with the outputs side by side. Done once per sampling job, so each
// matrix is a separate launch.
// ptxas budget: 40 registers, no spills
#include "kernels/sampling/pixel_sampler.h"

#include "kernels/common/device_math.cuh"
#include "kernels/common/launch.cuh"
#include "kernels/sampling/pixel_sampler_layout.cuh"

namespace cuda {
namespace {

using namespace pixel_sampler_detail;

constexpr int pack_threads = 256;

// packed [padded] = from [count], then zeros.
__global__ void pack_floats(float* packed, const float* from, std::int64_t count, std::int64_t padded) {
    wait_for_previous_kernel();
    const std::int64_t i = thread_index();
    if (i < padded) packed[i] = i < count ? from[i] : 0.0f;
}

template <class T>
__global__ void pack_as_is(T* packed, const float* from, std::int64_t count) {
    wait_for_previous_kernel();
    const std::int64_t i = thread_index();
    if (i < count) packed[i] = as<T>(from[i]);
}

// packed [K, outputs] from [N, K].
__global__ void pack_weight(float* packed, const float* from, std::int64_t N, std::int64_t K,
                            std::int64_t outputs) {
    wait_for_previous_kernel();
    const std::int64_t i = thread_index();
    if (i >= K * outputs) return;
    const std::int64_t k = i / outputs, n = i % outputs;
    packed[i] = n < N ? from[n * K + k] : 0.0f;
}

// Fragments from [N, K]; a thread writes two neighbours in k.
__global__ void pack_weight(bf16* packed, const float* from, std::int64_t N, std::int64_t K,
                            std::int64_t outputs) {
    wait_for_previous_kernel();
    const std::int64_t i = thread_index(), pairs = round_up(K, depth_of_pair) / depth_of_pair;
    if (i >= outputs * pairs * (depth_of_pair / 2)) return;
    const std::int64_t word = i % 4, lane = i / 4 % warp_size, pair = i / (4 * warp_size) % pairs,
                       tile = i / (4 * warp_size) / pairs;
    const std::int64_t n = tile * columns_of_tile + lane / 4,
                       k = pair * depth_of_pair + word * 8 + lane % 4 * 2;
    const float low = n < N && k < K ? from[n * K + k] : 0.0f,
                high = n < N && k + 1 < K ? from[n * K + k + 1] : 0.0f;
    reinterpret_cast<std::uint32_t*>(packed)[i] = pack_bf16(low, high);
}

template <class T>
struct Packer {
    Stream stream;
    T* packed;

    void floats(std::int64_t place, const float* from, std::int64_t count, std::int64_t padded) const {
        launch(pack_floats, blocks_for(padded, pack_threads), pack_threads, 0, stream,
               reinterpret_cast<float*>(packed + place), from, count, padded);
    }
    void norm(std::int64_t place, const float* weight, const float* bias, std::int64_t W) const {
        floats(place, weight, W, norm_bias(W));
        floats(place + float_elements<T>(norm_bias(W)), bias, W, norm_bias(W));
    }
    void linear(std::int64_t place, const float* weight, const float* bias, std::int64_t N,
                std::int64_t K) const {
        const std::int64_t outputs = padded_outputs<T>(N), bias_elements = float_elements<T>(outputs);
        const std::int64_t elements = linear_elements<T>(N, K) - bias_elements;
        constexpr std::int64_t of_thread = sizeof(float) / sizeof(T);
        floats(place, bias, N, outputs);
        launch(static_cast<void (*)(T*, const float*, std::int64_t, std::int64_t, std::int64_t)>(pack_weight),
               blocks_for(elements / of_thread, pack_threads), pack_threads, 0, stream,
               packed + place + bias_elements, weight, N, K, outputs);
    }
    void as_is(std::int64_t place, const float* from, std::int64_t count) const {
        launch(pack_as_is<T>, blocks_for(count, pack_threads), pack_threads, 0, stream, packed + place, from,
               count);
    }
};

}  // namespace

std::int64_t pixel_sampler_packed_elements(const PixelSamplerShape& shape) {
    return std::max(packed_layout<float>(shape).elements, packed_layout<bf16>(shape).elements);
}

template <class T>
void pixel_sampler_pack(Stream stream, T* packed, const PixelSamplerWeights& weights,
                        const PixelSamplerShape& shape) {
    const std::int64_t W = shape.width;
    const Layout layout = packed_layout<T>(shape);
    const Packer<T> packer{stream, packed};
    packer.linear(layout.condition, weights.condition_weight, weights.condition_bias, W,
                  shape.condition_width);
    packer.norm(layout.ln, weights.ln_weight, weights.ln_bias, W);
    packer.norm(layout.norm, weights.norm_weight, weights.norm_bias, W);
    for (std::int64_t c = 0; c < shape.channels; ++c) {
        packer.linear(layout.logits[c], weights.codebooks[c], weights.biases[c], vocabulary, W);
        if (c + 1 < shape.channels) packer.as_is(layout.codebooks[c], weights.codebooks[c], vocabulary * W);
    }
    for (std::int64_t i = 0; i < shape.blocks; ++i) {
        const PixelSamplerBlock& block = weights.blocks[i];
        const std::int64_t start = layout.blocks + i * layout.block.elements;
        packer.norm(start + layout.block.norm1, block.norm1_weight, block.norm1_bias, W);
        packer.linear(start + layout.block.qkv, block.qkv_weight, block.qkv_bias, 3 * W, W);
        packer.linear(start + layout.block.proj, block.proj_weight, block.proj_bias, W, W);
        packer.norm(start + layout.block.norm2, block.norm2_weight, block.norm2_bias, W);
        packer.linear(start + layout.block.fc1, block.fc1_weight, block.fc1_bias, 4 * W, W);
        packer.linear(start + layout.block.fc2, block.fc2_weight, block.fc2_bias, W, 4 * W);
    }
}

template void pixel_sampler_pack(Stream, float*, const PixelSamplerWeights&, const PixelSamplerShape&);
template void pixel_sampler_pack(Stream, bf16*, const PixelSamplerWeights&, const PixelSamplerShape&);

}  // namespace cuda
