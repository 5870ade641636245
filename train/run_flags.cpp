#include "train/run_flags.h"

#include <filesystem>
#include <nlohmann/json.hpp>

#include "data/records/tokens.h"
#include "runtime/base/command_line.h"
#include "runtime/base/error.h"
#include "runtime/base/json_keys.h"
#include "runtime/base/report.h"
#include "runtime/device/arithmetic.h"
#include "runtime/device/profile.h"
#include "runtime/files/mapped_file.h"
#include "runtime/files/text_file.h"
#include "train/stop_signals.h"

namespace {

constexpr const char *initial_key = "init_from", *arithmetic_key = "arithmetic";

// A file as config.json keeps it: its name, and a fingerprint of what is in it.
nlohmann::ordered_json fingerprint_of(const std::string& path) {
    const MappedFile file(path);
    return {{"file", path},
            {"bytes", file.bytes().size()},
            {"checksum", fmt::format("{:08x}", checksum(file.bytes()))}};
}

std::string config_json(const RunDescription& description, const TrainingSettings& settings) {
    nlohmann::ordered_json json{{"model", parse_ordered_json(description.model)},
                                {"training", parse_ordered_json(to_json(settings))},
                                {description.data_key, parse_ordered_json(description.data)},
                                {initial_key, nullptr},
                                {arithmetic_key, arithmetic_of(description.backend)}};
    if (!description.initial.empty()) json[initial_key] = fingerprint_of(description.initial);
    return json_text(json, 2) + "\n";
}

// What config.json says of a run that is continued; no object if it is missing or is no JSON.
nlohmann::json config_of(const std::filesystem::path& folder) {
    const std::filesystem::path path = folder / "config.json";
    if (!std::filesystem::exists(path)) return {};
    return parse_json_or_discard(read_text_file(path), path.string());
}

// Throws UsageError if a continued run was started on other data according to its config.json.
void require_same_data(const nlohmann::json& before, const std::filesystem::path& folder,
                       const RunDescription& description) {
    const auto checksum = nlohmann::json::json_pointer("/" + description.data_key + "/checksum");
    if (!before.is_object() || !before.contains(checksum)) return;
    const auto now = parse_ordered_json(description.data).at("checksum");
    if (before[checksum] != now)
        fail_usage("{}: started on other {} (checksum {}, now {}): give the old file, or another --out",
                   folder.string(), description.data_key, json_text(before[checksum]), json_text(now));
}

// Throws UsageError if --init-from is given to a run that has begun with something else. Returns what there
// is to say if the run is too old to know.
std::string require_same_start(const nlohmann::json& before, const std::filesystem::path& folder,
                               const RunDescription& description) {
    if (description.initial.empty()) return "";
    constexpr const char* remedy = "leave it out to continue the run, or give another --out";
    if (!before.is_object() || !before.contains(initial_key))
        return fmt::format(
            "{}: does not say what it began with (an older version began it); --init-from {} is not read",
            folder.string(), description.initial);
    const nlohmann::json& began = before[initial_key];
    if (began.is_null())
        fail_usage("--init-from {}: {} holds a run that began without it: {}", description.initial,
                   folder.string(), remedy);
    const nlohmann::json now = fingerprint_of(description.initial);
    if (began.is_object() && began.value("checksum", nlohmann::json()) == now["checksum"] &&
        began.value("bytes", nlohmann::json()) == now["bytes"])
        return "";
    fail_usage("--init-from {}: {} holds a run that began with another file: {}", description.initial,
               folder.string(), remedy);
}

// What there is to say if a continued run began with another arithmetic, whose results have other bits.
std::string other_arithmetic(const nlohmann::json& before, const std::filesystem::path& folder,
                             const RunDescription& description) {
    if (!before.is_object() || !before.contains(arithmetic_key)) return "";  // of an older version
    const std::string now = arithmetic_of(description.backend);
    if (before[arithmetic_key] == now) return "";
    return fmt::format("{}: began with {}, continues with {}: its bits are not those of an uninterrupted run",
                       folder.string(), json_text(before[arithmetic_key]), now);
}

// A CPU that does not multiply bf16 falls back to fp32, while another rank's may not.
void require_same_precision(const Comm& comm, Backend backend) {
    const std::int64_t rounds = backend.precision == Precision::bf16 ? 1 : 0;
    if (comm.all_reduce_min(rounds) + comm.all_reduce_min(-rounds) != 0)
        fail("ranks compute in bf16 and in fp32, expected one precision: give --precision fp32");
}

}  // namespace

RankRule RunFlags::ranks(const Comm& comm) const {
    if (!(bucket > 0 && bucket <= 4096))
        fail_usage("--bucket {}: expected more than 0 and at most 4096 MiB", bucket);
    return {comm, shard_optimizer, static_cast<std::size_t>(bucket * 0x1p20 / sizeof(float))};
}

RunFolder RunFlags::open_folder(const Comm& comm, std::span<const NamedPath> inputs) const {
    if (out.empty()) fail_usage("--out is required");
    RunFolder::require_distinct(out, inputs);
    return RunFolder(out, comm.rank() == 0);
}

void add_run_flags(CommandLine& app, RunFlags& flags) {
    const auto count = [&](const char* name, std::int64_t& value, const char* meaning) {
        return app.add_option(name, value, meaning)->check(at_least(1));
    };
    app.add_option(
           "--out", flags.out,
           "Folder of the run, required: log.csv, curves.png, event files for TensorBoard, sheets, "
           "checkpoints; if it holds checkpoints, the run continues. Ctrl-C, SIGTERM and a closed terminal "
           "finish the step and save, a second one ends at once (exit code 130, 143); killed, it continues "
           "from its newest checkpoint")
        ->type_name("DIR");
    add_backend_flags(app, flags.backend);
    count("--evaluate-every", flags.evaluate_every,
          "Updates between evaluations, each a sheet and curves.png drawn anew (default: an eighth of the "
          "run)");
    count("--save-every", flags.save_every,
          "Updates between checkpoints (default: 1000, and at evaluations)");
    count("--keep", flags.keep, "Checkpoints to keep, besides the best")->capture_default_str();
    count("--log-every", flags.log_every,
          "Updates between lines of log.csv and points in TensorBoard; evaluations and checkpoints have one "
          "each")
        ->capture_default_str();
    app.add_flag("--plan", flags.plan, "Print the memory the run would take, and stop");
    app.add_flag("--profile", flags.profile, "Print the time of each kernel at the end");
}

void add_evaluation_flags(CommandLine& app, std::int64_t& validation_images, std::int64_t& sheet_columns,
                          const char* columns_meaning, std::int64_t& sheet_rows, const char* rows_meaning) {
    app.add_option("--validation-images", validation_images,
                   "How many validation images an evaluation measures")
        ->capture_default_str()
        ->check(at_least(1));
    app.add_option("--sheet-columns", sheet_columns, columns_meaning)
        ->capture_default_str()
        ->check(within(1, 1000));
    app.add_option("--sheet-rows", sheet_rows, rows_meaning)->capture_default_str()->check(within(1, 1000));
}

void add_rank_flags(CommandLine& app, RunFlags& flags) {
    app.add_flag(
        "--shard-optimizer", flags.shard_optimizer,
        "Of several ranks (mpirun -np N build/train ...), each keeps a part of the optimizer's state");
    app.add_option("--bucket", flags.bucket, "Gradients that ranks sum at once, in MiB")
        ->capture_default_str();
}

std::string described_tokens(const TokenFile& tokens) {
    const TokenFormat& format = tokens.format();
    return fmt::format(R"({{"images": {}, "downsampling": {}, "tokenizer": "{:08x}", "checksum": "{:08x}"}})",
                       tokens.count(), format.downsampling, format.fingerprint, tokens.fingerprint());
}

void train_in_folder(TrainingRun& run, const RunFlags& flags, const TrainingSettings& settings,
                     const Comm& comm, RunFolder& folder, const RunDescription& description,
                     const std::function<void()>& initialise) {
    require_same_precision(comm, description.backend);
    if (!resume_newest(run, comm, folder)) {
        initialise();
        folder.write_config(config_json(description, settings));
    } else {
        const nlohmann::json before = config_of(folder.path());
        require_same_data(before, folder.path(), description);
        for (const std::string& said : {require_same_start(before, folder.path(), description),
                                        other_arithmetic(before, folder.path(), description)})
            if (!said.empty() && comm.rank() == 0) report_line("train", said);
        print_text(run.steps_done() >= settings.steps
                       ? fmt::format("{} has done its {} steps: nothing is left to do\n", flags.out,
                                     run.steps_done())
                       : fmt::format("continuing {} after step {}\n", flags.out, run.steps_done()));
    }
    print_text(fmt::format("{} parameters, {} images, {} steps of {} images, {:.0f} MiB planned{}\n",
                           description.parameters, description.images, settings.steps,
                           settings.images_per_step(),
                           static_cast<double>(description.planned_bytes) / 0x1p20,
                           comm.ranks() > 1 ? fmt::format(" on each of {} ranks", comm.ranks()) : ""));
    stop_signals::finish_step_first();
    if (flags.profile) start_profile();
    train(run, flags.loop(settings), comm, folder);
    if (flags.profile) print_text(profile_table());
}

void print_plan(std::int64_t parameters, std::size_t state_bytes, std::string_view state_holds,
                const Plan& plan, std::string_view chunks) {
    const auto mebibytes = [](std::size_t bytes) { return static_cast<double>(bytes) / 0x1p20; };
    fmt::print("{:<28}{:>14}\n", "parameters", parameters);
    fmt::print("{:<28}{:>10.1f} MiB  {}\n", "model and optimizer", mebibytes(state_bytes), state_holds);
    fmt::print("{:<28}{:>10.1f} MiB  {} buffers, {:.1f} MiB alive at once\n{}", "activations and workspace",
               mebibytes(plan.bytes), plan.entries.size(), mebibytes(plan.live_bytes), chunks);
    fmt::print("{:<28}{:>10.1f} MiB\n", "together", mebibytes(state_bytes + plan.bytes));
}

void require_memory(const MemoryNeed& need, Device device, const Comm& comm) {
    const int sharing = device == Device::cpu ? comm.local_ranks() : 1;
    const std::size_t step = need.state + need.activations, needed = step + need.evaluations,
                      there = static_cast<std::size_t>(
                          comm.all_reduce_min(static_cast<std::int64_t>(available_memory(device))) / sharing);
    const auto mebibytes = [](std::size_t bytes) { return static_cast<double>(bytes) / 0x1p20; };
    if (needed > there)
        fail(
            "the run needs {:.0f} MiB{} ({:.0f} for the model and its optimizer, {:.0f} for activations, "
            "{:.0f} for evaluations), {:.0f} MiB are free{}; {}",
            mebibytes(needed), comm.ranks() > 1 ? " on each rank" : "", mebibytes(need.state),
            mebibytes(need.activations), mebibytes(need.evaluations), mebibytes(there),
            sharing > 1 ? " for each" : "",
            need.state > there
                ? "the model alone is too large; --shard-optimizer divides its optimizer among several ranks"
            : step <= there ? "fewer --sheet-columns and --sheet-rows need less for evaluations"
                            : need.remedy);
}
