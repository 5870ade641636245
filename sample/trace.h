// Trace of sampling: the images after each step of a fractal model's outermost level, or of parallel
// decoding.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <vector>

#include "data/images/image_file.h"
#include "models/fractal/picture_sampler.h"

class TraceFolder {
  public:
    // Makes the folder. Images of `size` x `size` pixels, `columns` in a row. Throws Error.
    TraceFolder(std::filesystem::path folder, int channels, int size, int columns);
    // Writes the next numbered PNG: images [n, C, s, s] and whether each pixel is there yet, [n, s, s]; those
    // that are not are grey.
    void add(std::span<const std::uint8_t> images, std::span<const std::uint8_t> known);
    // A callback for PictureSampler::trace that calls add(). The folder must outlive the sampler's use.
    PictureSampler::PictureTrace recorder();
    // Writes trace.webp from all of them; about five seconds long, at most ten pictures a second.
    void write_animation() const;

  private:
    std::filesystem::path frame_path(std::size_t number) const;

    std::filesystem::path folder_;
    int channels_, size_, columns_;
    std::vector<Image> frames_;
};
