// Rows of patches are short (4 floats at the finest level), too short for a memcpy call each; so the patch
// sizes of the published models are compiled in, and the copy of a row becomes one or two vector moves.
#include "kernels/layout/patchify.h"

#include <type_traits>

#include "kernels/common/partition.h"

namespace cpu {

// Calls body(patch offset, image offset) for every row of every patch of M images, in the order of image
// rows.
template <class Body>
static void for_each_patch_row(std::int64_t M, std::int64_t C, std::int64_t s, std::int64_t p, Body body) {
    const std::int64_t side = s / p;
    for_each_task(M * C * s, M * C * s * s, [=](std::int64_t row) {
        const std::int64_t m = row / (C * s), c = row / s % C, y = row % s;
        const std::int64_t first_patch = m * side * side + y / p * side;
        for (std::int64_t column = 0; column < side; ++column)
            body(((first_patch + column) * C + c) * p * p + y % p * p, row * s + column * p);
    });
}

// Copies from one layout to the other, rows of `p` floats; p is an integer or an integral_constant.
template <bool to_patches, class Size>
static void copy_rows(float* out, const float* in, std::int64_t M, std::int64_t C, std::int64_t s, Size p) {
    for_each_patch_row(M, C, s, p, [=](std::int64_t patch_offset, std::int64_t image_offset) {
        float* target = out + (to_patches ? patch_offset : image_offset);
        const float* source = in + (to_patches ? image_offset : patch_offset);
#pragma omp simd
        for (std::int64_t i = 0; i < p; ++i) target[i] = source[i];
    });
}

template <bool to_patches>
static void rearrange(float* out, const float* in, std::int64_t M, std::int64_t C, std::int64_t s,
                      std::int64_t p) {
    if (p == 1)
        copy_rows<to_patches>(out, in, M, C, s, std::integral_constant<std::int64_t, 1>{});
    else if (p == 4)
        copy_rows<to_patches>(out, in, M, C, s, std::integral_constant<std::int64_t, 4>{});
    else if (p == 16)
        copy_rows<to_patches>(out, in, M, C, s, std::integral_constant<std::int64_t, 16>{});
    else
        copy_rows<to_patches>(out, in, M, C, s, p);
}

void patchify(float* patches, const float* images, std::int64_t M, std::int64_t C, std::int64_t s,
              std::int64_t p) {
    rearrange<true>(patches, images, M, C, s, p);
}

void unpatchify(float* images, const float* patches, std::int64_t M, std::int64_t C, std::int64_t s,
                std::int64_t p) {
    rearrange<false>(images, patches, M, C, s, p);
}

}  // namespace cpu
