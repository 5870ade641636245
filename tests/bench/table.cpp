#include "tests/bench/table.h"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <algorithm>
#include <cstdio>
#include <ctime>
#include <numeric>
#include <vector>

#include "kernels/common/threads.h"
#include "runtime/files/atomic_file.h"

namespace {

std::string duration_text(double seconds) {
    return seconds < 1e-3 ? fmt::format("{:8.2f} us", seconds * 1e6)
                          : fmt::format("{:8.3f} ms", seconds * 1e3);
}

std::string_view without_spaces(std::string_view text) {
    return text.substr(std::min(text.find_first_not_of(' '), text.size()));
}

}  // namespace

void Table::begin(const Ceiling& ceiling) {
    ceiling_ = ceiling;
    if (backend_.device == Device::cpu)
        fmt::print("{:<34}{:<34}{:>11}{:>12}{:>9}{:>10}{:>9}\n", "kernel", "shape", "time", "GFLOP/s",
                   "share", "GB/s", "share");
    else
        fmt::print("{:<34}{:<42}{:>11}{:>11}{:>9}{:>7}{:>10}{:>7}  {}\n", "kernel", "shape", "time", "MiB",
                   "GB/s", "share", "TFLOP/s", "share", "bound");
}

void Table::kernel(const Kernel& kernel) {
    if (!wants(kernel.name)) return;
    Operands operands(backend_);
    const std::function<void()> call = kernel.prepare(operands);
    const bool cpu = backend_.device == Device::cpu;
    const Timing timing = cpu ? measure(effort_, call) : measure_queued(effort_, call);
    const bool by_memory =
        cpu ? kernel.bound == Bound::memory
            : kernel.cost.bytes / ceiling_.bytes >= kernel.cost.operations / ceiling_.operations;
    kernels_.push_back({kernel.name, kernel.shape, timing.best, kernel.cost, by_memory});
    cpu ? print_on_cpu(kernels_.back()) : print_on_gpu(kernels_.back());
    std::fflush(stdout);
}

void Table::print_on_cpu(const KernelRow& row) const {
    fmt::print("{:<34}{:<34}{:>11}", row.name, row.shape, duration_text(row.seconds));
    if (row.by_memory) {
        const double rate = row.cost.bytes / row.seconds;
        fmt::print("{:>12}{:>9}{:>10.2f}{:>9.2f}\n", "", "", rate / 1e9, rate / ceiling_.bytes);
    } else {
        const double rate = row.cost.operations / row.seconds;
        fmt::print("{:>12.1f}{:>9.2f}\n", rate / 1e9, rate / ceiling_.operations);
    }
}

void Table::print_on_gpu(const KernelRow& row) const {
    const double bytes = row.cost.bytes / row.seconds, operations = row.cost.operations / row.seconds;
    fmt::print("{:<34}{:<42}{:>11}{:>11.1f}{:>9.1f}{:>7.2f}{:>10.2f}{:>7.2f}  {}\n", row.name, row.shape,
               duration_text(row.seconds), row.cost.bytes / 0x1p20, bytes / 1e9, bytes / ceiling_.bytes,
               operations / 1e12, operations / ceiling_.operations, row.by_memory ? "memory" : "arithmetic");
}

// Measures the ceiling before, between and after the repeats. With the best of both, noise from other
// processes can lower the share but not raise it. Under constant noise the means of both are more meaningful,
// since both are affected.
void Table::job(std::string_view name, double images, double operations, double goal,
                const std::function<void()>& job) {
    std::vector<double> ceilings;
    const auto product = [&] {
        const Effort once{.repeats = 1, .smoke = effort_.smoke};
        ceilings.push_back(effort_.smoke ? ceiling_.operations : measure_product(backend_, once));
    };
    product();
    const Timing timing = measure(effort_, job, product);
    const double mean_ceiling =
        std::accumulate(ceilings.begin(), ceilings.end(), 0.0) / static_cast<double>(ceilings.size());
    add_job({std::string(name), images, operations, std::ranges::max(ceilings),
             operations / timing.mean / mean_ceiling, timing},
            goal);
}

void Table::timed_job(std::string_view name, double images, double operations, double seconds) {
    add_job({std::string(name),
             images,
             operations,
             ceiling_.operations,
             operations / seconds / ceiling_.operations,
             {seconds, seconds, seconds}},
            0);
}

void Table::add_job(JobRow row, double goal) {
    const double best = row.timing.best, rate = row.operations / best, share = rate / row.ceiling;
    if (backend_.device == Device::cpu)
        fmt::print(
            "{:<60}{:9.4f} s best, {:.4f} s median  {:8.1f} images/s {:8.1f} GFLOP {:8.1f} GFLOP/s  {:.2f} "
            "of {:.1f}, mean {:.2f}{}\n",
            row.name, best, row.timing.median, row.images / best, row.operations / 1e9, rate / 1e9, share,
            row.ceiling / 1e9, row.mean_share, goal == 0 ? "" : fmt::format(" (goal {:.2f})", goal));
    else
        fmt::print(
            "{:<72}{:9.4f} s best, {:.4f} s median  {:8.1f} images/s {:8.2f} TFLOP {:8.2f} TFLOP/s  {:.2f} "
            "of {:.1f}, mean {:.2f}\n",
            row.name, best, row.timing.median, row.images / best, row.operations / 1e12, rate / 1e12, share,
            row.ceiling / 1e12, row.mean_share);
    std::fflush(stdout);
    jobs_.push_back(std::move(row));
}

void Table::pipeline(std::string_view name, double images, const std::function<void()>& job) {
    const Timing timing = measure(effort_, job);
    pipeline_.push_back({std::string(name), images, timing});
    const double rate = images / timing.best;
    fmt::print("{:<60}{:8.3f} s best, {:.3f} s median  {:8.1f} images/s {:8.1f} a thread\n", name,
               timing.best, timing.median, rate, rate / cpu::thread_count());
    std::fflush(stdout);
}

void Table::note(std::string_view name, std::string_view why) {
    notes_.push_back({std::string(name), std::string(why)});
    fmt::print("{}: not measured: {}\n", name, why);
}

std::string Table::markdown(std::string_view command) const {
    std::string page = fmt::format(
        "# Measured on {}\n\nPrecision {}, best of {}, {:%Y-%m-%d}, by `{}`.\n\n"
        "Ceilings of the same run: {:.1f} TFLOP/s ({}), {:.0f} GB/s ({}). Bytes and operations are those of "
        "the "
        "kernels' headers, the bound is what takes longer at these ceilings.\n\n"
        "| kernel | shape | time | moved | GB/s | of the copy | TFLOP/s | of the product | bound |\n"
        "|---|---|---:|---:|---:|---:|---:|---:|---|\n",
        device_name(backend_), backend_.precision == Precision::bf16 ? "bf16" : "fp32", effort_.repeats,
        fmt::gmtime(std::time(nullptr)), command, ceiling_.operations / 1e12, product_text(backend_, effort_),
        ceiling_.bytes / 1e9, bandwidth_text(backend_, effort_));
    for (const KernelRow& row : kernels_) {
        const double bytes = row.cost.bytes / row.seconds, operations = row.cost.operations / row.seconds;
        page += fmt::format("| {} | {} | {} | {:.1f} MiB | {:.1f} | {:.2f} | {:.3f} | {:.2f} | {} |\n",
                            row.name, row.shape, without_spaces(duration_text(row.seconds)),
                            row.cost.bytes / 0x1p20, bytes / 1e9, bytes / ceiling_.bytes, operations / 1e12,
                            operations / ceiling_.operations, row.by_memory ? "memory" : "arithmetic");
    }
    if (!jobs_.empty())
        page +=
            "\n| job | time | images/s | operations | of the product | mean "
            "|\n|---|---:|---:|---:|---:|---:|\n";
    for (const JobRow& row : jobs_)
        page += fmt::format("| {} | {:.4f} s | {:.2f} | {:.3f} TFLOP | {:.2f} | {:.2f} |\n", row.name,
                            row.timing.best, row.images / row.timing.best, row.operations / 1e12,
                            row.operations / row.timing.best / row.ceiling, row.mean_share);
    if (!pipeline_.empty()) page += "\n| data | time | images/s |\n|---|---:|---:|\n";
    for (const PipelineRow& row : pipeline_)
        page += fmt::format("| {} | {:.3f} s | {:.0f} |\n", row.name, row.timing.best,
                            row.images / row.timing.best);
    for (const Note& note : notes_) page += fmt::format("\nNot measured: {}: {}.\n", note.name, note.why);
    return page;
}

void Table::write_markdown(const std::string& path, std::string_view command) const {
    AtomicFile file(path);
    file.write(markdown(command));
    file.commit();
}
