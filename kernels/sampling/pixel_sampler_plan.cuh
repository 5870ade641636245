// How many rows the tiles of the pixel sampler have, and where its blocks read their weights.
//
// Rows. A matrix product has 16 rows whether they are used or not, and with few pixels the latency of one
// tile dominates: of what is done row by row between the products, and of draws. So tiles are as small as one
// draw while there are idle multiprocessors, and grow to 32 rows, 64 with resident weights, when there are
// more pixels: every streamed weight then serves more rows. If activations leave no room for so many, tiles
// have fewer; a row's arithmetic is always the same, so that its bits depend neither on the batch nor on the
// device.
#pragma once

#include <cuda_runtime.h>

#include <type_traits>

#include "kernels/common/launch.cuh"
#include "kernels/sampling/pixel_sampler_layout.cuh"

namespace cuda::pixel_sampler_detail {

struct DeviceLimits {
    std::int64_t multiprocessors;
    std::size_t shared_bytes;  // most that a block may have
};

inline DeviceLimits device_limits() {
    const auto ask = [](cudaDeviceAttr attribute) {
        int device = 0, value = 0;
        check(cudaGetDevice(&device), "current device");
        check(cudaDeviceGetAttribute(&value, attribute, device), "attribute of the device");
        return value;
    };
    static const DeviceLimits known{ask(cudaDevAttrMultiProcessorCount),
                                    static_cast<std::size_t>(ask(cudaDevAttrMaxSharedMemoryPerBlockOptin))};
    return known;
}

// Where a block reads its weights: from the second-level cache, or its shared memory, that of its cluster.
enum class Weights { streamed, resident, clustered };

struct Plan {
    std::int64_t rows = 0;  // of a tile; 0: not even one draw fits
    Weights weights = Weights::streamed;
    std::int64_t tiles = 0;
    std::size_t shared_bytes = 0;
};

// Tiles of `rows` rows, if they fit beside `weight_bytes`.
template <class T>
bool choose(Plan& plan, const PixelSamplerShape& shape, std::int64_t rows, Weights weights,
            std::size_t weight_bytes, std::int64_t draws, std::int64_t guidance_rows) {
    const std::size_t bytes = activation_bytes<T>(shape, rows) + weight_bytes;
    if (rows < guidance_rows || bytes > device_limits().shared_bytes) return false;
    plan = {rows, weights, blocks_for(draws, rows / guidance_rows), bytes};
    return true;
}

constexpr unsigned cluster_size = 8;

// Tiles of a few draws, if the device has a cluster for each at once: resident(plan) is how many it has.
template <class Resident>
bool choose_clusters(Plan& plan, const PixelSamplerShape& shape, std::int64_t draws,
                     std::int64_t guidance_rows, const Resident& resident) {
    const std::size_t share =
        sizeof(bf16) * static_cast<std::size_t>(share_layout(shape, cluster_size).elements);
    for (const std::int64_t each : {1, 2, 4}) {
        Plan few;
        if (!choose<bf16>(few, shape, each * guidance_rows, Weights::clustered, share, draws, guidance_rows))
            break;
        if (few.tiles > resident(few)) continue;
        plan = few;
        return true;
    }
    return false;
}

// The smallest tiles that are all on the device at once, or the largest.
template <class T, class Resident>
Plan plan_tiles(const PixelSamplerShape& shape, std::int64_t draws, std::int64_t guidance_rows,
                const Resident& resident_clusters) {
    const std::int64_t places = device_limits().multiprocessors;
    Plan plan;
    if constexpr (std::is_same_v<T, bf16>) {
        const std::size_t weights =
            sizeof(T) * static_cast<std::size_t>(shape.blocks * packed_layout<T>(shape).block.elements);
        Plan any;
        const bool resident =
            weights > 0 && choose<T>(any, shape, 16, Weights::resident, weights, draws, guidance_rows);
        if (!resident && choose_clusters(plan, shape, draws, guidance_rows, resident_clusters)) return plan;
        for (const std::int64_t rows :
             {guidance_rows, 2 * guidance_rows, 4 * guidance_rows, 8 * guidance_rows, std::int64_t{16},
              std::int64_t{32}, std::int64_t{64}}) {
            // Two blocks of a multiprocessor share what is streamed: tiles of a few draws are for those
            // that would be idle.
            const std::int64_t at_once = resident || rows < 8 * guidance_rows ? places : 2 * places;
            if (rows == 64 && !resident) continue;
            if (choose<T>(plan, shape, rows, resident ? Weights::resident : Weights::streamed,
                          resident ? weights : 0, draws, guidance_rows) &&
                plan.tiles <= at_once)
                break;
        }
        if (plan.rows > 0) return plan;
    }
    for (const std::int64_t rows : {8, 4, 2, 1})
        if (choose<T>(plan, shape, rows, Weights::streamed, 0, draws, guidance_rows)) return plan;
    return plan;
}

}  // namespace cuda::pixel_sampler_detail
