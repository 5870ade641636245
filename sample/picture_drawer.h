// Pictures drawn by a model of either family, for jobs that draw many: by number and class, batch by batch.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "sample/draw_flags.h"
#include "sample/nat_drawing.h"

class PictureDrawer {
  public:
    virtual ~PictureDrawer() = default;

    // Classes, or texts; 0: without either.
    virtual std::int64_t class_num() const = 0;
    virtual const std::vector<std::string>& class_names() const = 0;
    virtual std::int64_t channels() const = 0;
    virtual std::int64_t image_size() const = 0;
    virtual std::int64_t parameters() const = 0;
    // Operations of one picture by formula (models/fractal/cost.h, models/nat/cost.h), 2 per multiply-add: the
    // model's passes, with those of guidance, and the decoder of a tokenizer.
    virtual double operations() const = 0;
    // One picture per class (-1: of no class), [classes, channels, size, size], at most a batch; the first of
    // them has the number `first`. Throws Error.
    virtual std::vector<std::uint8_t> draw(std::span<const std::int64_t> classes, std::int64_t first,
                                           std::uint64_t seed) = 0;
};

// Sampling flags of both families; those of the other one than the checkpoint's have no effect.
struct DrawerFlags {
    CheckpointFlags checkpoint;
    DrawFlags fractal;
    NatDrawFlags nat;
    std::vector<std::string> texts;  // that a model of texts draws from: its classes

    std::vector<NamedPath> inputs() const;
};

// The model of --checkpoint with its flags. Throws UsageError for flags that do not fit it, Error for a file
// that holds no model that draws.
std::unique_ptr<PictureDrawer> open_drawer(const DrawerFlags& flags, std::int64_t batch);
