// A run that was stopped, killed or damaged and started again ends as the run that was left alone: the same
// bits.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>

#include "kernels/linear/matmul_bf16.h"
#include "runtime/files/safetensors.h"
#include "tests/end_to_end/refusal.h"
#include "tests/skip.h"

namespace {

namespace fs = std::filesystem;

struct Bench {
    Bench() {
        work.make_config("model.json", 10);
        work.make_fractals("data.bin", 40);
    }

    std::string checkpoint(const std::string& run, std::int64_t step) const {
        return work.path(fmt::format("{}/checkpoint-{:08}.safetensors", run, step));
    }

    // Step of the checkpoint that last.safetensors points at.
    std::int64_t newest_step(const std::string& run) const {
        const std::string target = fs::read_symlink(work.at(run) / "last.safetensors").string();
        return std::stoll(target.substr(target.find('-') + 1));
    }

    void train(const std::string& run, std::int64_t steps, const Words& more = {}) const {
        const Outcome outcome = work.run("train", work.training(run, steps, more));
        REQUIRE_MESSAGE(outcome.exit_code == 0, outcome.errors);
    }

    // A run without end, given `signal` once it has logged `step`.
    Outcome interrupt(const std::string& run, int signal, int step, const Words& more = {}) const {
        constexpr std::int64_t no_end = 100'000;
        Command command = work.start("train", work.training(run, no_end, more));
        REQUIRE(command.wait_for_output(fmt::format("step {}/", step)));
        command.send(signal);
        return command.finish();
    }

    void check_same(const std::string& run, const std::string& reference, std::int64_t step) const {
        CHECK(differences(checkpoint(run, step), checkpoint(reference, step)) == "");
        CHECK(read_reproducible_log(work.at(run)) == read_reproducible_log(work.at(reference)));
        CHECK(newest_step(run) == step);
    }

    // Flips one bit of the checkpoint's last tensor.
    void damage(const std::string& file) const {
        std::string bytes = read_file(file);
        bytes[bytes.size() - 5] = static_cast<char>(bytes[bytes.size() - 5] ^ 16);
        overwrite(file, bytes);
    }

    void truncate(const std::string& file) const { fs::resize_file(file, fs::file_size(file) / 2); }

    TestDirectory work;
};

}  // namespace

TEST_CASE_FIXTURE(Bench,
                  "end to end: Ctrl-C and SIGTERM finish the step and save; continuing gives the same bits") {
    int number = SIGINT;
    SUBCASE("Ctrl-C") {
        number = SIGINT;
    }
    SUBCASE("SIGTERM") {
        number = SIGTERM;
    }
    const Words more{"--ema", "0.9", "--dropout", "0.1"};
    const Outcome stopped = interrupt("run", number, 3, more);
    CHECK(stopped.exit_code == 0);
    CHECK(stopped.errors.empty());
    const std::int64_t step = newest_step("run");
    CHECK(step >= 3);
    CHECK(stopped.output.find(fmt::format("stopped after step {};", step)) != std::string::npos);
    CHECK(read_log(work.at("run")).size() == static_cast<std::size_t>(step));

    const Outcome continued = work.run("train", work.training("run", step + 3, more));
    REQUIRE(continued.exit_code == 0);
    CHECK(continued.output.find(fmt::format("after step {}\n", step)) != std::string::npos);
    train("reference", step + 3, more);
    check_same("run", "reference", step + 3);

    const Outcome again = work.run("train", work.training("run", step + 3, more));
    CHECK(again.exit_code == 0);
    CHECK(again.output.find(fmt::format("has done its {} steps", step + 3)) != std::string::npos);
    check_same("run", "reference", step + 3);
}

TEST_CASE_FIXTURE(Bench, "end to end: no computing thread is interrupted by Ctrl-C or SIGTERM") {
    const std::string threads = std::getenv("OMP_NUM_THREADS");
    ::setenv("OMP_NUM_THREADS", "2", 1);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)  // whose libraries want to be the first
    ::setenv("LD_PRELOAD", "libblas.so.3", 1);  // OpenBLAS then starts a thread before main()
#endif
    Command command = work.start("train", work.training("run", 100'000));
    ::unsetenv("LD_PRELOAD");
    ::setenv("OMP_NUM_THREADS", threads.c_str(), 1);
    REQUIRE(command.wait_for_output("step 3/"));
    int closed = 0;
    bool main_is_closed = false;
    for (const auto& thread : fs::directory_iterator(fmt::format("/proc/{}/task", command.process()))) {
        std::istringstream status(read_file(thread.path() / "status"));
        for (std::string line; std::getline(status, line);) {
            if (!line.starts_with("SigBlk:")) continue;
            const std::uint64_t blocked = std::stoull(line.substr(7), nullptr, 16);
            if ((blocked >> (SIGINT - 1) & blocked >> (SIGTERM - 1) & 1) == 0) continue;
            ++closed;
            if (thread.path().filename() == std::to_string(command.process())) main_is_closed = true;
        }
    }
    CHECK(main_is_closed);
    CHECK(closed >= 2);  // and the loading thread
    command.send(SIGTERM);
    CHECK(command.finish().exit_code == 0);
}

TEST_CASE_FIXTURE(
    Bench, "end to end: a killed run continues from its newest checkpoint, and its log is cut back to it") {
    const Outcome killed = interrupt("run", SIGKILL, 5, {"--save-every", "2"});
    CHECK(killed.exit_code == -SIGKILL);
    const std::int64_t step = newest_step("run");
    CHECK(step >= 4);
    std::ofstream(work.at("run/log.csv"), std::ios::app) << fmt::format("{},1,1,1,1,1,1,\n", step + 1);
    overwrite(work.at("run") / fmt::format("checkpoint-{:08}.safetensors.partial", step + 1), "half a file");

    train("run", step + 3, {"--save-every", "2"});
    train("reference", step + 3, {"--save-every", "2"});
    check_same("run", "reference", step + 3);
    CHECK(read_log(work.at("run")).size() == static_cast<std::size_t>(step + 3));
}

TEST_CASE_FIXTURE(Bench, "end to end: everything that carries state continues bit for bit") {
    work.make_fractals("holdout.bin", 9, 1000);
    const Words more{"--schedule",       "cosine", "--ema",          "0.9",
                     "--dropout",        "0.2",    "--accumulation", "3",
                     "--batch",          "5",      "--save-every",   "1",
                     "--evaluate-every", "3",      "--keep",         "100",
                     "--seed",           "11",     "--validation",   work.path("holdout.bin")};
    train("reference", 9, more);
    fs::copy(work.at("reference"), work.at("run"),
             fs::copy_options::recursive | fs::copy_options::copy_symlinks);
    for (std::int64_t step = 5; step <= 9; ++step) fs::remove(checkpoint("run", step));

    train("run", 9, more);
    check_same("run", "reference", 9);
    CHECK(differences(work.at("run/best.safetensors"), work.at("reference/best.safetensors")) == "");
    CHECK(read_file(work.at("run/samples-00000009.png")) ==
          read_file(work.at("reference/samples-00000009.png")));
}

TEST_CASE_FIXTURE(Bench, "end to end: bf16 on the CPU has the same bits when continued and on more threads") {
    if (cpu::bf16_unit() == cpu::Bf16Unit::none) return skip_test("no products in bf16 on this CPU");
    const Words exact{"--ema", "0.9", "--dropout", "0.2", "--save-every", "1", "--keep", "100"},
        more = exact + Words{"--precision", "bf16"};
    train("reference", 4, more);
    train("run", 2, more);
    train("run", 4, more);
    check_same("run", "reference", 4);
    const std::string threads = std::getenv("OMP_NUM_THREADS");
    ::setenv("OMP_NUM_THREADS", "3", 1);
    train("threads", 4, more);
    ::setenv("OMP_NUM_THREADS", threads.c_str(), 1);
    check_same("threads", "reference", 4);
    train("fp32", 4, exact);
    CHECK(differences(checkpoint("fp32", 4), checkpoint("reference", 4)) != "");
}

TEST_CASE_FIXTURE(Bench, "end to end: a best checkpoint that is damaged is replaced at the next evaluation") {
    work.make_fractals("holdout.bin", 9, 1000);
    const Words more{"--evaluate-every", "2", "--validation", work.path("holdout.bin")};
    train("run", 2, more);
    const std::string file = work.path("run/best.safetensors"), bytes = read_file(file);
    overwrite(file, bytes.substr(0, bytes.size() / 2));
    const Outcome outcome = work.run("train", work.training("run", 4, more));
    REQUIRE_MESSAGE(outcome.exit_code == 0, outcome.errors);
    CHECK(outcome.errors.find("best.safetensors") != std::string::npos);
    CHECK(outcome.errors.find("the next evaluation writes it anew") != std::string::npos);
    CHECK(std::ranges::count(outcome.errors, '\n') == 1);
    const Outcome best = work.run("sample", {"info", file});
    CHECK(best.exit_code == 0);
    CHECK(best.output.find(", 4 updates") != std::string::npos);
}

TEST_CASE_FIXTURE(Bench, "end to end: a finished run that is started again stays as it is") {
    train("run", 3);
    const std::string log = read_file(work.at("run/log.csv")), bytes = read_file(checkpoint("run", 3));
    train("run", 3);
    CHECK(read_file(work.at("run/log.csv")) == log);
    CHECK(read_file(checkpoint("run", 3)) == bytes);
}

TEST_CASE_FIXTURE(Bench, "end to end: a run does not continue with flags that change its mathematics") {
    train("run", 3, {"--schedule", "cosine"});
    const auto before = work.listing();
    const std::string log = read_file(work.at("run/log.csv"));
    for (const Words& change : std::vector<Words>{{"--lr", "2e-2"},
                                                  {"--batch", "8"},
                                                  {"--accumulation", "2"},
                                                  {"--warmup-steps", "1"},
                                                  {"--clip", "2"},
                                                  {"--weight-decay", "0"},
                                                  {"--dropout", "0.1"},
                                                  {"--label-drop", "0"},
                                                  {"--red-weight", "1"},
                                                  {"--ema", "0.9"},
                                                  {"--seed", "1"},
                                                  {"--steps", "4"},
                                                  {"--schedule", "constant"},
                                                  {"--no-flip"}}) {
        CAPTURE(change[0]);
        const Words schedule = change[0] == "--schedule" ? Words{} : Words{"--schedule", "cosine"};
        const Outcome outcome = work.run("train", work.training("run", 3, change + schedule));
        CHECK(outcome.exit_code == 2);
        CHECK(is_one_line(outcome.errors));
        CHECK(outcome.errors.find(change[0] == "--no-flip" ? "--flip" : change[0]) != std::string::npos);
        CHECK(outcome.errors.find("checkpoint-00000003") != std::string::npos);
    }
    overwrite(work.at("other.json"),
              R"({"img_size_list": [8, 2, 1], "embed_dim_list": [16, 16, 16], "num_blocks_list": [1, 1, 1],
        "num_heads_list": [2, 2, 2], "generator_type_list": ["ar", "ar", "ar"], "class_num": 10})");
    const Outcome other = work.run(
        "train", work.training("run", 3, {"--schedule", "cosine", "--config", work.path("other.json")}));
    CHECK(other.exit_code == 2);
    CHECK(is_one_line(other.errors));
    fs::remove(work.at("other.json"));
    CHECK(work.listing() == before);
    CHECK(read_file(work.at("run/log.csv")) == log);
}

TEST_CASE_FIXTURE(Bench,
                  "end to end: a run continues with other flags, and with a constant rate for longer") {
    work.make_fractals("holdout.bin", 5, 1000);
    train("run", 3);
    const Outcome outcome = work.run("train", work.training("run", 6,
                                                            {"--log-every",
                                                             "2",
                                                             "--keep",
                                                             "1",
                                                             "--save-every",
                                                             "1",
                                                             "--evaluate-every",
                                                             "2",
                                                             "--validation",
                                                             work.path("holdout.bin"),
                                                             "--validation-images",
                                                             "4",
                                                             "--recompute",
                                                             "--chunks",
                                                             "1,2,3",
                                                             "--sheet-rows",
                                                             "2",
                                                             "--sheet-cfg",
                                                             "2",
                                                             "--profile"}));
    REQUIRE_MESSAGE(outcome.exit_code == 0, outcome.errors);
    CHECK(outcome.output.find("after step 3\n") != std::string::npos);
    CHECK(outcome.output.find("linear_forward") != std::string::npos);
    const LogTable log = read_log(work.at("run"));
    REQUIRE(log.size() == 6);  // a checkpoint has a row in any case
    CHECK(log[3].at("step") == "4");
    CHECK(log[5].at("step") == "6");
    CHECK_FALSE(fs::exists(checkpoint("run", 5)));
    CHECK(fs::exists(checkpoint("run", 6)));
}

TEST_CASE_FIXTURE(Bench, "end to end: a damaged newest checkpoint gives way to the one before it") {
    train("run", 6, {"--save-every", "2"});
    train("reference", 8, {"--save-every", "2"});
    SUBCASE("one bit of a tensor") {
        damage(checkpoint("run", 6));
    }
    SUBCASE("cut off") {
        truncate(checkpoint("run", 6));
    }
    SUBCASE("empty") {
        overwrite(checkpoint("run", 6), "");
    }
    const Outcome outcome = work.run("train", work.training("run", 8, {"--save-every", "2"}));
    REQUIRE(outcome.exit_code == 0);
    CHECK(is_one_line(outcome.errors));
    CHECK(outcome.errors.find(checkpoint("run", 6)) != std::string::npos);
    CHECK(outcome.errors.find("trying the checkpoint before it") != std::string::npos);
    CHECK(outcome.output.find("after step 4\n") != std::string::npos);
    check_same("run", "reference", 8);
    CHECK(differences(checkpoint("run", 6), checkpoint("reference", 6)) == "");
}

TEST_CASE_FIXTURE(
    Bench, "end to end: a checkpoint that could not be read does not displace what is saved after it") {
    train("run", 6, {"--save-every", "2"});
    damage(checkpoint("run", 6));
    const Outcome outcome = work.run("train", work.training("run", 5, {"--keep", "1"}));
    REQUIRE(outcome.exit_code == 0);
    CHECK(newest_step("run") == 5);
    CHECK(fs::exists(checkpoint("run", 5)));
    CHECK_FALSE(fs::exists(checkpoint("run", 6)));
    CHECK(work.run("sample", {"info", work.path("run/last.safetensors")}).exit_code == 0);
}

TEST_CASE_FIXTURE(Bench, "end to end: a run none of whose checkpoints can be read stops and keeps them") {
    train("run", 4, {"--save-every", "2"});
    damage(checkpoint("run", 2));
    truncate(checkpoint("run", 4));
    const auto before = work.listing();
    const Outcome outcome = work.run("train", work.training("run", 6));
    CHECK(outcome.exit_code == 1);
    CHECK(std::ranges::count(outcome.errors, '\n') == 3);
    CHECK(outcome.errors.find("none of its 2 checkpoints can be read") != std::string::npos);
    CHECK(work.listing() == before);
}

TEST_CASE_FIXTURE(Bench, "end to end: a run does not continue on other data than it was started on") {
    train("run", 2);
    work.make_fractals("data.bin", 40, 1000);  // as many others in the same place
    const auto before = work.listing();
    const Outcome other = work.run("train", work.training("run", 4));
    CHECK(other.exit_code == 2);
    CHECK(is_one_line(other.errors));
    CHECK_MESSAGE(other.errors.find("started on other data (checksum ") != std::string::npos, other.errors);
    CHECK(work.listing() == before);
    work.make_fractals("data.bin", 40);
    train("run", 4);
}

TEST_CASE_FIXTURE(Bench, "end to end: a run that was not told how often saves every 1000 updates") {
    const Outcome killed = interrupt("run", SIGKILL, 1005, {"--evaluate-every", "100000"});
    CHECK(killed.exit_code == -SIGKILL);
    CHECK(newest_step("run") == 1000);
}

TEST_CASE_FIXTURE(Bench, "end to end: --init-from on a run that has begun must be what it began with") {
    train("first", 2);
    train("other", 2, {"--seed", "5"});
    const auto from = [&](const std::string& path) { return Words{"--init-from", path}; };
    const Words first = from(work.path("first/last.safetensors"));
    train("run", 2, first);
    train("run", 3, first);
    train("run", 4);  // without it as well
    fs::copy_file(work.at("first/last.safetensors"), work.at("copy.safetensors"));
    train("run", 5, from(work.path("copy.safetensors")));
    train("run", 5, from((work.at("first") / ".." / "copy.safetensors").string()));

    for (const auto& [run, said] : std::vector<std::pair<std::string, std::string>>{
             {"run", "run that began with another file"}, {"first", "run that began without it"}})
        check_refusal(work, {"train",
                             work.training(run, 7, from(work.path("other/last.safetensors"))),
                             2,
                             {"--init-from " + work.path("other/last.safetensors"), work.path(run), said}});

    // Begun by a version that did not keep it.
    auto config = nlohmann::json::parse(read_file(work.at("run/config.json")));
    CHECK(config["init_from"]["file"] == work.path("first/last.safetensors"));
    config.erase("init_from");
    overwrite(work.at("run/config.json"), config.dump());
    const Outcome old = work.run("train", work.training("run", 6, first));
    CHECK(old.exit_code == 0);
    CHECK(is_one_line(old.errors));
    CHECK(old.errors.find("--init-from " + first[1] + " is not read") != std::string::npos);
}

TEST_CASE_FIXTURE(Bench, "end to end: a run that continues with another arithmetic says so") {
    train("run", 1);
    CHECK(work.run("train", work.training("run", 2)).errors == "");
    auto config = nlohmann::json::parse(read_file(work.at("run/config.json")));
    const std::string now = config["arithmetic"];
    CHECK(now.starts_with("cpu fp32 "));
    const auto continued = [&](const std::string& began) {
        config["arithmetic"] = began;
        overwrite(work.at("run/config.json"), config.dump());
        return work.run("train", work.training("run", 3));
    };
    const Outcome other = continued("cuda bf16 NVIDIA H100");
    CHECK(other.exit_code == 0);
    CHECK(is_one_line(other.errors));
    CHECK(other.errors.find(work.path("run") + ": began with \"cuda bf16 NVIDIA H100\", continues with " +
                            now) != std::string::npos);
    CHECK(continued(now).errors == "");
}

TEST_CASE_FIXTURE(Bench, "end to end: numbers are shown as they were given") {
    const Words more{"--lr", "1e-3", "--clip", "0.7", "--ema", "0.9999", "--red-weight", "0.1"};
    train("run", 1, more);
    const std::string config = read_file(work.at("run/config.json"));
    for (const char* text :
         {"\"lr\": 0.001,", "\"clip\": 0.7,", "\"beta2\": 0.95,", "\"weight-decay\": 0.05,",
          "\"ema\": 0.9999,", "\"red-weight\": 0.1\n", "\"label-drop\": 0.1,"})
        CHECK_MESSAGE(config.find(text) != std::string::npos, text, config);
    const Outcome info = work.run("sample", {"info", work.path("run/last.safetensors")});
    CHECK(info.output.find("(decay 0.9999)") != std::string::npos);
    CHECK(info.output.find("\"lr\":0.001,") != std::string::npos);
    CHECK(SafetensorsFile(work.at("run/last.safetensors")).metadata("ema_decay") == "0.9999");
    check_refusal(
        work,
        {"train",
         work.training("run", 2, {"--lr", "2e-3", "--clip", "0.7", "--ema", "0.9999", "--red-weight", "0.1"}),
         2,
         {"was trained with --lr 0.001, now it is 0.002"}});
    check_refusal(work, {"train", work.training("new", 1, {"--clip", "-0.1"}), 2, {"--clip -0.1: "}});
    check_refusal(work, {"train", work.training("new", 1, {"--beta2", "0.9999999"}), 2, {"to 0.999999"}});

    // Older versions wrote all digits of the doubles: such runs go on.
    const fs::path path = work.at("run/checkpoint-00000001.safetensors");
    {
        const SafetensorsFile file(path);
        auto metadata = file.metadata();
        auto settings = nlohmann::ordered_json::parse(file.metadata("training"));
        for (const char* flag : {"lr", "clip", "ema", "beta2", "weight-decay", "red-weight", "label-drop"})
            settings[flag] = static_cast<double>(settings[flag].get<float>());
        metadata["training"] = settings.dump();
        CHECK(metadata["training"].find("\"lr\":0.0010000000474974513") != std::string::npos);
        std::vector<SafetensorsTensor> tensors;
        for (const auto& [name, entry] : file.entries())
            tensors.push_back({name, entry.dtype, entry.shape, file.bytes(name)});
        write_safetensors(work.at("old.safetensors"), tensors, metadata);
    }
    fs::rename(work.at("old.safetensors"), path);
    train("run", 2, more);
    const Outcome old = work.run("sample", {"info", path.string()});
    CHECK(old.output.find("\"lr\":0.001,") != std::string::npos);
}
