// Training on several ranks, as mpirun starts them: the same run as on one, whatever happens to a rank.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <thread>

#include "kernels/linear/matmul_bf16.h"
#include "models/fractal/checkpoint.h"
#include "runtime/checkpoint/sharded_checkpoint.h"
#include "runtime/ranks/comm_mpi.h"
#include "tests/end_to_end/killed_run.h"
#include "tests/end_to_end/test_directory.h"
#include "tests/skip.h"
#include "train/run_lock.h"

namespace {

namespace fs = std::filesystem;

// Open MPI keeps memory to its end; a build with the address sanitizer would call that an error.
constexpr const char* no_leak_check = "ASAN_OPTIONS=detect_leaks=0";

// The launcher, or "" where there is none or the build cannot use it.
std::string launcher() {
    if (!mpi::built()) return "";
    std::istringstream folders(std::getenv("PATH") != nullptr ? std::getenv("PATH") : "");
    for (std::string folder; std::getline(folders, folder, ':');)
        if (fs::exists(fs::path(folder) / "mpirun")) return (fs::path(folder) / "mpirun").string();
    return "";
}

bool can_start_ranks() {
    if (!launcher().empty()) return true;
    skip_test("no Open MPI here (mpirun, and libopenmpi-dev when this was built)");
    return false;
}

struct Ranks {
    Ranks() {
        // Open MPI needs two variables to run as root, looks for ssh even on a single machine, and warns if a
        // container forbids reads of another process's memory.
        for (const auto& [name, value] : std::vector<std::pair<const char*, const char*>>{
                 {"OMPI_ALLOW_RUN_AS_ROOT", "1"},
                 {"OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1"},
                 {"OMPI_MCA_plm_rsh_agent", "false"},
                 {"OMPI_MCA_btl_vader_single_copy_mechanism", "none"},
                 {"OMPI_MCA_rmaps_base_oversubscribe", "1"},
                 {"OMPI_MCA_hwloc_base_binding_policy", "none"}})
            ::setenv(name, value, 0);
        work.make_config("model.json", 10);
        work.make_fractals("data.bin", 100);
    }

    void use_mar_model() const {
        work.write(
            "model.json",
            R"({"img_size_list": [8, 4, 1], "embed_dim_list": [16, 16, 16], "num_blocks_list": [2, 1, 1], "num_heads_list": [2, 2, 2],
                "generator_type_list": ["mar", "mar", "ar"], "num_conds": 5, "guiding_pixel": true, "class_num": 10})");
    }

    Words words(int ranks, const std::string& run, std::int64_t steps, const Words& more) const {
        return Words{"--quiet", "-np",         std::to_string(ranks),
                     "-x",      no_leak_check, work.program("train").string()} +
               work.training(run, steps, more);
    }
    Command start(int ranks, const std::string& run, std::int64_t steps, const Words& more) const {
        return {launcher(), words(ranks, run, steps, more)};
    }
    Outcome run(int ranks, const std::string& name, std::int64_t steps, const Words& more) const {
        if (ranks == 1) return work.run("train", work.training(name, steps, more));
        return start(ranks, name, steps, more).finish();
    }
    void train(int ranks, const std::string& name, std::int64_t steps, const Words& more) const {
        const Outcome outcome = run(ranks, name, steps, more);
        REQUIRE_MESSAGE(outcome.exit_code == 0, outcome.errors);
        CHECK(outcome.errors == "");
    }

    // The curves of two runs, up to the order in which numbers were added.
    void check_same_curve(const std::string& run, const std::string& reference) const {
        const LogTable ours = read_log(work.at(run)), theirs = read_log(work.at(reference));
        REQUIRE(ours.size() == theirs.size());
        for (std::size_t i = 0; i < ours.size(); ++i)
            for (const char* column : {"step", "loss", "bits_per_dim", "learning_rate", "gradient_norm"}) {
                CAPTURE(run);
                CAPTURE(i);
                CAPTURE(column);
                const double expected = std::stod(theirs[i].at(column));
                CHECK(std::abs(std::stod(ours[i].at(column)) - expected) <= 1e-5 * std::abs(expected));
            }
    }

    fs::path checkpoint(const std::string& run, std::int64_t step) const {
        return work.at(run) / fmt::format("checkpoint-{:08}.safetensors", step);
    }
    fs::path shard(const std::string& run, std::int64_t step, int rank, int ranks) const {
        return work.at(run) / fmt::format("checkpoint-{:08}.rank-{}-of-{}.safetensors", step, rank, ranks);
    }

    // Every checkpoint names shards that exist and are complete.
    void check_manifests(const std::string& run) const {
        for (const auto& entry : fs::directory_iterator(work.at(run))) {
            const std::string name = entry.path().filename().string();
            if (name.find(".rank-") != std::string::npos || !name.starts_with("checkpoint-") ||
                entry.path().extension() != ".safetensors")
                continue;
            const SafetensorsFile file(entry.path());
            const auto shards = nlohmann::json::parse(file.metadata(shards_key));
            CHECK(shards.size() == 2);
            for (const auto& each : shards)
                CHECK(fs::file_size(work.at(run) / each.at("file").get<std::string>()) ==
                      each.at("bytes").get<std::uintmax_t>());
        }
        const fs::path link = work.at(run) / "last.safetensors";
        if (fs::is_symlink(link)) CHECK(fs::exists(link));
    }

    TestDirectory work;
};

// The whole state under a prefix, as a run on one rank would read it.
std::vector<float> read_state(const fs::path& path, std::string_view prefix) {
    const SafetensorsFile file(path);
    const FractalModel model(read_metadata(file).config, Device::cpu);
    const std::size_t floats = model.parameters().slab_floats();
    std::vector<float> state(floats);
    load_state(file, segments_of(model.parameters(), whole_slab(floats)), prefix, state.data(), Device::cpu);
    return state;
}

}  // namespace

TEST_CASE_FIXTURE(Ranks, "ranks: two with half the batch train as one, masks and dropout included") {
    if (!can_start_ranks()) return;
    SUBCASE("AR") {}
    SUBCASE("MAR") {
        use_mar_model();
    }
    const Words more{"--dropout", "0.1", "--ema", "0.5", "--schedule", "cosine"};
    train(1, "one", 5, more + Words{"--batch", "32"});
    train(2, "two", 5, more + Words{"--batch", "16", "--bucket", "0.01"});
    check_same_curve("two", "one");
    // Batches of a step in turn, chunks of other sizes than their number divides into, shards.
    train(3, "three", 5,
          more + Words{"--batch", "4", "--accumulation", "2", "--bucket", "0.02", "--shard-optimizer",
                       "--chunks", "3,5,7", "--recompute"});
    train(1, "accumulated", 5, more + Words{"--batch", "12", "--accumulation", "2"});
    check_same_curve("three", "accumulated");
}

TEST_CASE_FIXTURE(Ranks, "ranks: a sharded optimizer computes and keeps the same numbers") {
    if (!can_start_ranks()) return;
    use_mar_model();
    // Without clipping, which divides by a norm that shards add up in another order.
    const Words more{"--batch", "8", "--ema", "0.9", "--dropout", "0.1", "--clip", "0", "--bucket", "0.05"};
    train(2, "whole", 4, more);
    train(2, "sharded", 4, more + Words{"--shard-optimizer"});
    const fs::path whole = checkpoint("whole", 4), sharded = checkpoint("sharded", 4);
    CHECK(fs::exists(shard("sharded", 4, 0, 2)));
    CHECK(fs::exists(shard("sharded", 4, 1, 2)));
    for (const std::string_view prefix :
         {first_moment_prefix, second_moment_prefix, average_prefix, std::string_view("")}) {
        CAPTURE(prefix);
        CHECK(read_state(whole, prefix) == read_state(sharded, prefix));
    }
    CHECK(read_file(work.at("whole/samples-00000004.png")) ==
          read_file(work.at("sharded/samples-00000004.png")));

    // Nothing is written twice.
    const auto shards = fs::file_size(shard("sharded", 4, 0, 2)) + fs::file_size(shard("sharded", 4, 1, 2));
    CHECK(static_cast<double>(fs::file_size(sharded) + shards) <
          1.05 * static_cast<double>(fs::file_size(whole)));

    // For its weights the manifest is read as any checkpoint.
    const Outcome info = work.run("sample", {"info", work.path("sharded/last.safetensors")});
    CHECK(info.exit_code == 0);
    CHECK(info.output.find("optimizer's state lies in shards beside it") != std::string::npos);
    for (const std::string run : {"whole", "sharded"}) {
        const std::string last = work.path(run + "/last.safetensors");
        CHECK(work.run("sample",
                       {"fractal", "--checkpoint", last, "--count", "2", "--out", work.path(run + ".png")})
                  .exit_code == 0);
        CHECK(work.run("sample", {"convert", "--checkpoint", last, "--out", work.path(run + ".safetensors")})
                  .exit_code == 0);
    }
    CHECK(read_file(work.at("whole.png")) == read_file(work.at("sharded.png")));
    CHECK(differences(work.at("whole.safetensors"), work.at("sharded.safetensors")) == "");
}

TEST_CASE_FIXTURE(Ranks, "ranks: another number of them continues") {
    if (!can_start_ranks()) return;
    const Words more{"--dropout", "0.1", "--ema", "0.9", "--bucket", "0.02", "--keep", "1"};
    const auto with_batch = [&](int batch) { return more + Words{"--batch", std::to_string(batch)}; };
    train(2, "reference", 6, with_batch(6));
    train(2, "on-one", 3, with_batch(6) + Words{"--shard-optimizer"});
    for (const char* copy : {"on-three", "refused", "cut"})
        fs::copy(work.at("on-one"), work.at(copy),
                 fs::copy_options::recursive | fs::copy_options::copy_symlinks);

    train(1, "on-one", 6, with_batch(12));
    check_same_curve("on-one", "reference");
    CHECK_FALSE(fs::exists(shard("on-one", 3, 0, 2)));  // gone with its checkpoint
    train(3, "on-three", 6, with_batch(4) + Words{"--shard-optimizer"});
    check_same_curve("on-three", "reference");
    CHECK(fs::exists(shard("on-three", 6, 2, 3)));

    const auto before = work.listing();
    const Outcome refused = run(3, "refused", 6, with_batch(6));
    CHECK(refused.exit_code == 2);
    CHECK(is_one_line(refused.errors));
    CHECK_MESSAGE(
        refused.errors.find("2 ranks x --batch 6 x --accumulation 1 = 12 images") != std::string::npos,
        refused.errors);
    CHECK(work.listing() == before);

    fs::remove(shard("cut", 3, 1, 2));
    const Outcome cut = run(2, "cut", 6, with_batch(6));
    CHECK(cut.exit_code == 1);
    CHECK(cut.errors.find("rank-1-of-2") != std::string::npos);
    CHECK(cut.errors.find("none of its 1 checkpoints can be read") != std::string::npos);
}

TEST_CASE_FIXTURE(Ranks, "ranks: a damaged or replaced shard gives way to the checkpoint before it") {
    if (!can_start_ranks()) return;
    const Words more{"--batch", "6", "--shard-optimizer", "--save-every", "2"};
    train(2, "run", 4, more);
    SUBCASE("one bit of the state") {
        std::string bytes = read_file(shard("run", 4, 1, 2));
        bytes[bytes.size() - 5] = static_cast<char>(bytes[bytes.size() - 5] ^ 16);
        overwrite(shard("run", 4, 1, 2), bytes);
    }
    SUBCASE("another moment's") {
        fs::copy_file(shard("run", 2, 1, 2), shard("run", 4, 1, 2), fs::copy_options::overwrite_existing);
    }
    SUBCASE("cut off") {
        fs::resize_file(shard("run", 4, 0, 2), 1000);
    }
    SUBCASE("gone") {
        fs::remove(shard("run", 4, 0, 2));
    }
    const Outcome outcome = run(2, "run", 6, more);
    CHECK(outcome.exit_code == 0);
    CHECK(is_one_line(outcome.errors));
    CHECK(outcome.errors.find("-of-2.safetensors") != std::string::npos);
    CHECK(outcome.output.find("after step 2\n") != std::string::npos);
    train(2, "reference", 6, more);
    CHECK(differences(checkpoint("run", 6), checkpoint("reference", 6)) == "");
}

TEST_CASE_FIXTURE(Ranks, "ranks: a signal to one, or through mpirun to all, saves and ends the run") {
    if (!can_start_ranks()) return;
    const Words more{"--batch", "4", "--shard-optimizer"};
    Command command = start(2, "run", 100'000, more);
    REQUIRE(command.wait_for_output("step 3/"));
    SUBCASE("SIGTERM to rank 1") {
        const auto ranks = children_of(command.process());
        REQUIRE(ranks.size() == 2);
        ::kill(ranks[1], SIGTERM);
    }
    SUBCASE("SIGUSR1 to mpirun") {
        command.send(SIGUSR1);
    }
    const Outcome outcome = command.finish();
    CHECK(outcome.exit_code == 0);
    CHECK(outcome.output.find("stopped after step ") != std::string::npos);
    const std::int64_t step = std::stoll(read_log(work.at("run")).back().at("step"));
    check_manifests("run");
    train(2, "run", step + 2, more);
    train(2, "reference", step + 2, more);
    CHECK(differences(checkpoint("run", step + 2), checkpoint("reference", step + 2)) == "");
}

TEST_CASE_FIXTURE(Ranks, "ranks: a second signal within an update ends all of them at once") {
    if (!can_start_ranks()) return;
    const Words more{"--accumulation", "300", "--save-every", "1"};
    Command command = start(2, "run", 100'000, more);
    REQUIRE(command.wait_for_output("step 1/"));
    while (!std::filesystem::exists(work.at("run/last.safetensors")) && command.runs())
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    std::this_thread::sleep_for(std::chrono::milliseconds(100));  // the second update is under way
    command.send(SIGUSR1);
    REQUIRE(command.wait_for_output("a second signal ends the run at once\n"));
    std::this_thread::sleep_for(std::chrono::milliseconds(120));
    SUBCASE("to mpirun") {
        command.send(SIGUSR1);
    }
    SUBCASE("to one rank") {
        const auto ranks = children_of(command.process());
        REQUIRE(ranks.size() == 2);
        ::kill(ranks[1], SIGINT);
    }
    const Outcome outcome = command.finish(std::chrono::seconds(20));
    CHECK_FALSE(outcome.timed_out);
    CHECK(outcome.exit_code != 0);
    CHECK(std::filesystem::read_symlink(work.at("run/last.safetensors")) ==
          "checkpoint-00000001.safetensors");
    CHECK_FALSE(std::filesystem::exists(checkpoint("run", 2)));
}

TEST_CASE_FIXTURE(Ranks, "ranks: a lost one ends all within seconds and one line; what is saved is whole") {
    if (!can_start_ranks()) return;
    const Words more{"--batch", "4", "--shard-optimizer", "--save-every", "1", "--keep", "3"};
    for (int attempt = 0; attempt < 4; ++attempt) {
        Command command = start(2, "run", 100'000, more);
        REQUIRE(command.wait_for_output("step "));
        std::this_thread::sleep_for(
            std::chrono::milliseconds(67 * attempt));  // somewhere in a step, or a save
        const auto ranks = children_of(command.process());
        REQUIRE(ranks.size() == 2);
        ::kill(ranks[static_cast<std::size_t>(attempt % 2)], SIGKILL);
        const Outcome outcome = command.finish();
        CHECK_FALSE(outcome.timed_out);
        CHECK(outcome.exit_code != 0);
        CHECK(is_one_line(outcome.errors));
        CHECK_MESSAGE(outcome.errors.find(" was lost; all ranks end") != std::string::npos, outcome.errors);
        check_manifests("run");
    }
    const std::int64_t step = std::stoll(read_log(work.at("run")).back().at("step"));
    train(2, "run", step + 1, more);
    train(2, "reference", step + 1, more);
    CHECK(differences(checkpoint("run", step + 1), checkpoint("reference", step + 1)) == "");
}

TEST_CASE_FIXTURE(Ranks, "ranks: a run killed as a whole at any moment loses no checkpoint") {
    if (!can_start_ranks()) return;
    const Words more{"--batch", "4", "--shard-optimizer", "--save-every", "1"};
    const std::int64_t step =
        survive_kills({work.at("run"), launcher(), words(2, "run", 100'000, more)}, number_of_kills(3, 5));
    train(2, "run", step + 2, more);
    train(2, "reference", step + 2, more);
    check_same_end(work.at("run"), work.at("reference"), step + 2);
    check_manifests("run");
}

TEST_CASE_FIXTURE(Ranks, "ranks: a folder in which another run writes is refused in one line") {
    if (!can_start_ranks()) return;
    fs::create_directory(work.at("run"));
    const RunLock lock(work.at("run"));
    const Outcome refused = run(2, "run", 3, {"--shard-optimizer"});
    CHECK(refused.exit_code == 1);
    CHECK(is_one_line(refused.errors));
    CHECK_MESSAGE(refused.errors.find("run: another run is writing there") != std::string::npos,
                  refused.errors);
}

TEST_CASE_FIXTURE(Ranks, "ranks: what goes wrong is said in one line") {
    if (!can_start_ranks()) return;
    const Outcome usage = run(2, "run", 3, {"--lr", "-1"});
    CHECK(usage.exit_code == 2);
    CHECK(is_one_line(usage.errors));
    CHECK(usage.errors.find("--lr") != std::string::npos);

    const Outcome wild = run(2, "wild", 5, {"--lr", "1e30", "--warmup-steps", "0"});
    CHECK(wild.exit_code == 1);
    CHECK(is_one_line(wild.errors));
    CHECK(wild.errors.find("step 2: the loss is ") != std::string::npos);

    // An error of a single rank is reported by that rank; a checkpoint without all its shards is not used.
    fs::create_directories(work.at("lame") / "checkpoint-00000002.rank-1-of-2.safetensors.partial");
    const Outcome lame = run(2, "lame", 3, {"--shard-optimizer", "--save-every", "1"});
    CHECK(lame.exit_code == 1);
    CHECK(is_one_line(lame.errors));
    CHECK_MESSAGE(lame.errors.find("train: rank 1: ") != std::string::npos, lame.errors);
    CHECK(lame.errors.find("checkpoint-00000002.rank-1-of-2.safetensors: cannot be written") !=
          std::string::npos);
    CHECK_FALSE(fs::exists(checkpoint("lame", 2)));
    check_manifests("lame");
}

TEST_CASE_FIXTURE(Ranks, "ranks: in bf16 on the CPU they train as one, and refuse to mix precisions") {
    if (!can_start_ranks()) return;
    if (cpu::bf16_unit() == cpu::Bf16Unit::none) return skip_test("no products in bf16 on this CPU");
    // The first loss and gradient: weights that differ in a last bit are rounded to other bf16.
    train(1, "one", 1, {"--precision", "bf16", "--batch", "4"});
    train(2, "two", 1, {"--precision", "bf16", "--batch", "2"});
    check_same_curve("two", "one");
    const auto rank = [&](const char* precision) {
        return Words{"-np", "1", work.program("train").string()} +
               work.training("mixed", 2, {"--precision", precision});
    };
    const Outcome mixed =
        Command(launcher(), Words{"--quiet", "-x", no_leak_check} + rank("bf16") + Words{":"} + rank("fp32"))
            .finish();
    CHECK(mixed.exit_code == 1);
    CHECK(is_one_line(mixed.errors));
    CHECK(mixed.errors.find("expected one precision") != std::string::npos);
}

TEST_CASE_FIXTURE(Ranks, "ranks: a build without MPI refuses to be one of several") {
    if (mpi::built()) return skip_test("MPI in this build");
    ::setenv("OMPI_COMM_WORLD_SIZE", "2", 1);
    const Outcome outcome = work.run("train", work.training("run", 1));
    ::unsetenv("OMPI_COMM_WORLD_SIZE");
    CHECK(outcome.exit_code == 2);
    CHECK(is_one_line(outcome.errors));
    CHECK(outcome.errors.find("this build has no MPI") != std::string::npos);
}
