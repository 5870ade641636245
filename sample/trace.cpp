#include "sample/trace.h"

#include <algorithm>

#include "data/images/animation.h"
#include "data/images/sheet.h"
#include "runtime/base/error.h"
#include "runtime/files/atomic_file.h"

namespace {

constexpr std::uint8_t unknown_pixel = 128;
constexpr int animation_milliseconds = 5000, shortest_frame = 40, longest_frame = 400;

}  // namespace

TraceFolder::TraceFolder(std::filesystem::path folder, int channels, int size, int columns)
    : folder_(std::move(folder)), channels_(channels), size_(size), columns_(columns) {
    make_folder(folder_);
}

void TraceFolder::add(std::span<const std::uint8_t> images, std::span<const std::uint8_t> known) {
    const auto plane = static_cast<std::size_t>(size_ * size_);
    std::vector<std::uint8_t> shown(images.begin(), images.end());
    for (std::size_t i = 0; i < shown.size(); ++i) {
        const std::size_t image = i / plane / static_cast<std::size_t>(channels_);
        if (known[image * plane + i % plane] == 0) shown[i] = unknown_pixel;
    }
    const Image sheet = image_sheet(shown, channels_, size_, columns_);
    write_png(frame_path(frames_.size()), sheet);
    frames_.push_back(sheet);
}

std::filesystem::path TraceFolder::frame_path(std::size_t number) const {
    return folder_ / fmt::format("{:04}.png", number);
}

PictureSampler::PictureTrace TraceFolder::recorder() {
    return [this](std::span<const std::uint8_t> images, std::span<const std::uint8_t> known) {
        add(images, known);
    };
}

void TraceFolder::write_animation() const {
    AnimationTiming timing;
    timing.frame =
        std::clamp(animation_milliseconds / static_cast<int>(frames_.size()), shortest_frame, longest_frame);
    ::write_animation(folder_ / "trace.webp", frames_, timing);
    // Of an earlier trace that was longer (--overwrite).
    std::error_code none;
    for (std::size_t later = frames_.size(); std::filesystem::remove(frame_path(later), none); ++later) {
    }
}
