#include "train/run_folder.h"

#include <algorithm>
#include <charconv>
#include <fstream>
#include <sstream>

#include "data/training_curves.h"
#include "runtime/atomic_file.h"
#include "runtime/error.h"
#include "runtime/sharded_checkpoint.h"

namespace {

constexpr std::string_view prefix = "checkpoint-", suffix = ".safetensors";

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

// A row as log.csv has it, without the step and what was not measured.
std::vector<Scalar> scalars_of(const LogRow& row, const LogColumns& columns) {
    std::vector<Scalar> scalars{{"loss", row.loss}};
    const auto append = [&](const std::vector<std::string>& names, const std::vector<double>& values) {
        for (std::size_t i = 0; i < values.size(); ++i) scalars.push_back({names[i], values[i]});
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

RunFolder::RunFolder(std::filesystem::path path, bool writes) : path_(std::move(path)), writes_(writes) {
    make_folder(path_);
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
    write(checkpoint(step));
    if (!writes_) return;
    const auto link = path_ / "last.safetensors", fresh = path_ / "last.safetensors.partial";
    std::error_code ignored;
    std::filesystem::remove(fresh, ignored);
    std::filesystem::create_symlink(checkpoint(step).filename(), fresh);
    std::filesystem::rename(fresh, link);
    // Later ones stem from before a resume that could not read them; kept, they would count as the newest.
    std::int64_t kept = 0;
    for (const std::int64_t other : checkpoint_steps())
        if (other > step || ++kept > keep) std::filesystem::remove(checkpoint(other), ignored);
    remove_orphaned_shards(path_);
}

void RunFolder::start_log(std::int64_t step, const LogColumns& columns) {
    columns_ = columns;
    if (!writes_) return;
    std::string kept = fmt::format("step,loss,{}learning_rate,gradient_norm,images_per_second,memory_mib{}\n",
                                   each(columns.figures, "{},"), each(columns.validation, ",{}"));
    std::ifstream before(path_ / "log.csv");
    for (std::string line; std::getline(before, line);) {
        const std::int64_t row_step = leading_number(line);
        if (row_step >= 0 && row_step <= step) kept += line + "\n";
    }
    AtomicFile file(path_ / "log.csv");
    file.write(kept);
    file.commit();
    events_ = std::make_unique<EventFile>(path_, step);
}

void RunFolder::append_log(const LogRow& row) const {
    if (!writes_) return;
    std::ofstream file(path_ / "log.csv", std::ios::app);
    file << fmt::format("{},{:.6f},{}{:.6g},{:.6g},{:.2f},{:.1f}{}\n", row.step, row.loss,
                        each(row.figures, "{:.6f},"), row.learning_rate, row.gradient_norm,
                        row.images_per_second, row.memory_mib,
                        row.validation.empty() ? std::string(columns_.validation.size(), ',')
                                               : each(row.validation, ",{:.6f}"));
    file.flush();
    if (!file) fail("{}: cannot be written", (path_ / "log.csv").string());
    events_->add_scalars(row.step, scalars_of(row, columns_));
}

void RunFolder::show_progress(std::int64_t step) const {
    if (!writes_) return;
    try {
        const NamedLog run{run_name(path_), read_training_log(path_ / "log.csv")};
        if (run.log.rows() > 0) write_png(path_ / "curves.png", training_curves({&run, 1}));
        const std::string ending = fmt::format("-{:08}.png", step);
        for (const auto& entry : std::filesystem::directory_iterator(path_)) {
            const std::string name = entry.path().filename().string();
            if (name.ends_with(ending))
                events_->add_image(step, name.substr(0, name.size() - ending.size()), entry.path());
        }
    } catch (const std::exception& error) {
        fmt::print(stderr, "train: {}; the run goes on\n", error.what());
    }
}

std::filesystem::path RunFolder::sheet(std::int64_t step) const {
    return path_ / fmt::format("samples-{:08}.png", step);
}
