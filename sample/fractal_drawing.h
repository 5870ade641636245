// What drawing from a fractal model takes: the checkpoint and, of a model of codes, their tokenizer.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "models/fractal/picture_sampler.h"
#include "sample/checkpoint_flags.h"
#include "sample/draw_flags.h"

class CommandLine;

struct FractalDrawFlags {
    CheckpointFlags checkpoint;
    DrawFlags drawing;
    std::string tokenizer;

    // The files that they name.
    std::vector<NamedPath> inputs() const;
};
// --checkpoint with its model, and --tokenizer; the others are added by add_draw_flags and add_backend_flags.
void add_fractal_model_flags(CommandLine& command, FractalDrawFlags& flags);

// A model whose weights are not read before load().
class FractalDrawing {
  public:
    // Opens the checkpoint, checks the flags against it and loads the tokenizer. Throws UsageError if a model of
    // codes has no tokenizer or one of pixels has one, and for flags that do not fit; Error for codes of another
    // tokenizer.
    explicit FractalDrawing(const FractalDrawFlags& flags);

    const FractalMetadata& metadata() const { return checkpoint_.metadata; }
    const FractalConfig& config() const { return checkpoint_.metadata.config; }
    // Of the pictures.
    std::int64_t channels() const { return picture_channels(config(), tokenizer_.get()); }
    std::int64_t image_size() const { return picture_size(config(), tokenizer_.get()); }

    // Of one picture by formula, 2 per multiply-add; of codes with the tokenizer's decoder.
    double operations(const DrawFlags& drawing) const;

    // Reads the weights, once.
    void load();
    // The same, and plans drawing `batch` pictures at once by these flags. This object must stay.
    std::unique_ptr<PictureSampler> sampler(std::int64_t batch, const DrawFlags& drawing);

  private:
    Backend backend_;
    OpenedCheckpoint checkpoint_;
    std::unique_ptr<Tokenizer> tokenizer_;
    std::unique_ptr<FractalModel> model_;
};
