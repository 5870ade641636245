// The flags of every training job that say how it runs, not what is learned.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <string>

#include "runtime/backend_flags.h"
#include "train/recipe.h"
#include "train/run_state.h"
#include "train/training_loop.h"

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
};

void add_run_flags(CLI::App& app, RunFlags& flags);

// Ranks on the same processor share its memory. All look before any takes its part, and throw Error if the
// run does not fit.
struct MemoryNeed {
    std::size_t state, activations, evaluations;  // bytes
    const char* remedy;                           // what would make the activations smaller
};
void require_memory(const MemoryNeed& need, Device device, const Comm& comm);
