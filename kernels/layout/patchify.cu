// A thread writes 4 floats, or one if the width of patches is no multiple of 4, in the order of the result:
// the writes of a warp are contiguous, its reads are segments of a patch's or image's row, which the caches
// combine. The cost is arithmetic: four divisions per thread for the source index, done by multiplication.
// ptxas budget: 40 registers, no spills
#include "kernels/layout/patchify.h"

#include "kernels/common/rows.cuh"

namespace cuda {
namespace {

// Rows of for_rows are images; offsets count within one.
template <bool to_patches>
struct Rearrange {
    static constexpr int chunk = 4;
    float* out;
    const float* in;
    Divisor by_channels, by_plane, by_row, by_patch;
    std::uint32_t C, s, p, side;

    Rearrange(float* to, const float* from, std::int64_t channels, std::int64_t size, std::int64_t patch)
        : out(to),
          in(from),
          by_channels(channels * patch * patch),
          by_plane(to_patches ? patch * patch : size * size),
          by_row(to_patches ? patch : size),
          by_patch(to_patches ? size / patch : patch),
          C(static_cast<std::uint32_t>(channels)),
          s(static_cast<std::uint32_t>(size)),
          p(static_cast<std::uint32_t>(patch)),
          side(s / p) {}

    // Where in the image the element of that number in the patches lies.
    __device__ std::uint32_t image_offset(std::uint32_t offset) const {
        const std::uint32_t patch = by_channels.quotient(offset), in_patch = offset - patch * C * p * p,
                            c = by_plane.quotient(in_patch), in_plane = in_patch - c * p * p,
                            y = by_row.quotient(in_plane), x = in_plane - y * p,
                            patch_row = by_patch.quotient(patch), patch_column = patch - patch_row * side;
        return (c * s + patch_row * p + y) * s + patch_column * p + x;
    }
    // And the inverse.
    __device__ std::uint32_t patch_offset(std::uint32_t offset) const {
        const std::uint32_t c = by_plane.quotient(offset), in_plane = offset - c * s * s,
                            y = by_row.quotient(in_plane), x = in_plane - y * s,
                            patch_row = by_patch.quotient(y), patch_column = by_patch.quotient(x);
        return ((patch_row * side + patch_column) * C + c) * p * p + (y - patch_row * p) * p + x -
               patch_column * p;
    }

    template <int n>
    __device__ void run(std::int64_t image, std::int64_t column) const {
        const std::int64_t first = image * C * s * s;
        const auto offset = static_cast<std::uint32_t>(column);
        copy_elements<n>(out + first + offset,
                         in + first + (to_patches ? image_offset(offset) : patch_offset(offset)));
    }
};

template <bool to_patches>
void rearrange(Stream stream, float* out, const float* in, std::int64_t M, std::int64_t C, std::int64_t s,
               std::int64_t p) {
    for_rows(stream, M, C * s * s, p % 4 == 0 && aligned(out, in), Rearrange<to_patches>(out, in, C, s, p));
}

}  // namespace

void patchify(Stream stream, float* patches, const float* images, std::int64_t M, std::int64_t C,
              std::int64_t s, std::int64_t p) {
    rearrange<true>(stream, patches, images, M, C, s, p);
}

void unpatchify(Stream stream, float* images, const float* patches, std::int64_t M, std::int64_t C,
                std::int64_t s, std::int64_t p) {
    rearrange<false>(stream, images, patches, M, C, s, p);
}

}  // namespace cuda
