// A task is an image; the m-th smallest of its few hundred confidences by partial sorting.
#include "kernels/sampling/remask.h"

#include <algorithm>
#include <cassert>
#include <limits>

#include "kernels/common/partition.h"

namespace cpu {

void remask(std::int32_t* ids, const std::int32_t* filled, const float* confidence, const DecodingStep* step,
            std::int64_t images, std::int64_t guidance_rows, std::int64_t N, std::int64_t K) {
    assert(N <= remask_max_positions);
    const auto is_masked = [](float x) { return x != std::numeric_limits<float>::infinity(); };
    const std::int64_t m =
        remasked_count(N, std::count_if(confidence, confidence + N, is_masked), step->ratio);
    for_each_task(images, images * N, [=](std::int64_t image) {
        std::uint32_t keys[remask_max_positions];
        const float* own = confidence + image * N;
        std::transform(own, own + N, keys, ordered_bits);
        std::nth_element(keys, keys + m - 1, keys + N);
        const std::uint32_t cut = keys[m - 1];
        for (std::int64_t half = 0; half < guidance_rows; ++half)
            for (std::int64_t n = 0; n < N; ++n)
                ids[(half * images + image) * N + n] =
                    ordered_bits(own[n]) <= cut ? static_cast<std::int32_t>(K) : filled[image * N + n];
    });
}

}  // namespace cpu
