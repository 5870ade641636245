// Flags of every job that loads a checkpoint: the file, its model if the file has no metadata, and the choice
// of weights.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "models/fractal/checkpoint.h"
#include "models/nat/checkpoint.h"
#include "runtime/files/output_file.h"

class CommandLine;

struct CheckpointFlags {
    std::string checkpoint, preset, config, weights;

    // The files that the job reads.
    std::vector<NamedPath> inputs() const { return {{"--checkpoint", checkpoint}, {"--config", config}}; }
    // "" -> no choice, "newest", "average"; throws UsageError for anything else.
    std::optional<WeightChoice> weight_choice() const;
    // The model of `file` by --preset or --config, if either is given. Throws UsageError.
    std::optional<FractalConfig> given_config(const TensorFile& file) const;
    // The same for a file that holds a masked-token transformer (holds_nat).
    std::optional<NatConfig> given_nat_config(const TensorFile& file) const;
    // The same for a text encoder.
    std::optional<TextConfig> given_text_config(const TensorFile& file) const;
};

// Of --weights in --help.
inline constexpr const char* weights_meaning =
    "newest or average (default: the average if the checkpoint has one)";

// Adds --preset and --config to a job; --checkpoint and --weights as well.
void add_model_flags(CommandLine& app, CheckpointFlags& flags);
void add_checkpoint_flags(CommandLine& app, CheckpointFlags& flags);

// A checkpoint opened according to the flags, its tensors not yet read.
struct OpenedCheckpoint {
    explicit OpenedCheckpoint(const CheckpointFlags& flags);
    std::unique_ptr<FractalModel> load(Backend backend) const;

    std::unique_ptr<TensorFile> file;
    FractalMetadata metadata;
    std::optional<WeightChoice> choice;
};
