#include "train/training_loop.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>

#include "runtime/base/error.h"
#include "runtime/base/json_keys.h"
#include "runtime/base/report.h"
#include "runtime/device/device.h"
#include "train/stop_signals.h"

namespace {

// Between checkpoints, by default.
constexpr std::int64_t most_unsaved_steps = 1000;

// Fault of a checkpoint, "" if the run continues from it. Throws UsageError if it belongs to another run.
std::string resume_from(const std::filesystem::path& path, TrainingRun& run) {
    try {
        run.resume(SafetensorsFile(path));
        return "";
    } catch (const UsageError&) {
        throw;
    } catch (const Error& error) {
        return error.what();
    }
}

// Sums since the last logged step.
struct Window {
    double loss = 0;
    std::vector<double> figures;
    std::int64_t steps = 0;
    std::chrono::steady_clock::time_point start = std::chrono::steady_clock::now();

    void add(const StepResult& result) {
        loss += result.loss;
        figures.resize(result.figures.size());
        std::ranges::transform(figures, result.figures, figures.begin(), std::plus<>());
        ++steps;
    }
    LogRow row(std::int64_t step, const StepResult& last, std::int64_t images_per_step) const {
        const auto count = static_cast<double>(steps);
        const std::chrono::duration<double> spent = std::chrono::steady_clock::now() - start;
        LogRow row;
        row.step = step;
        row.loss = loss / count;
        for (const double figure : figures) row.figures.push_back(figure / count);
        row.learning_rate = static_cast<double>(last.learning_rate);
        row.gradient_norm = last.gradient_norm;
        row.images_per_second = count * static_cast<double>(images_per_step) / spent.count();
        row.memory_mib = static_cast<double>(peak_resident_memory()) / 0x1p20;
        return row;
    }
};

std::string progress_line(const LogRow& row, std::int64_t steps, const std::vector<Figure>& figures) {
    std::string line = fmt::format("step {}/{}  loss {:.4f}", row.step, steps, row.loss);
    for (std::size_t i = 0; i < figures.size(); ++i)
        line += "  " + fmt::format(fmt::runtime(figures[i].words), row.figures[i]);
    return line + fmt::format("  {:.1f} images/s ", row.images_per_second);
}

void start_log(const TrainingRun& run, RunFolder& folder) {
    LogColumns columns{{}, run.validation_columns()};
    for (const Figure& figure : run.figures()) columns.figures.push_back(figure.column);
    folder.start_log(run.steps_done(), columns);
}

// Infinite if there is no best checkpoint or it cannot be read.
double best_score(const RunFolder& folder, const std::vector<std::string>& validation_columns,
                  const Comm& comm) {
    const std::filesystem::path path = folder.best_checkpoint();
    if (validation_columns.empty() || !std::filesystem::exists(path)) return INFINITY;
    double score = INFINITY;
    try {
        parse_value(SafetensorsFile(path).metadata(validation_columns.front()), score,
                    path.string() + ": " + validation_columns.front());
    } catch (const Error& error) {
        if (comm.rank() == 0)
            report_line("train", fmt::format("{}; the next evaluation writes it anew", error.what()));
    }
    return score;
}

void require_finite(const StepResult& result, std::int64_t step, const RunFolder& folder) {
    if (std::isfinite(result.loss) && std::isfinite(result.gradient_norm)) return;
    fail("step {}: the loss is {}, the gradient norm {}; the run stops, {} {}", step, result.loss,
         result.gradient_norm, folder.path().string(),
         folder.checkpoint_steps().empty() ? "holds no checkpoint yet" : "holds the last good checkpoint");
}

// An evaluation that fails ends the run, but the updates before it are saved first. Of several ranks, only rank
// 0 evaluates, and the others wait for it: there it ends them all.
std::vector<double> evaluate_or_save(TrainingRun& run, const Comm& comm, const LogRow& row,
                                     const LoopRule& rule, RunFolder& folder, Progress& progress) {
    folder.require_there();
    try {
        return run.evaluate(folder, progress);
    } catch (...) {
        try {
            if (comm.ranks() == 1) {
                folder.append_log(row);
                folder.save_checkpoint(row.step, rule.keep,
                                       [&](const auto& path) { run.save(path, std::nullopt, true); });
            }
        } catch (const std::exception&) {  // the first failure is the one to report
        }
        throw;
    }
}

}  // namespace

StepProgress part_of(const StepProgress& whole, std::int64_t index, std::int64_t count) {
    if (!whole) return {};
    return [&whole, index, count](double share) {
        whole((static_cast<double>(index) + share) / static_cast<double>(count));
    };
}

bool resume_newest(TrainingRun& run, const Comm& comm, const RunFolder& folder) {
    const auto steps = comm.broadcast(folder.checkpoint_steps());
    for (const std::int64_t step : steps) {
        const std::string error = resume_from(folder.checkpoint(step), run);
        const std::int64_t failed = comm.all_reduce_min(error.empty() ? comm.ranks() : comm.rank());
        if (failed == comm.ranks()) {
            folder.point_last_at(step);  // the run may have been killed before it did
            return true;
        }
        if (failed == comm.rank()) report_line("train", error + "; trying the checkpoint before it");
    }
    if (!steps.empty())
        fail("{}: none of its {} checkpoints can be read", folder.path().string(), steps.size());
    return false;
}

void train(TrainingRun& run, const LoopRule& rule, const Comm& comm, RunFolder& folder) {
    const std::int64_t every =
        rule.evaluate_every > 0 ? rule.evaluate_every : std::max<std::int64_t>(1, rule.steps / 8);
    const std::vector<Figure> figures = run.figures();
    start_log(run, folder);
    double best = best_score(folder, run.validation_columns(), comm);
    Progress progress(run.steps_done(), rule.steps, comm.ranks() == 1);
    Window window;
    bool stops = comm.any(stop_signals::requested());
    while (run.steps_done() < rule.steps && !stops) {
        progress.begin_update(run.steps_done() + 1);
        const StepResult result = run.step([&](double share) { progress.show_update(share); });
        const std::int64_t step = run.steps_done();
        require_finite(result, step + 1, folder);
        window.add(result);
        const bool last = step == rule.steps, logs = step % rule.log_every == 0 || last,
                   evaluates = step % every == 0 || last;
        LogRow row = window.row(step, result, rule.images_per_step);
        progress.show(step, progress_line(row, rule.steps, figures), logs);
        progress.pause();
        std::optional<double> score;
        if (evaluates) {
            row.validation = evaluate_or_save(run, comm, row, rule, folder, progress);
            if (!row.validation.empty() && !std::isnan(row.validation.front()))
                score = row.validation.front();
            const bool better = score && *score < best;
            if (better) best = *score;
            if (comm.any(better)) run.save(folder.best_checkpoint(), best, false);
        }
        stops = comm.any(stop_signals::requested());
        const bool saves = (rule.save_every > 0 ? step % rule.save_every == 0
                                                : evaluates || step % most_unsaved_steps == 0) ||
                           last || stops;
        if (logs || evaluates || saves) {  // a run that continues from a checkpoint starts another window
            folder.append_log(row);
            if (evaluates || stops) folder.show_progress(step);
        }
        if (saves) {
            folder.save_checkpoint(step, rule.keep, [&](const auto& path) { run.save(path, score, true); });
            stops = stops || comm.any(stop_signals::requested());
        }
        if (logs || evaluates || saves) window = {};
        progress.go_on();
    }
    if (stops && run.steps_done() < rule.steps)
        progress.say(fmt::format("stopped after step {}; the same command continues", run.steps_done()));
}
