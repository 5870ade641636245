// The weights of a level as mar_level.cu reads them (mar_level_layout.h). Done once per sampling job, so each
// matrix is a separate launch.
//
// ptxas budget: 40 registers, no spills
#include "kernels/common/device_math.cuh"
#include "kernels/common/launch.cuh"
#include "kernels/level/mar_level_layout.h"

namespace cuda {
namespace {

using namespace mar_level_detail;

constexpr int pack_threads = 256;

// For each rank: to[i] = from[i] for i < count, both advancing from rank to rank.
struct FloatCopy {
    float* to;
    std::int64_t to_step;
    const float* from;
    std::int64_t from_step, count, ranks;
    bool rounded;  // to bf16
};
__global__ void pack_floats(FloatCopy copy) {
    wait_for_previous_kernel();
    const std::int64_t i = thread_index(), rank = i / copy.count, at = i % copy.count;
    if (rank >= copy.ranks) return;
    const float value = copy.from[rank * copy.from_step + at];
    copy.to[rank * copy.to_step + at] = copy.rounded ? to_float(round_to_bf16(value)) : value;
}

// [inputs, D] from [D, inputs].
__global__ void pack_patch_weight(float* to, const float* from, std::int64_t D, std::int64_t inputs) {
    wait_for_previous_kernel();
    const std::int64_t i = thread_index();
    if (i < D * inputs) to[i] = to_float(round_to_bf16(from[i % D * inputs + i / D]));
}

// The tiles of a slab of every rank, from [N, K]; a thread writes two neighbours in k.
struct TilePack {
    std::uint32_t* to;
    std::int64_t to_step;  // in words
    const float* from;
    Slab slab;
    int D, ranks;
};
__global__ void pack_tiles(TilePack pack) {
    wait_for_previous_kernel();
    const int D = pack.D, depth = depth_of(pack.slab, D), pairs = depth / tile_depth,
              words = outputs_of(pack.slab, D) * depth / 2;
    const std::int64_t i = thread_index();
    const int rank = static_cast<int>(i / words), at = static_cast<int>(i % words);
    if (rank >= pack.ranks) return;
    const int word = at % 4, lane = at / 4 % warp_size, pair = at / (4 * warp_size) % pairs,
              tile = at / (4 * warp_size) / pairs;
    const int output = tile * tile_outputs + lane / 4;
    std::int64_t n = output, k = pair * tile_depth + word * 8 + lane % 4 * 2, K = D;
    switch (pack.slab) {
        case qkv:
            n = output / piece * D + rank * piece + output % piece;
            break;
        case proj:
            n += rank * piece;
            break;
        case fc1:
            n += rank * hidden_piece;
            break;
        default:
            K = 4 * D;
            k += rank * hidden_piece;
    }
    pack.to[rank * pack.to_step + at] = pack_bf16(pack.from[n * K + k], pack.from[n * K + k + 1]);
}

struct Packer {
    Stream stream;
    int D, ranks;

    void floats(const FloatCopy& copy) const {
        launch(pack_floats, blocks_for(copy.count * copy.ranks, pack_threads), pack_threads, 0, stream, copy);
    }
    void shared_floats(float* to, const float* from, std::int64_t count, bool rounded) const {
        floats({to, 0, from, 0, count, 1, rounded});
    }
    // A slab of every rank, those of rank 0 at `slabs`: its tiles, its norm if it has one, its bias, `biases` parts
    // of it D apart.
    void slab(unsigned char* slabs, Slab which, const float* weight, const float* bias, int biases,
              const float* norm_weight, const float* norm_bias) const {
        const SlabLayout layout = slab_layout(which, D);
        unsigned char* const first = slabs + slab_start(which, D);
        const std::int64_t step = slab_start(slab_count, D);
        const auto at = [&](int offset) { return reinterpret_cast<float*>(first + offset); };
        if (norm_weight != nullptr) {
            floats({at(0), step / 4, norm_weight, 0, D, ranks, false});
            floats({at(0) + D, step / 4, norm_bias, 0, D, ranks, false});
        }
        const int count = which == fc1 ? hidden_piece : piece;
        for (int part = 0; part < biases; ++part)
            floats({at(layout.bias) + part * count, step / 4, bias + part * D, count, count, ranks, true});
        const TilePack pack{
            reinterpret_cast<std::uint32_t*>(first + layout.tiles), step / 4, weight, which, D, ranks};
        const std::int64_t words = std::int64_t{ranks} * outputs_of(which, D) * depth_of(which, D) / 2;
        launch(pack_tiles, blocks_for(words, pack_threads), pack_threads, 0, stream, pack);
    }
};

}  // namespace

void mar_level_pack(Stream stream, bf16* packed, const MarLevelWeights& weights, const MarLevelShape& shape) {
    const int D = static_cast<int>(shape.width), ranks = static_cast<int>(mar_level_ranks(shape));
    const LevelLayout layout = level_layout(shape.length(), D, shape.inputs);
    const Packer packer{stream, D, ranks};
    auto* const level = reinterpret_cast<float*>(packed);
    packer.shared_floats(level + layout.mask_token, weights.mask_token, D, false);
    packer.shared_floats(level + layout.positions, weights.positions, shape.length() * D, false);
    packer.shared_floats(level + layout.patch_norm, weights.patch_norm_weight, D, false);
    packer.shared_floats(level + layout.patch_norm + D, weights.patch_norm_bias, D, false);
    packer.shared_floats(level + layout.norm, weights.norm_weight, D, false);
    packer.shared_floats(level + layout.norm + D, weights.norm_bias, D, false);
    packer.shared_floats(level + layout.patch_bias, weights.patch_bias, D, true);
    launch(pack_patch_weight, blocks_for(D * shape.inputs, pack_threads), pack_threads, 0, stream,
           level + layout.patch_weight, weights.patch_weight, static_cast<std::int64_t>(D), shape.inputs);
    auto* slabs = reinterpret_cast<unsigned char*>(level + layout.count);
    for (std::int64_t i = 0; i < shape.blocks; ++i, slabs += ranks * slab_start(slab_count, D)) {
        const PixelSamplerBlock& block = weights.blocks[i];
        packer.slab(slabs, qkv, block.qkv_weight, block.qkv_bias, 3, block.norm1_weight, block.norm1_bias);
        packer.slab(slabs, proj, block.proj_weight, block.proj_bias, 1, nullptr, nullptr);
        packer.slab(slabs, fc1, block.fc1_weight, block.fc1_bias, 1, block.norm2_weight, block.norm2_bias);
        packer.slab(slabs, fc2, block.fc2_weight, block.fc2_bias, 1, nullptr, nullptr);
    }
}

}  // namespace cuda
