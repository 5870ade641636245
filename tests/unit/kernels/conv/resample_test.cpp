#include "kernels/conv/resample.h"

#include <doctest/doctest.h>

#include <functional>

#include "tests/unit/kernels/bf16_check.h"

using namespace kernel_check;

namespace {

// One position, odd sides and channels, whole 16 bytes of channels, more rows than one block takes.
const std::vector<ResampleShape> shapes = {{1, 1, 1, 3}, {2, 3, 5, 7}, {3, 2, 4, 16}, {2, 17, 9, 40}};

// Calls body(element of the smaller map, element of the larger one) for every pair of one above the other.
void for_each_pair(const ResampleShape& s, const std::function<void(std::size_t, std::size_t)>& body) {
    for (std::int64_t b = 0; b < s.B; ++b)
        for (std::int64_t i = 0; i < 2 * s.H; ++i)
            for (std::int64_t j = 0; j < 2 * s.W; ++j)
                for (std::int64_t c = 0; c < s.C; ++c)
                    body(static_cast<std::size_t>(((b * s.H + i / 2) * s.W + j / 2) * s.C + c),
                         static_cast<std::size_t>(((b * 2 * s.H + i) * 2 * s.W + j) * s.C + c));
}

struct Maps {
    explicit Maps(const ResampleShape& s)
        : small(uniform(s.B * s.H * s.W * s.C, 1)), large(uniform(4 * s.B * s.H * s.W * s.C, 2)) {}
    std::vector<float> small, large;
};

}  // namespace

DEVICE_TEST("average pooling and upsampling, forward and backward, are sums and copies over 2 x 2") {
    for (const ResampleShape& shape : shapes) {
        const Maps maps(shape);
        std::vector<double> sums(maps.small.size()), copies(maps.large.size());
        for_each_pair(shape, [&](std::size_t small, std::size_t large) {
            sums[small] += maps.large[large];
            copies[large] = maps.small[small];
        });
        std::vector<double> means = sums, quarters = copies;
        for (double& mean : means) mean /= 4;
        for (double& quarter : quarters) quarter /= 4;
        std::vector<float> small(sums.size(), NAN), large(copies.size(), NAN);
        CAPTURE(shape.C);
        RUN(device, average_pool_forward, small, maps.large, shape);
        CHECK(relative_error(small, means) < 1e-6);
        RUN(device, average_pool_backward, large, maps.small, shape);
        CHECK(relative_error(large, quarters) < 1e-6);
        RUN(device, upsample_forward, large, maps.small, shape);
        CHECK(relative_error(large, copies) == 0);
        RUN(device, upsample_backward, small, maps.large, shape);
        CHECK(relative_error(small, sums) < 1e-6);
    }
}

DEVICE_TEST("resampling does not depend on the number of threads") {
    const ResampleShape shape{3, 31, 29, 24};
    const Maps maps(shape);
    CHECK(same_for_any_threads([&] {
        std::vector<float> small(maps.small.size());
        RUN(device, average_pool_forward, small, maps.large, shape);
        return small;
    }));
}

CUDA_TEST("resampling in bf16 is resampling in float, rounded once") {
    for (const ResampleShape& shape : shapes) {
        const Maps maps(shape);
        const std::vector<bf16> small = to_bf16(maps.small), large = to_bf16(maps.large);
        const std::vector<float> small_in_float = to_floats(small), large_in_float = to_floats(large);
        std::vector<float> expected_small(small.size()), expected_large(large.size());
        std::vector<bf16> to_small(small.size()), to_large(large.size());
        CAPTURE(shape.C);
        RUN(Device::cuda, average_pool_forward, expected_small, large_in_float, shape);
        RUN_CUDA(average_pool_forward, to_small, large, shape);
        CHECK(rounds_to(to_small, expected_small));
        RUN(Device::cuda, upsample_backward, expected_small, large_in_float, shape);
        RUN_CUDA(upsample_backward, to_small, large, shape);
        CHECK(rounds_to(to_small, expected_small));
        RUN(Device::cuda, average_pool_backward, expected_large, small_in_float, shape);
        RUN_CUDA(average_pool_backward, to_large, small, shape);
        CHECK(rounds_to(to_large, expected_large));
        RUN_CUDA(upsample_forward, to_large, small, shape);
        CHECK(rounds_to(to_large, [&] {
            std::vector<float> copies(large.size());
            for_each_pair(shape, [&](std::size_t s, std::size_t l) { copies[l] = small_in_float[s]; });
            return copies;
        }()));
    }
}
