#include "train/run_folder.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <fstream>
#include <sstream>

#include "data/charts/training_curves.h"
#include "runtime/base/error.h"
#include "runtime/base/report.h"
#include "runtime/checkpoint/sharded_checkpoint.h"
#include "runtime/files/atomic_file.h"

namespace {

constexpr std::string_view prefix = "checkpoint-", suffix = ".safetensors";

// Prefixes of the files that a run writes in its folder, which may contain other files.
constexpr std::array<std::string_view, 8> written_names{prefix,    "best.",   "last.",    "config.",
                                                        "log.csv", "curves.", "samples-", "reconstructions-"};

// Whether a run writes or removes the file of this name: one of its fixed names, or a number in its place.
bool is_written(std::string name) {
    if (name.ends_with(partial_suffix)) name.resize(name.size() - partial_suffix.size());
    constexpr std::array<std::string_view, 5> fixed{"config.json", "log.csv", "curves.png",
                                                    "best.safetensors", "last.safetensors"};
    return std::ranges::find(fixed, name) != fixed.end() ||
           std::ranges::any_of(written_names, [&](std::string_view begin) {
               return begin.ends_with('-') && name.starts_with(begin) && name.size() > begin.size() &&
                      name[begin.size()] >= '0' && name[begin.size()] <= '9';
           });
}

// The number a text starts with, or -1.
std::int64_t leading_number(std::string_view text) {
    std::int64_t number = -1;
    std::from_chars(text.data(), text.data() + text.size(), number);
    return number;
}

// Each of them in this format, one behind the other.
template <class T>
std::string each(const std::vector<T>& all, fmt::format_string<const T&> format) {
    std::string text;
    for (const T& one : all) text += fmt::format(format, one);
    return text;
}

// Each behind a comma; nothing for what was not measured.
std::string validation_fields(const std::vector<double>& values) {
    std::string text;
    for (const double value : values) text += std::isnan(value) ? "," : fmt::format(",{:.6f}", value);
    return text;
}

// A row of log.csv, without the step and empty columns.
std::vector<Scalar> scalars_of(const LogRow& row, const LogColumns& columns) {
    std::vector<Scalar> scalars{{"loss", row.loss}};
    const auto append = [&](const std::vector<std::string>& names, const std::vector<double>& values) {
        for (std::size_t i = 0; i < values.size(); ++i)
            if (!std::isnan(values[i])) scalars.push_back({names[i], values[i]});
    };
    append(columns.figures, row.figures);
    scalars.insert(scalars.end(), {{"learning_rate", row.learning_rate},
                                   {"gradient_norm", row.gradient_norm},
                                   {"images_per_second", row.images_per_second},
                                   {"memory_mib", row.memory_mib}});
    append(columns.validation, row.validation);
    return scalars;
}

}  // namespace

void RunFolder::require_distinct(const std::filesystem::path& path, std::span<const NamedPath> inputs) {
    ::require_distinct({"--out", path}, inputs);
    std::error_code error;
    for (std::filesystem::directory_iterator entry(path, error), end; !error && entry != end;
         entry.increment(error))
        if (is_written(entry->path().filename().string()))
            ::require_distinct({"--out", entry->path()}, inputs);
}

RunFolder::RunFolder(std::filesystem::path path, bool writes) : path_(std::move(path)), writes_(writes) {
    std::error_code none;
    is_new_ = !std::filesystem::exists(path_, none);
    make_folder(path_);
    if (!writes_) return;
    lock_ = std::make_unique<RunLock>(path_);
    require_replaceable_last();
    remove_partial_files();
}

RunFolder::~RunFolder() {
    if (!lock_) return;
    const bool remove = is_new_ && lock_->has_folder();
    lock_.reset();
    if (remove) ::rmdir(path_.c_str());  // unless there is something in it
}

void RunFolder::require_there() const {
    if (lock_ && !lock_->has_folder())
        fail("{}: the run's folder has been removed or replaced; the run stops", path_.string());
}

// A copy of a run's folder may hold a file instead of the link, and that may be all there is of a model.
void RunFolder::require_replaceable_last() const {
    if (std::filesystem::is_regular_file(std::filesystem::symlink_status(last())) &&
        checkpoint_steps().empty())
        fail(
            "{}: expected a link to a checkpoint, found a file, and no {}STEP{} beside it, which a run here "
            "could continue from: rename it or take it away",
            last().string(), prefix, suffix);
}

void RunFolder::remove_partial_files() const {
    std::error_code ignored;
    for (const auto& entry : std::filesystem::directory_iterator(path_)) {
        const std::string name = entry.path().filename().string();
        if (name.ends_with(partial_suffix) &&
            std::ranges::any_of(written_names,
                                [&](std::string_view begin) { return name.starts_with(begin); }) &&
            !std::filesystem::is_directory(entry.symlink_status()))
            std::filesystem::remove(entry.path(), ignored);
    }
}

void RunFolder::write_config(std::string_view json) const {
    if (!writes_) return;
    AtomicFile file(path_ / "config.json");
    file.write(json);
    file.commit();
}

std::vector<std::int64_t> RunFolder::checkpoint_steps() const {
    std::vector<std::int64_t> steps;
    for (const auto& entry : std::filesystem::directory_iterator(path_)) {
        const std::string name = entry.path().filename().string();
        if (!name.starts_with(prefix)) continue;
        const std::int64_t step = leading_number(std::string_view(name).substr(prefix.size()));
        if (step >= 0 && name == checkpoint(step).filename()) steps.push_back(step);
    }
    std::ranges::sort(steps, std::greater<>());
    return steps;
}

std::filesystem::path RunFolder::checkpoint(std::int64_t step) const {
    return path_ / fmt::format("{}{:08}{}", prefix, step, suffix);
}

void RunFolder::save_checkpoint(std::int64_t step, std::int64_t keep,
                                const std::function<void(const std::filesystem::path&)>& write) const {
    if (writes_) sync_file(log());
    write(checkpoint(step));
    if (!writes_) return;
    point_last_at(step);
    // Later ones stem from before a resume that could not read them; kept, they would count as the newest.
    std::error_code ignored;
    std::int64_t kept = 0;
    for (const std::int64_t other : checkpoint_steps())
        if (other > step || ++kept > keep) std::filesystem::remove(checkpoint(other), ignored);
    remove_orphaned_shards(path_);
}

void RunFolder::point_last_at(std::int64_t step) const {
    std::error_code none;
    const auto target = checkpoint(step).filename();
    if (writes_ && std::filesystem::read_symlink(last(), none) != target) replace_link(last(), target);
}

void RunFolder::start_log(std::int64_t step, const LogColumns& columns) {
    columns_ = columns;
    if (!writes_) return;
    std::string kept;
    std::ifstream before(log());
    for (std::string line; std::getline(before, line);) {
        const bool whole = !before.eof();
        const std::int64_t row_step = leading_number(line);
        if (whole && row_step >= 0 && row_step <= step) kept += line + "\n";
    }
    write_log(kept);
    events_ = std::make_unique<EventFile>(path_, step);
}

void RunFolder::write_log(const std::string& rows) const {
    AtomicFile file(log());
    file.write(fmt::format("step,loss,{}learning_rate,gradient_norm,images_per_second,memory_mib{}\n",
                           each(columns_.figures, "{},"), each(columns_.validation, ",{}")));
    file.write(rows);
    file.commit();
}

void RunFolder::append_log(const LogRow& row) const {
    if (!writes_) return;
    require_there();
    if (!std::filesystem::exists(log())) write_log("");  // somebody took it away
    append_to_file(log(), fmt::format("{},{:.6f},{}{:.6g},{:.6g},{:.2f},{:.1f}{}\n", row.step, row.loss,
                                      each(row.figures, "{:.6f},"), row.learning_rate, row.gradient_norm,
                                      row.images_per_second, row.memory_mib,
                                      row.validation.empty() ? std::string(columns_.validation.size(), ',')
                                                             : validation_fields(row.validation)));
    events_->add_scalars(row.step, scalars_of(row, columns_));
}

void RunFolder::show_progress(std::int64_t step) const {
    if (!writes_) return;
    try {
        const NamedLog run{run_name(path_), read_training_log(log())};
        if (run.log.rows() > 0) write_png(path_ / "curves.png", training_curves({&run, 1}));
        const std::string ending = fmt::format("-{:08}.png", step);
        for (const auto& entry : std::filesystem::directory_iterator(path_)) {
            const std::string name = entry.path().filename().string();
            if (name.ends_with(ending))
                events_->add_image(step, name.substr(0, name.size() - ending.size()), entry.path());
        }
    } catch (const std::exception& error) {
        report_line("train", fmt::format("{}; the run goes on", error.what()));
    }
}

std::filesystem::path RunFolder::sheet(std::int64_t step) const {
    return path_ / fmt::format("samples-{:08}.png", step);
}
