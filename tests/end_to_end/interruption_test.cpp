// Interrupted runs (kills, signals, a second run in the same folder, a closed pipe) lose nothing that was
// finished, and the same command continues to the bits of an uninterrupted run.
#include <doctest/doctest.h>
#include <fmt/format.h>
#include <unistd.h>

#include <csignal>
#include <string>
#include <thread>

#include "runtime/files/safetensors.h"
#include "tests/end_to_end/killed_run.h"
#include "tests/end_to_end/test_directory.h"
#include "train/run_lock.h"

namespace {

namespace fs = std::filesystem;

constexpr std::int64_t no_end = 1'000'000;

struct Interrupted {
    Interrupted() {
        work.make_config("model.json", 10);
        work.make_fractals("data.bin", 40);
    }

    std::string checkpoint(const std::string& run, std::int64_t step) const {
        return work.path(fmt::format("{}/checkpoint-{:08}.safetensors", run, step));
    }
    Outcome train(const std::string& run, std::int64_t steps, const Words& more = {}) const {
        return work.run("train", work.training(run, steps, more));
    }
    void finish(const std::string& run, std::int64_t steps, const Words& more = {}) const {
        const Outcome outcome = train(run, steps, more);
        REQUIRE_MESSAGE(outcome.exit_code == 0, outcome.errors);
    }
    Command start(const std::string& run, const Words& more = {}) const {
        return work.start("train", work.training(run, no_end, more));
    }
    std::int64_t newest_step(const std::string& run) const {
        return std::stoll(read_log(work.at(run)).back().at("step"));
    }
    // Steps on to the end that an uninterrupted run has.
    void check_continues(const std::string& run, const Words& more = {}) const {
        const std::int64_t end = fs::exists(work.at(run) / "log.csv") ? newest_step(run) + 2 : 2;
        finish(run, end, more);
        finish("reference", end, more);
        check_same_end(work.at(run), work.at("reference"), end);
    }
    // Outcome of `line` in a shell, in which $TRAIN is a complete run of this many steps into RUN.
    Outcome shell(const std::string& line, const std::string& run, std::int64_t steps) const {
        std::string words = work.program("train").string();
        for (const std::string& word : work.training(run, steps)) words += " " + word;
        ::setenv("TRAIN", words.c_str(), 1);
        return Command("/bin/sh", {"-c", line}).finish();
    }

    TestDirectory work;
};

}  // namespace

TEST_CASE_FIXTURE(Interrupted,
                  "end to end: a run killed at any moment loses no checkpoint and ends with the same bits") {
    work.make_fractals("holdout.bin", 4, 1000);
    const Words more{"--validation",
                     work.path("holdout.bin"),
                     "--evaluate-every",
                     "3",
                     "--save-every",
                     "2",
                     "--ema",
                     "0.9",
                     "--dropout",
                     "0.1"};
    const std::int64_t step = survive_kills(
        {work.at("run"), work.program("train"), work.training("run", no_end, more)}, number_of_kills(4));
    finish("run", step + 3, more);
    finish("reference", step + 3, more);
    check_same_end(work.at("run"), work.at("reference"), step + 3);
    CHECK(read_file(work.at("run") / fmt::format("samples-{:08}.png", step + 3)) ==
          read_file(work.at("reference") / fmt::format("samples-{:08}.png", step + 3)));
}

TEST_CASE_FIXTURE(Interrupted,
                  "end to end: last.safetensors follows a checkpoint after which the run was killed") {
    finish("run", 3, {"--save-every", "1"});
    const fs::path last = work.at("run/last.safetensors");
    fs::remove(last);
    fs::create_symlink("checkpoint-00000002.safetensors", last);
    finish("run", 3, {"--save-every", "1"});
    CHECK(fs::read_symlink(last) == "checkpoint-00000003.safetensors");
}

TEST_CASE_FIXTURE(Interrupted, "end to end: what a killed run left half written goes at the next start") {
    finish("run", 2);
    for (const char* name :
         {"checkpoint-00000009.safetensors.partial", "checkpoint-00000009.rank-1-of-2.safetensors.partial",
          "best.safetensors.partial", "log.csv.partial", "config.json.partial",
          "samples-00000009.png.partial", "sheet.png.partial", "notes.partial", ".lock"})
        overwrite(work.at("run") / name, "half a file");
    fs::create_symlink("nowhere", work.at("run/last.safetensors.partial"));
    overwrite(work.at("run/log.csv"), read_file(work.at("run/log.csv")) + "1");
    finish("run", 3);
    CHECK(leftovers(work.at("run")).size() == 2);
    CHECK(fs::exists(work.at("run/sheet.png.partial")));  // another program's
    CHECK(fs::exists(work.at("run/notes.partial")));
    CHECK(read_log(work.at("run")).size() == 3);
}

TEST_CASE_FIXTURE(Interrupted,
                  "end to end: a second run in a folder is refused, and does the first no harm") {
    Command first = start("run");
    REQUIRE(first.wait_for_output("step 2/"));
    const Outcome second = train("run", 5);
    CHECK(second.exit_code == 1);
    CHECK(second.output.empty());
    CHECK(second.errors.starts_with(fmt::format("train: {}: another run is writing there (process {} on ",
                                                work.path("run"), first.process())));
    CHECK(is_one_line(second.errors));
    first.send(SIGTERM);
    CHECK(first.finish().exit_code == 0);
    check_continues("run");
}

TEST_CASE_FIXTURE(Interrupted, "end to end: only a run that would write is refused by another's lock") {
    finish("run", 2);
    const RunLock lock(work.at("run"));
    const auto before = work.listing();
    for (const Words& job : std::vector<Words>{{"--batch", "4"}, {"--steps", "9"}}) {
        const Outcome refused = train("run", 3, job);
        CHECK(refused.exit_code == 1);
        CHECK(refused.errors.find(fmt::format("process {} ", ::getpid())) != std::string::npos);
    }
    CHECK(train("run", 3, {"--plan"}).exit_code == 0);
    CHECK(work.run("sample", {"info", work.path("run/last.safetensors")}).exit_code == 0);
    CHECK(work.listing() == before);
}

TEST_CASE_FIXTURE(Interrupted,
                  "end to end: a closed terminal saves the run, and under nohup leaves it alone") {
    SUBCASE("closed") {
        Command command = start("run");
        REQUIRE(command.wait_for_output("step 3/"));
        command.send(SIGHUP);
        command.send(SIGHUP);  // shells send another
        const Outcome outcome = command.finish();
        CHECK(outcome.exit_code == 0);
        CHECK(
            outcome.output.find("finishing the step, then saving; a second signal ends the run at once\n") !=
            std::string::npos);
        CHECK(outcome.output.find("stopped after step ") != std::string::npos);
    }
    SUBCASE("nohup") {
        Words words{"-c", "trap '' HUP; exec \"$@\"", "sh", work.program("train").string()};
        Command command("/bin/sh", words + work.training("run", no_end));
        REQUIRE(command.wait_for_output("step 3/"));
        command.send(SIGHUP);
        REQUIRE(command.wait_for_output("step 20/"));
        command.send(SIGTERM);
        CHECK(command.finish().exit_code == 0);
        CHECK(newest_step("run") >= 20);
    }
    check_continues("run");
}

TEST_CASE_FIXTURE(Interrupted,
                  "end to end: Ctrl-C twice, in an evaluation or while a checkpoint is written") {
    Words more{"--ema", "0.9"};
    SUBCASE("evaluation") {
        more = more + Words{"--evaluate-every", "1", "--sheet-rows", "30"};
    }
    SUBCASE("checkpoint") {
        more = more + Words{"--save-every", "1"};
    }
    Command command = start("run", more);
    REQUIRE(command.wait_for_output("step 1/"));
    command.send(SIGINT);
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    command.send(SIGINT);
    const Outcome outcome = command.finish();
    CHECK(outcome.exit_code == 0);
    CHECK(outcome.errors == "");
    CHECK(fs::exists(checkpoint("run", newest_step("run"))));
    CHECK(leftovers(work.at("run")) == Words{});
    check_continues("run", more);
}

TEST_CASE_FIXTURE(Interrupted, "end to end: a second signal within an update ends the run at once") {
    const Words more{"--accumulation", "1000", "--save-every", "1"};  // about a second
    int second = SIGINT;
    SUBCASE("Ctrl-C, Ctrl-C") {}
    SUBCASE("Ctrl-C, SIGTERM") {
        second = SIGTERM;
    }
    Command command = start("run", more);
    REQUIRE(command.wait_for_output("step 1/"));
    while (!fs::exists(work.at("run/last.safetensors")) && command.runs())
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    const std::string before = read_file(checkpoint("run", 1));
    command.send(SIGINT);
    REQUIRE(command.wait_for_output("a second signal ends the run at once\n"));
    std::this_thread::sleep_for(std::chrono::milliseconds(150));
    command.send(second);
    const Outcome outcome = command.finish();
    CHECK(outcome.exit_code == -second);
    CHECK(outcome.errors == "");
    CHECK(outcome.output.ends_with(
        "ended at once, nothing saved; the same command continues from the newest checkpoint\n"));
    CHECK(read_file(checkpoint("run", 1)) == before);
    CHECK_FALSE(fs::exists(checkpoint("run", 2)));
    CHECK(fs::read_symlink(work.at("run/last.safetensors")) == "checkpoint-00000001.safetensors");
    CHECK(work.run("train", work.training("run", 1, more)).output.find("nothing is left to do") !=
          std::string::npos);
}

TEST_CASE_FIXTURE(Interrupted,
                  "end to end: a signal before the first step ends a run that can be started again") {
    finish("run", 2);
    for (int i = 0; i < 6; ++i) {
        Command command = start("run");
        std::this_thread::sleep_for(std::chrono::milliseconds(15 * i));
        command.send(SIGTERM);
        const Outcome outcome = command.finish();
        CHECK((outcome.exit_code == 0 || outcome.exit_code == -SIGTERM));
        CHECK(outcome.errors == "");
        check_whole(work.at("run/last.safetensors"));
    }
    check_continues("run");
}

TEST_CASE_FIXTURE(Interrupted, "end to end: a stop at a checkpoint keeps what its evaluation measured") {
    work.make_fractals("holdout.bin", 4, 1000);
    const Words more{"--validation", work.path("holdout.bin"), "--evaluate-every", "1"};
    Command command = start("run", more);
    REQUIRE(command.wait_for_output("step 3/"));
    command.send(SIGTERM);
    CHECK(command.finish().exit_code == 0);
    CHECK(SafetensorsFile(work.at("run/last.safetensors")).metadata().contains("validation_bits_per_dim"));
}

TEST_CASE_FIXTURE(Interrupted,
                  "end to end: rows of the log count every step once, however a run was stopped") {
    const Words more{"--log-every", "4", "--save-every", "6"};
    finish("run", 7, more);
    const LogTable log = read_log(work.at("run"));
    REQUIRE(log.size() == 3);  // 4, 6 and 7
    CHECK(log[1].at("step") == "6");
    fs::remove(checkpoint("run", 7));
    finish("run", 7, more);
    CHECK(read_reproducible_log(work.at("run")).back().at("loss") == log.back().at("loss"));
}

TEST_CASE_FIXTURE(Interrupted, "end to end: a run outlives who reads what it prints") {
    const std::string code = work.path("code");
    std::string line, printed;
    std::int64_t steps = 20;
    SUBCASE("the reader of its output leaves") {
        line = "{ $TRAIN; echo $? > " + code + "; } | head -n 1";
    }
    SUBCASE("and that of its errors") {
        line = "{ $TRAIN; echo $? > " + code + "; } 2>&1 | head -n 1";
    }
    SUBCASE("the disk of its output is full") {
        line = "$TRAIN > /dev/full; echo $? > " + code;
    }
    SUBCASE("it has no output") {
        // Output must not be written into the next opened file.
        line = "$TRAIN >&- 2>&- & pid=$!; while [ ! -e " + work.path("run/log.csv") +
               " ]; do sleep 0.01; done; readlink /proc/$pid/fd/1 /proc/$pid/fd/2; wait $pid; echo $? > " +
               code;
        printed = "/dev/null\n/dev/null\n";
        steps = 200;  // long enough to be looked at
    }
    const Outcome outcome = shell(line, "run", steps);
    CHECK(outcome.errors == "");
    if (!printed.empty()) CHECK(outcome.output == printed);
    CHECK(read_file(code) == "0\n");
    finish("reference", steps);
    check_same_end(work.at("run"), work.at("reference"), steps);
}
