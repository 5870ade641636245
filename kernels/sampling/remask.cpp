// A task is an image; the m-th smallest of its few hundred confidences by partial sorting.
#include "kernels/sampling/remask.h"

#include <algorithm>
#include <cassert>
#include <limits>

#include "kernels/common/partition.h"

namespace cpu {

void remask(std::int32_t* ids, const std::int32_t* filled, const float* confidence, const std::int32_t* ranks,
            const DecodingStep* steps, std::int64_t images_per_step, std::int64_t images,
            std::int64_t guidance_rows, std::int64_t N, std::int64_t K) {
    assert(N <= remask_max_positions);
    const auto is_masked = [](float x) { return x != std::numeric_limits<float>::infinity(); };
    for_each_task(images, images * N, [=](std::int64_t image) {
        std::uint32_t keys[remask_max_positions], sorted[remask_max_positions];
        const std::int64_t number = image / images_per_step;
        const DecodingStep& step = steps[number];
        const float *own = confidence + image * N, *first = confidence + number * images_per_step * N;
        const std::int64_t m = remasked_count(std::count_if(first, first + N, is_masked), step);
        for (std::int64_t n = 0; n < N; ++n)
            keys[n] =
                ordered_bits(step.by_rank && is_masked(own[n]) ? -static_cast<float>(ranks[n]) : own[n]);
        std::copy_n(keys, N, sorted);
        if (m > 0) std::nth_element(sorted, sorted + m - 1, sorted + N);
        const std::uint32_t cut = m > 0 ? sorted[m - 1] : 0;  // below every confidence
        for (std::int64_t half = 0; half < guidance_rows; ++half)
            for (std::int64_t n = 0; n < N; ++n)
                ids[(half * images + image) * N + n] =
                    keys[n] <= cut ? static_cast<std::int32_t>(K) : filled[image * N + n];
    });
}

}  // namespace cpu
