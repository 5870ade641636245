#include "tests/end_to_end/killed_run.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>
#include <random>
#include <sstream>
#include <thread>

#include "runtime/checkpoint/sharded_checkpoint.h"
#include "runtime/files/safetensors.h"

namespace {

namespace fs = std::filesystem;

constexpr std::size_t kept = 2;

Words names_in(const fs::path& folder) {
    Words names;
    std::error_code none;
    for (const auto& entry : fs::directory_iterator(folder, none))
        names.push_back(entry.path().filename().string());
    return names;
}

// The step of "checkpoint-STEP.safetensors", or -1.
std::int64_t step_of(const std::string& name) {
    std::int64_t step = -1;
    if (name.starts_with("checkpoint-")) std::from_chars(name.data() + 11, name.data() + name.size(), step);
    return name == fmt::format("checkpoint-{:08}.safetensors", step) ? step : -1;
}

// Newest first.
std::vector<std::int64_t> finished_steps(const fs::path& folder) {
    std::vector<std::int64_t> steps;
    for (const std::string& name : names_in(folder))
        if (step_of(name) >= 0) steps.push_back(step_of(name));
    std::ranges::sort(steps, std::greater<>());
    return steps;
}

// Polls without a pause: the condition may hold for only a millisecond.
template <class Condition>
void wait_until(Command& command, Condition holds) {
    const auto deadline = std::chrono::steady_clock::now() + Command::patience;
    while (!holds() && command.runs() && std::chrono::steady_clock::now() < deadline) {
    }
}

// Of several ranks with shards, at least one of these is finished, but not the checkpoint that names them.
void wait_for_next_checkpoint_to_begin(const KilledRun& run, Command& command) {
    const bool sharded = std::ranges::find(run.arguments, "--shard-optimizer") != run.arguments.end();
    const Words before = names_in(run.folder);
    wait_until(command, [&] {
        return std::ranges::any_of(names_in(run.folder), [&](const std::string& name) {
            return name.starts_with("checkpoint-") && (!sharded || name.ends_with(".safetensors")) &&
                   std::ranges::find(before, name) == before.end();
        });
    });
}

// A run on its way to be killed.
struct Victim {
    explicit Victim(const KilledRun& started)
        : run(started), finished(finished_steps(run.folder)), command(run.program, run.arguments) {}

    void look() {
        for (const std::int64_t step : finished_steps(run.folder)) finished.push_back(step);
        std::ranges::sort(finished, std::greater<>());
        finished.erase(std::ranges::unique(finished).begin(), finished.end());
    }
    // Determined beforehand: it takes longer than the interval to be interrupted.
    void find_ranks() {
        if (run.program.filename() != "train") ranks = children_of(command.process());
    }
    void wait_for_step() {
        CHECK(command.wait_for_output("step "));
        find_ranks();
        look();
    }

    void wait_for_moment(int number, std::mt19937& random) {
        const auto sleep_up_to = [&](unsigned milliseconds) {
            std::this_thread::sleep_for(std::chrono::milliseconds(random() % milliseconds));
        };
        switch (number % 4) {
            case 0:
                wait_for_step();
                wait_until(command, [&] { return !finished_steps(run.folder).empty(); });
                look();
                return wait_for_next_checkpoint_to_begin(run, command);
            case 1:
                wait_for_step();
                return sleep_up_to(60);
            case 2: {  // between a checkpoint's rename and the next action
                wait_for_step();
                const std::vector<std::int64_t> before = finished_steps(run.folder);
                return wait_until(command, [&] { return finished_steps(run.folder) != before; });
            }
            default:
                sleep_up_to(150);  // perhaps before anything was written
                find_ranks();
        }
    }

    void kill() {
        for (const pid_t rank : ranks) ::kill(rank, SIGKILL);
        command.send(SIGKILL);
        CHECK_FALSE(command.finish().timed_out);
    }

    const KilledRun& run;
    std::vector<std::int64_t> finished;  // checkpoints, once seen
    Command command;
    std::vector<pid_t> ranks;  // of a launcher
};

// The steps of log.csv, whose last line may be cut off.
std::vector<std::int64_t> logged_steps(const fs::path& folder) {
    std::vector<std::int64_t> steps;
    if (!fs::exists(folder / "log.csv")) return steps;
    std::istringstream log(read_file(folder / "log.csv"));
    std::string header, line;
    std::getline(log, header);
    while (std::getline(log, line) && !log.eof()) {
        CHECK(std::ranges::count(line, ',') == std::ranges::count(header, ','));
        steps.push_back(std::stoll(line));
    }
    return steps;
}

// `before` had been finished before the kill, newest first.
void check_survivors(const fs::path& folder, const std::vector<std::int64_t>& before) {
    const std::vector<std::int64_t> after = finished_steps(folder);
    for (const std::int64_t step : before) {
        const auto newer = std::ranges::count_if(after, [&](std::int64_t other) { return other > step; });
        CHECK((std::ranges::find(after, step) != after.end() || newer >= std::int64_t{kept}));
    }
    for (const std::int64_t step : after)
        check_whole(folder / fmt::format("checkpoint-{:08}.safetensors", step));
    if (fs::exists(folder / "best.safetensors")) check_whole(folder / "best.safetensors");
    if (before.size() >= kept) {
        const std::string target = fs::read_symlink(folder / "last.safetensors").string();
        CHECK(step_of(target) >= before[1]);
        check_whole(folder / "last.safetensors");
    }
    const std::vector<std::int64_t> logged = logged_steps(folder);
    for (std::size_t i = 0; i < logged.size(); ++i) CHECK(logged[i] == static_cast<std::int64_t>(i) + 1);
    if (!after.empty()) CHECK(logged.size() >= static_cast<std::size_t>(after.front()));
}

}  // namespace

int number_of_kills(int few, int share) {
    const char* asked = std::getenv("KILLS");
    return asked != nullptr ? std::max(few, std::atoi(asked) / share) : few;
}

std::int64_t survive_kills(const KilledRun& run, int kills) {
    std::mt19937 random(1);
    for (int i = 0; i < kills; ++i) {
        CAPTURE(i);
        Victim victim(run);
        victim.wait_for_moment(i, random);
        victim.kill();
        check_survivors(run.folder, victim.finished);
    }
    REQUIRE_FALSE(finished_steps(run.folder).empty());
    return finished_steps(run.folder).front();
}

void check_same_end(const fs::path& run, const fs::path& reference, std::int64_t step) {
    const std::string newest = fmt::format("checkpoint-{:08}.safetensors", step);
    CHECK(fs::read_symlink(run / "last.safetensors") == newest);
    CHECK(differences(run / newest, reference / newest) == "");
    CHECK(read_reproducible_log(run) == read_reproducible_log(reference));
    CHECK(fs::exists(run / "best.safetensors") == fs::exists(reference / "best.safetensors"));
    if (fs::exists(reference / "best.safetensors")) {
        // It may have been saved under another --steps than the last one, which "training" holds.
        const std::string which = differences(run / "best.safetensors", reference / "best.safetensors");
        CHECK_MESSAGE((which.empty() || which == "training "), which);
    }
    CHECK(leftovers(run) == Words{});
}

void check_whole(const fs::path& checkpoint) {
    CAPTURE(checkpoint.string());
    const SafetensorsFile file(checkpoint);
    std::vector<float> values;
    for (const std::string& name : file.names()) {
        CHECK(file.metadata().contains(std::string(checksum_prefix) + name));
        values.resize(file.bytes(name).size() / sizeof(float));
        CHECK_NOTHROW(file.read(name, values.data()));
    }
    if (!file.metadata().contains(shards_key)) return;
    for (const auto& shard : nlohmann::json::parse(file.metadata(shards_key))) {
        const fs::path path = checkpoint.parent_path() / shard.at("file").get<std::string>();
        CHECK(fs::file_size(path) == shard.at("bytes").get<std::uintmax_t>());
        check_whole(path);
    }
}

Words leftovers(const fs::path& folder) {
    Words found;
    for (const std::string& name : names_in(folder))
        if (name.ends_with(".partial") || name == ".lock") found.push_back(name);
    return found;
}
