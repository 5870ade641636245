// Flags of every training job that do not affect the trained weights.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>

#include "runtime/device/backend_flags.h"
#include "runtime/files/output_file.h"
#include "runtime/tensor/arena.h"
#include "train/recipe.h"
#include "train/run_state.h"
#include "train/training_loop.h"

class CommandLine;

class TokenFile;

struct RunFlags {
    BackendFlags backend;
    std::string out;
    std::int64_t evaluate_every = 0, save_every = 0, log_every = 10, keep = 2;
    bool shard_optimizer = false, plan = false, profile = false;
    double bucket = 16;  // MiB

    LoopRule loop(const TrainingSettings& settings) const {
        return {settings.steps, settings.images_per_step(), log_every, evaluate_every, save_every, keep};
    }
    // Throws UsageError for a --bucket out of range.
    RankRule ranks(const Comm& comm) const;
    // Opened by all ranks before they take memory for the run. Throws UsageError without --out or if
    // the run would write one of `inputs`, and as RunFolder does.
    RunFolder open_folder(const Comm& comm, std::span<const NamedPath> inputs) const;
};

void add_run_flags(CommandLine& app, RunFlags& flags);
// Flags of evaluations; the descriptions of the sheet's two numbers depend on the job.
void add_evaluation_flags(CommandLine& app, std::int64_t& validation_images, std::int64_t& sheet_columns,
                          const char* columns_meaning, std::int64_t& sheet_rows, const char* rows_meaning);
// Of jobs that several ranks can share.
void add_rank_flags(CommandLine& app, RunFlags& flags);

// Description of a run for its folder's config.json and its first line of output.
struct RunDescription {
    std::string model, data;  // JSON objects for config.json, the latter under `data_key`
    std::string data_key = "data";
    std::string initial;  // file of --init-from, "" if none was given
    Backend backend;
    std::int64_t parameters = 0, images = 0;
    std::size_t planned_bytes = 0;
};
// For `data`, under "tokens", of a run on a token file.
std::string described_tokens(const TokenFile& tokens);
// Continues the run in its folder, or starts it there after `initialise`, and trains to its end. Its memory
// is reserved. A run that began on another device or in another precision continues with a line on stderr. Throws
// Error if the ranks' precisions differ, UsageError for settings that a run may not change.
void train_in_folder(TrainingRun& run, const RunFlags& flags, const TrainingSettings& settings,
                     const Comm& comm, RunFolder& folder, const RunDescription& description,
                     const std::function<void()>& initialise);

// Output of --plan: the bytes of model and optimizer and their contents, and those of a step, with lines
// about its chunks.
void print_plan(std::int64_t parameters, std::size_t state_bytes, std::string_view state_holds,
                const Plan& plan, std::string_view chunks);

// Ranks on the same processor share its memory. All look before any takes its part, and throw Error if the
// run does not fit.
struct MemoryNeed {
    std::size_t state, activations, evaluations;  // bytes
    const char* remedy;                           // a setting that reduces the activations
};
void require_memory(const MemoryNeed& need, Device device, const Comm& comm);
