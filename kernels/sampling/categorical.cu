// One warp per row: 256 logits are 8 per lane, too few for a block and its barriers. The row is in shared
// memory, because its values are used by other lanes than those that loaded them and 4096 do not fit into
// registers; a block has as many warps as fit into the default 48 KiB of shared memory, at most 8. The logits
// are read once. The draw of one row: categorical.cuh.
//
// ptxas budget: 64 registers, no spills
#include "kernels/sampling/categorical.h"

#include <algorithm>
#include <cassert>

#include "kernels/common/launch.cuh"
#include "kernels/sampling/categorical.cuh"

namespace cuda {
namespace {

struct Rows {
    std::int32_t* values;
    float* margins;
    const float *conditional, *unconditional, *uniforms;
    std::int64_t count;
    int vocabulary;
    Guidance guidance;
    const std::uint8_t* limits;
};

__global__ void sample(Rows rows) {
    wait_for_previous_kernel();
    const int lane = static_cast<int>(threadIdx.x) % warp_size,
              warp = static_cast<int>(threadIdx.x) / warp_size,
              warps = static_cast<int>(blockDim.x) / warp_size;
    SharedMemory shared;
    float* z = shared.take<float>(static_cast<std::size_t>(warps) * rows.vocabulary) + warp * rows.vocabulary;
    const std::int64_t row = static_cast<std::int64_t>(blockIdx.x) * warps + warp;
    if (row >= rows.count) return;  // the whole warp, and nothing below waits for other warps
    const float* conditional = rows.conditional + row * rows.vocabulary;
    for (int v = lane; v < rows.vocabulary; v += warp_size) z[v] = conditional[v];
    __syncwarp();
    const float* unconditional = rows.unconditional ? rows.unconditional + row * rows.vocabulary : nullptr;
    const int low = rows.limits ? rows.limits[2 * row] : 0,
              high = rows.limits ? rows.limits[2 * row + 1] : rows.vocabulary - 1;
    float margin;
    const int value =
        draw_categorical(z, unconditional, rows.vocabulary, rows.uniforms ? rows.uniforms[row] : 0.0f, low,
                         high, rows.guidance, margin);
    if (lane == 0) {
        rows.values[row] = value;
        if (rows.margins) rows.margins[row] = margin;
    }
}

}  // namespace

void categorical_sample(Stream stream, std::int32_t* values, float* margins, const float* conditional,
                        const float* unconditional, const float* uniforms, std::int64_t rows,
                        std::int64_t vocabulary, const Guidance& guidance, const std::uint8_t* limits) {
    assert(vocabulary <= cpu::categorical_max_vocabulary);
    constexpr std::int64_t most_warps = 8;
    const std::int64_t row_bytes = vocabulary * static_cast<std::int64_t>(sizeof(float)),
                       room = static_cast<std::int64_t>(default_shared_bytes) /
                              std::max<std::int64_t>(row_bytes, 1),
                       warps = std::clamp<std::int64_t>(room, 1, most_warps);
    launch(sample, blocks_for(rows, warps), static_cast<unsigned>(warps * warp_size),
           shared_array_bytes(static_cast<std::size_t>(warps * row_bytes)), stream,
           Rows{values, margins, conditional, unconditional, uniforms, rows, static_cast<int>(vocabulary),
                guidance, limits});
}

}  // namespace cuda
