// A run is a folder: config.json (what was asked for), log.csv (one line per logged step), curves.png (its
// columns drawn, anew at each evaluation), events.out.tfevents.SECONDS.HOST (the same for TensorBoard, and
// the sheets; one file for each start of the run), sample sheets as PNG and checkpoints:
// checkpoint-STEP.safetensors (the last few), best.safetensors (lowest validation score) and
// last.safetensors, a link to the newest (where there are no links, a copy of it). Beside a checkpoint of
// ranks with a sharded optimizer lie its shards (runtime/checkpoint/sharded_checkpoint.h). While the run writes there,
// also .lock (train/run_lock.h).
//
// The run may be killed at any moment: what stands there under its final name is whole, a checkpoint is
// removed only after newer ones are safe, and log.csv is on the disk before the checkpoint of its last row.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/files/output_file.h"
#include "train/event_file.h"
#include "train/run_lock.h"

struct LogRow {
    std::int64_t step = 0;  // updates done
    double loss = 0;
    std::vector<double> figures;  // of training, beside the loss
    double learning_rate = 0, gradient_norm = 0, images_per_second = 0, memory_mib = 0;
    std::vector<double> validation;  // empty if nothing was measured
};

// The columns of log.csv that not every model has.
struct LogColumns {
    std::vector<std::string> figures, validation;
};

class RunFolder {
  public:
    // Throws UsageError if `path` is one of `inputs`, or a file in it that a run writes or removes is.
    static void require_distinct(const std::filesystem::path& path, std::span<const NamedPath> inputs);
    // Creates the folder if need be, locks it and removes what a killed run left half written; throws Error
    // if that fails or another run holds the lock. Of several ranks one alone `writes`: for the others
    // write_config, start_log, append_log, show_progress, point_last_at do nothing, and save_checkpoint calls
    // `write` only.
    explicit RunFolder(std::filesystem::path path, bool writes = true);
    // Unlocks it; if it was created and nothing was written, removes it.
    ~RunFolder();

    const std::filesystem::path& path() const { return path_; }
    // Throws Error if the folder has been removed, or another one stands in its place.
    void require_there() const;
    void write_config(std::string_view json) const;

    // Steps of the checkpoints there are, newest first.
    std::vector<std::int64_t> checkpoint_steps() const;
    std::filesystem::path checkpoint(std::int64_t step) const;
    std::filesystem::path best_checkpoint() const { return path_ / "best.safetensors"; }
    // Writes checkpoint-STEP through `write(path)`, points last.safetensors at it and removes all but the
    // newest `keep`.
    void save_checkpoint(std::int64_t step, std::int64_t keep,
                         const std::function<void(const std::filesystem::path&)>& write) const;
    // last.safetensors becomes a link to the checkpoint of this step, if it is not.
    void point_last_at(std::int64_t step) const;

    // Cuts log.csv and what TensorBoard reads back to whole rows of at most `step` updates (creating log.csv
    // if there is none).
    void start_log(std::int64_t step, const LogColumns& columns);
    void append_log(const LogRow& row) const;
    // After an evaluation at `step`: draws curves.png from log.csv, and shows TensorBoard the sheets
    // NAME-STEP.png. If that fails, says so on stderr: no reason for a run to end.
    void show_progress(std::int64_t step) const;

    std::filesystem::path sheet(std::int64_t step) const;

  private:
    std::filesystem::path log() const { return path_ / "log.csv"; }
    std::filesystem::path last() const { return path_ / "last.safetensors"; }
    void require_replaceable_last() const;
    void remove_partial_files() const;
    void write_log(const std::string& rows) const;

    std::filesystem::path path_;
    bool writes_, is_new_ = false;
    std::unique_ptr<RunLock> lock_;
    LogColumns columns_;
    std::unique_ptr<EventFile> events_;
};
