// A block per sequence. Ranks: the sequence's words go to shared memory, then each thread counts how many are
// smaller than its own: L^2 comparisons, 65,536 for the 256 patches of a large level, which is less time than
// the launch of a sort. A step's patches: a warp walks over a sequence's ranks, 32 at a time, and a vote gives
// every chosen patch its place in ascending order. One kernel for all that a step needs to know: it is launched
// 17,000 times for a picture of 256 x 256, and takes no longer than its launch.
// ptxas budget: 48 registers, no spills
#include "kernels/sampling/patch_ranks.h"

#include "kernels/common/device_math.cuh"
#include "kernels/common/launch.cuh"
#include "kernels/common/ptx.cuh"

namespace cuda {
namespace {

constexpr unsigned block_threads = 128;

// Dynamic shared memory: L words.
__global__ void random_ranks_kernel(std::int32_t* ranks, std::int32_t* hidden,
                                    const std::int64_t* sequence_ids, int L, const PhiloxKey* key) {
    wait_for_previous_kernel();
    SharedMemory shared;
    auto* words = shared.take<std::uint32_t>(static_cast<std::size_t>(L));
    const std::int64_t m = blockIdx.x;
    const auto sequence_id = static_cast<std::uint64_t>(sequence_ids[m]);
    const int threads = static_cast<int>(blockDim.x), thread = static_cast<int>(threadIdx.x);
    if (thread == 0) hidden[m] = L;
    for (int group = thread; 4 * group < L; group += threads) {
        const auto four = philox({static_cast<std::uint32_t>(group), static_cast<std::uint32_t>(sequence_id),
                                  static_cast<std::uint32_t>(sequence_id >> 32), 0},
                                 *key);
        for (int i = 0; i < 4 && 4 * group + i < L; ++i) words[4 * group + i] = four[i];
    }
    __syncthreads();
    for (int t = thread; t < L; t += threads) {
        const std::uint32_t word = words[t];
        int rank = 0;
        for (int u = 0; u < L; ++u) rank += words[u] < word || (words[u] == word && u < t) ? 1 : 0;
        ranks[m * L + t] = rank;
    }
}

__global__ void raster_ranks_kernel(std::int32_t* ranks, std::int32_t* hidden, std::int64_t count,
                                    std::int64_t L) {
    wait_for_previous_kernel();
    const std::int64_t i = thread_index();
    if (i >= count) return;
    ranks[i] = static_cast<std::int32_t>(L - 1 - i % L);
    if (i % L == 0) hidden[i / L] = static_cast<std::int32_t>(L);
}

struct NextPatches {
    std::uint8_t* mask;
    std::int64_t* child_sequence_ids;
    std::int32_t *patches, *parents;
    std::int32_t* hidden;
    const std::int32_t* ranks;
    const std::int64_t* sequence_ids;
    std::int64_t M, L, chunk;
    int n, guidance_rows;
};

// A warp per sequence, which alone reads and writes its number of hidden patches.
__global__ void next_patches_kernel(NextPatches job) {
    wait_for_previous_kernel();
    const std::int64_t m = thread_index() / warp_size, count = job.M * job.n;
    if (m >= job.M) return;  // whole warps
    const int lane = static_cast<int>(threadIdx.x) % warp_size;
    const std::int32_t before = job.hidden[m], after = before - job.n;
    std::int64_t place = m * job.n;
    for (std::int64_t first = 0; first < job.L; first += warp_size) {
        const std::int64_t t = first + lane, patch = m * job.L + t;
        const std::int32_t rank = t < job.L ? job.ranks[patch] : before;
        if (t < job.L && job.mask != nullptr)
            for (std::int64_t half = 0; half < job.guidance_rows; ++half)
                job.mask[half * job.M * job.L + patch] = rank < before ? 1 : 0;
        const bool chosen = rank >= after && rank < before;
        const unsigned vote = __ballot_sync(all_lanes, chosen);
        if (chosen) {
            const std::int64_t mine = place + __popc(vote & ((1u << lane) - 1));
            job.child_sequence_ids[mine] = job.sequence_ids[m] * job.L + t;
            for (std::int64_t half = 0; half < job.guidance_rows; ++half) {
                const std::int64_t row = child_row_place(mine, half, count, job.chunk, job.guidance_rows);
                job.patches[row] = static_cast<std::int32_t>(half * job.M * job.L + patch);
                job.parents[row] = static_cast<std::int32_t>(half * job.M + m);
            }
        }
        place += __popc(vote);
    }
    if (lane == 0) job.hidden[m] = after;  // behind the votes: every lane has read it
}

}  // namespace

void random_ranks(Stream stream, std::int32_t* ranks, std::int32_t* hidden, const std::int64_t* sequence_ids,
                  std::int64_t M, std::int64_t L, const PhiloxKey* key) {
    launch(random_ranks_kernel, blocks_for(M, 1), block_threads,
           shared_array_bytes(static_cast<std::size_t>(L) * sizeof(std::uint32_t)), stream, ranks, hidden,
           sequence_ids, static_cast<int>(L), key);
}

void raster_ranks(Stream stream, std::int32_t* ranks, std::int32_t* hidden, std::int64_t M, std::int64_t L) {
    launch(raster_ranks_kernel, blocks_for(M * L, block_threads), block_threads, 0, stream, ranks, hidden,
           M * L, L);
}

void next_patches(Stream stream, std::uint8_t* mask, std::int64_t* child_sequence_ids, std::int32_t* patches,
                  std::int32_t* parents, std::int32_t* hidden, const std::int32_t* ranks,
                  const std::int64_t* sequence_ids, std::int64_t M, std::int64_t L, std::int64_t n,
                  std::int64_t guidance_rows, std::int64_t chunk) {
    launch(next_patches_kernel, blocks_for(M * warp_size, block_threads), block_threads, 0, stream,
           NextPatches{mask, child_sequence_ids, patches, parents, hidden, ranks, sequence_ids, M, L, chunk,
                       static_cast<int>(n), static_cast<int>(guidance_rows)});
}

}  // namespace cuda
