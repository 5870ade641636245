// The order in which pixels come alive: the pictures after each step of the outermost level.
#pragma once

#include <filesystem>
#include <vector>

#include "data/image_file.h"
#include "models/fractal/sample.h"

class TraceFolder {
  public:
    // Makes the folder. Pictures of `columns` images a row; pixels that are not there yet are grey. Throws
    // Error.
    TraceFolder(std::filesystem::path folder, const FractalConfig& config, int columns);
    // What FractalSampler::trace takes: writes the next numbered PNG. The folder must outlive the sampler's
    // use.
    Trace recorder();
    // Writes trace.webp from all of them; about five seconds long, at most ten pictures a second.
    void write_animation() const;

  private:
    std::filesystem::path folder_;
    int channels_, size_, columns_;
    std::vector<Image> frames_;
};
