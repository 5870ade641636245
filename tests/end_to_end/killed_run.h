// Runs that are killed repeatedly, and checks of the remaining files each time.
#pragma once

#include <cstdint>
#include <filesystem>

#include "tests/end_to_end/test_directory.h"

// KILLS of the environment (make test-long), divided by `share`; `few` without it.
int number_of_kills(int few, int share = 1);

struct KilledRun {
    std::filesystem::path folder;
    std::filesystem::path program;  // build/train, or a launcher of it
    // Without an end; every step logged, two checkpoints kept.
    Words arguments;
};

// Starts the run and kills it with all processes it has started, `kills` times: right after the start, in
// steps, in the middle of writing checkpoints, between one's rename and the next action. After each kill
// checks that all finished files are still there, or newer ones in their place, and complete. Returns the
// step of the newest checkpoint.
std::int64_t survive_kills(const KilledRun& run, int kills);

// Two runs whose last checkpoint is that of `step` ended with the same bits: weights, state, log, best
// checkpoint; nothing half written lies about.
void check_same_end(const std::filesystem::path& run, const std::filesystem::path& reference,
                    std::int64_t step);

// Every tensor of a checkpoint, of its shards too, matches its checksum.
void check_whole(const std::filesystem::path& checkpoint);
// Names of unfinished files in a run's folder: partial files and the lock.
Words leftovers(const std::filesystem::path& folder);
