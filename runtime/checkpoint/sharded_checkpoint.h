// Checkpoints of runs whose optimizer is divided among ranks.
//
// The checkpoint itself, CHECKPOINT.safetensors, holds the weights as in every checkpoint, for sampling and
// fine-tuning. It is also the manifest: its metadata "shards" lists the files beside it that hold the
// optimizer's state, CHECKPOINT.rank-R-of-N.safetensors, one written by each rank, with their sizes and
// checksums. The shards are written first and the manifest is renamed into place last, so that all files it
// names exist. A piece of a state tensor is called PREFIX NAME/BEGIN: elements BEGIN, BEGIN + 1, ... of
// parameter NAME, row after row. Pieces are found by these names, so that any number of ranks, or one without
// shards, can continue.
#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <string_view>

#include "runtime/files/safetensors.h"
#include "runtime/ranks/comm.h"
#include "runtime/tensor/shard.h"

// Of the manifest's metadata: a JSON list.
inline constexpr const char* shards_key = "shards";

// One kind of state, in the shard's order, on the parameters' device.
struct StateSlab {
    std::string_view prefix;
    const float* values = nullptr;
};

// Writes every rank's shard beside the checkpoint that is about to be written, and returns the list for its
// metadata. Collective. Throws Error.
std::string write_shards(const std::filesystem::path& checkpoint, const Comm& comm,
                         std::span<const Segment> segments, std::span<const StateSlab> slabs, Device device);

// Reads the state of `segments` under `prefix` into `destination` (on `device`, in the shard's order), from
// the file itself or from the shards beside it. Throws Error naming the file if something is missing, of
// another size or damaged.
void load_state(const SafetensorsFile& checkpoint, std::span<const Segment> segments, std::string_view prefix,
                float* destination, Device device);

// Removes the shards in a run's folder that have no checkpoint: it was removed, or the run was killed before
// it was written.
void remove_orphaned_shards(const std::filesystem::path& folder);
