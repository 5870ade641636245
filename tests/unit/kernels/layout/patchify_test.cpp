#include "kernels/layout/patchify.h"

#include <doctest/doctest.h>

#include "tests/unit/kernels/kernel_check.h"

using namespace kernel_check;

namespace {

struct Shape {
    std::int64_t M, C, s, p;
};

const std::vector<Shape> shapes = {{1, 1, 1, 1},  {3, 3, 6, 1},  {2, 1, 6, 2},   {2, 3, 9, 3},
                                   {5, 3, 8, 4},  {2, 3, 4, 4},  {2, 3, 32, 16}, {3, 3, 64, 4},
                                   {40, 3, 4, 1}, {3, 5, 28, 7}, {0, 3, 8, 4}};

// Where element (m, patch, c, y, x) lies in images [M, C, s, s].
std::int64_t image_offset(const Shape& h, std::int64_t m, std::int64_t patch, std::int64_t c, std::int64_t y,
                          std::int64_t x) {
    const std::int64_t side = h.s / h.p;
    return ((m * h.C + c) * h.s + patch / side * h.p + y) * h.s + patch % side * h.p + x;
}

}  // namespace

DEVICE_TEST("patchify orders patches in raster order, channel-major inside, and unpatchify inverts it") {
    for (const Shape& h : shapes) {
        const std::int64_t L = (h.s / h.p) * (h.s / h.p), size = h.M * h.C * h.s * h.s;
        const std::vector<float> images = uniform(size, 1);
        std::vector<float> patches(images.size(), NAN), expected, back(images.size(), NAN);
        RUN(device, patchify, patches, images, h.M, h.C, h.s, h.p);
        for (std::int64_t m = 0; m < h.M; ++m)
            for (std::int64_t patch = 0; patch < L; ++patch)
                for (std::int64_t c = 0; c < h.C; ++c)
                    for (std::int64_t y = 0; y < h.p; ++y)
                        for (std::int64_t x = 0; x < h.p; ++x)
                            expected.push_back(images[image_offset(h, m, patch, c, y, x)]);
        RUN(device, unpatchify, back, patches, h.M, h.C, h.s, h.p);
        CAPTURE(h.s);
        CAPTURE(h.p);
        CHECK(same_bits(patches, expected));
        CHECK(same_bits(back, images));
    }
}
