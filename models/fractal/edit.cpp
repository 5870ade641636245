#include "models/fractal/edit.h"

#include <algorithm>
#include <cmath>

#include "runtime/base/error.h"

namespace {

// Pixels of the square at `origin` that the mask hides.
std::int64_t hidden_pixels(const FractalConfig& config, const EditTask& task, PatchOrigin origin,
                           std::int64_t size) {
    std::int64_t count = 0;
    for (std::int64_t y = 0; y < size; ++y) {
        const auto row = task.mask.begin() + (origin.row + y) * config.image_size() + origin.column;
        count += std::count_if(row, row + size, [](std::uint8_t pixel) { return pixel != 0; });
    }
    return count;
}

// Checks the image of `level` at `origin`, which is partly hidden.
void require_editable_image(const FractalConfig& config, const EditTask& task, std::size_t level,
                            PatchOrigin origin) {
    if (level == config.generators()) return;
    const std::int64_t p = config.patch_size(level);
    bool behind = false;
    for (std::int64_t t = 0; t < config.tokens(level); ++t) {
        const PatchOrigin patch = patch_origin(config, level, origin, t);
        const std::int64_t hidden = hidden_pixels(config, task, patch, p);
        if (behind && hidden < p * p && !config.is_mar(level))
            fail_usage(
                "the mask leaves the {} x {} patch at row {}, column {} known, wholly or in part, which the "
                "AR "
                "level {} would have to draw again: expected all that comes after the first hidden patch in "
                "raster order, or a MAR model",
                p, p, patch.row, patch.column, level);
        if (hidden > 0 && hidden < p * p) require_editable_image(config, task, level + 1, patch);
        behind = behind || hidden > 0;
    }
}

}  // namespace

void require_editable(const FractalConfig& config, std::span<const std::uint8_t> mask) {
    if (std::ranges::none_of(mask, [](std::uint8_t pixel) { return pixel != 0; }))
        fail_usage("the mask is empty: nothing is to be redone");
    require_editable_image(config, {{}, mask}, 0, {0, 0});
}

PatchOrigin patch_origin(const FractalConfig& config, std::size_t level, PatchOrigin image,
                         std::int64_t patch) {
    const std::int64_t p = config.patch_size(level), side = config.img_size_list[level] / p;
    return {image.row + patch / side * p, image.column + patch % side * p};
}

std::vector<std::uint8_t> hidden_patches(const FractalConfig& config, std::size_t level, const EditTask& task,
                                         std::span<const PatchOrigin> origins) {
    const std::int64_t L = config.tokens(level);
    std::vector<std::uint8_t> hidden(origins.size() * static_cast<std::size_t>(L), 1);
    for (std::size_t i = 0; i < hidden.size(); ++i) {
        const auto t = static_cast<std::int64_t>(i) % L;
        const PatchOrigin patch = patch_origin(config, level, origins[i / static_cast<std::size_t>(L)], t);
        hidden[i] = hidden_pixels(config, task, patch, config.patch_size(level)) > 0 ? 1 : 0;
    }
    return hidden;
}

std::vector<float> known_patches(const FractalConfig& config, std::size_t level, const EditTask& task,
                                 std::span<const float> picture, std::span<const PatchOrigin> origins) {
    const std::int64_t L = config.tokens(level), p = config.patch_size(level), s = config.image_size();
    std::vector<float> patches;
    patches.reserve(origins.size() * static_cast<std::size_t>(L * config.channels * p * p));
    for (const PatchOrigin& origin : origins)
        for (std::int64_t t = 0; t < L; ++t) {
            const PatchOrigin patch = patch_origin(config, level, origin, t);
            for (std::int64_t c = 0; c < config.channels; ++c)
                for (std::int64_t i = 0; i < p * p; ++i) {
                    const std::int64_t pixel = (patch.row + i / p) * s + patch.column + i % p;
                    patches.push_back(task.mask[static_cast<std::size_t>(pixel)] != 0
                                          ? 0.0f
                                          : picture[static_cast<std::size_t>(c * s * s + pixel)]);
                }
        }
    return patches;
}

std::vector<std::uint8_t> guiding_limits(const FractalConfig& config, std::size_t level, const EditTask& task,
                                         std::span<const PatchOrigin> origins) {
    const std::int64_t size = config.img_size_list[level], s = config.image_size();
    const auto bytes = std::get<std::span<const std::uint8_t>>(task.picture);  // codes have no guiding pixels
    std::vector<std::uint8_t> limits;
    for (std::int64_t c = 0; c < config.channels; ++c)
        for (const PatchOrigin& origin : origins) {
            std::int64_t known_sum = 0, hidden = 0;
            for (std::int64_t i = 0; i < size * size; ++i) {
                const std::int64_t pixel = (origin.row + i / size) * s + origin.column + i % size;
                if (task.mask[static_cast<std::size_t>(pixel)] != 0)
                    ++hidden;
                else
                    known_sum += bytes[static_cast<std::size_t>(c * s * s + pixel)];
            }
            const auto count = static_cast<double>(size * size);
            limits.push_back(static_cast<std::uint8_t>(std::lround(static_cast<double>(known_sum) / count)));
            limits.push_back(static_cast<std::uint8_t>(
                std::lround(static_cast<double>(known_sum + 255 * hidden) / count)));
        }
    return limits;
}

TraceFrame trace_frame(const FractalConfig& config, const EditTask* task, std::span<const float> picture,
                       std::span<const float> patches, std::span<const std::uint8_t> hidden, std::int64_t n) {
    const std::int64_t L = config.tokens(0), p = config.patch_size(0), s = config.image_size(),
                       C = config.channels;
    TraceFrame frame{std::vector<float>(static_cast<std::size_t>(n * C * s * s)),
                     std::vector<std::uint8_t>(static_cast<std::size_t>(n * s * s))};
    for (std::int64_t m = 0; m < n; ++m)
        for (std::int64_t pixel = 0; pixel < s * s; ++pixel) {
            const std::int64_t row = pixel / s, column = pixel % s,
                               token = m * L + row / p * (s / p) + column / p;
            const bool given = task != nullptr && task->mask[static_cast<std::size_t>(pixel)] == 0;
            if (!given && hidden[static_cast<std::size_t>(token)] != 0) continue;
            frame.known[static_cast<std::size_t>(m * s * s + pixel)] = 1;
            for (std::int64_t c = 0; c < C; ++c)
                frame.images[static_cast<std::size_t>((m * C + c) * s * s + pixel)] =
                    given ? picture[static_cast<std::size_t>(c * s * s + pixel)]
                          : patches[static_cast<std::size_t>((token * C + c) * p * p + row % p * p +
                                                             column % p)];
        }
    return frame;
}
