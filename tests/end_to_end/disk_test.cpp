// Full or read-only disks, removed folders: one line that names the file and the reason, no partial files, no
// losses, and afterwards the same command continues to the same bits.
#include <doctest/doctest.h>
#include <fmt/format.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <sstream>
#include <string>

#include "tests/end_to_end/killed_run.h"
#include "tests/end_to_end/test_directory.h"
#include "tests/golden/golden_file.h"
#include "tests/skip.h"

namespace {

namespace fs = std::filesystem;

constexpr std::int64_t no_end = 1'000'000;

// No process that is started meanwhile can make a file larger than this.
class FileSizeLimit {
  public:
    explicit FileSizeLimit(std::uintmax_t bytes) {
        ::getrlimit(RLIMIT_FSIZE, &before_);
        const rlimit limit{bytes, before_.rlim_max};
        ::setrlimit(RLIMIT_FSIZE, &limit);
    }
    ~FileSizeLimit() { ::setrlimit(RLIMIT_FSIZE, &before_); }
    FileSizeLimit(const FileSizeLimit&) = delete;
    FileSizeLimit& operator=(const FileSizeLimit&) = delete;

  private:
    rlimit before_{};
};

// A file system mounted on a folder: a small one, or the folder itself read-only (without root, who alone may
// mount, by removing the permission to write).
class Mount {
  public:
    static Mount tiny(const fs::path& folder, std::uintmax_t bytes) {
        fs::create_directories(folder);
        return {folder, ::mount("tmpfs", folder.c_str(), "tmpfs", 0, size_option(bytes).c_str()) == 0};
    }
    static Mount read_only(const fs::path& folder) {
        const char* path = folder.c_str();
        if (::geteuid() != 0) return {folder, false, ::chmod(path, 0555) == 0};
        const bool bound = ::mount(path, path, nullptr, MS_BIND, nullptr) == 0;
        return {folder,
                bound && ::mount(nullptr, path, nullptr, MS_REMOUNT | MS_BIND | MS_RDONLY, nullptr) == 0};
    }
    ~Mount() {
        if (mounted_) ::umount2(folder_.c_str(), MNT_DETACH);
        if (forbidden_) ::chmod(folder_.c_str(), 0755);
    }
    Mount(const Mount&) = delete;
    Mount& operator=(const Mount&) = delete;

    bool stands() const {
        if (!mounted_ && !forbidden_) skip_test("mounting is not permitted here");
        return mounted_ || forbidden_;
    }
    std::string reason() const { return forbidden_ ? ": Permission denied\n" : ": Read-only file system\n"; }
    void enlarge(std::uintmax_t bytes) const {
        REQUIRE(::mount(nullptr, folder_.c_str(), nullptr, MS_REMOUNT, size_option(bytes).c_str()) == 0);
    }

  private:
    Mount(fs::path folder, bool mounted, bool forbidden = false)
        : folder_(std::move(folder)), mounted_(mounted), forbidden_(forbidden) {}
    static std::string size_option(std::uintmax_t bytes) { return fmt::format("size={}", bytes); }

    fs::path folder_;
    bool mounted_, forbidden_;
};

// Curves that could not be drawn are no reason for a run to end.
std::string without_curves(const std::string& errors) {
    std::string others;
    std::istringstream lines(errors);
    for (std::string line; std::getline(lines, line);)
        if (!line.ends_with("; the run goes on")) others += line + "\n";
    return others;
}

struct Disk {
    Disk() {
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
    // One line, which begins with these words; exit code 1; nothing half written.
    void check_failed(const Outcome& outcome, const std::string& run, const std::string& begin) const {
        CHECK(outcome.exit_code == 1);
        const std::string errors = without_curves(outcome.errors);
        CHECK(is_one_line(errors));
        CHECK_MESSAGE(errors.starts_with(begin), outcome.errors);
        CHECK(leftovers(work.at(run)) == Words{});
    }

    TestDirectory work;
};

}  // namespace

TEST_CASE_FIXTURE(Disk,
                  "end to end: a checkpoint, an event file or a sheet that grows too large for the disk") {
    Words more{"--ema", "0.9"};
    std::string file = "checkpoint-00000040.safetensors";
    std::uintmax_t limit = 10'000;
    SUBCASE("checkpoint") {}
    SUBCASE("event file") {
        file = "events.out.tfevents.";
        limit = 2'000;
    }
    SUBCASE("sheet") {
        file = "samples-00000040.png";
        limit = 10'000;
        more = more + Words{"--sheet-columns", "10", "--sheet-rows", "10"};
    }
    finish("run", 2, more);
    const std::string before = read_file(checkpoint("run", 2));
    {
        const FileSizeLimit too_little(limit);
        const Outcome outcome = train("run", 40, more);
        check_failed(outcome, "run", "train: " + work.path("run/" + file));
        CHECK(outcome.errors.ends_with(": cannot be written: File too large\n"));
    }
    CHECK(read_file(checkpoint("run", 2)) == before);
    CHECK_FALSE(fs::exists(checkpoint("run", 40)));
    CHECK(read_file(work.at("run/log.csv")).ends_with("\n"));
    check_whole(work.at("run/last.safetensors"));
    CHECK(read_log(work.at("run")).size() > 2);
    finish("run", 40, more);
    finish("reference", 40, more);
    check_same_end(work.at("run"), work.at("reference"), 40);
}

TEST_CASE_FIXTURE(Disk, "end to end: a disk that has no room for a second checkpoint") {
    const Words more{"--save-every", "2", "--keep", "1", "--dropout", "0.1"};
    finish("reference", 6, more);
    const std::uintmax_t room = fs::file_size(checkpoint("reference", 6)) * 3 / 2;
    const Mount disk = Mount::tiny(work.at("run"), room);
    if (!disk.stands()) return;
    for (int attempt = 0; attempt < 2; ++attempt) {
        check_failed(
            train("run", 6, more), "run",
            fmt::format("train: {}: cannot be written: No space left on device", checkpoint("run", 4)));
        check_whole(work.at("run/last.safetensors"));
        CHECK(fs::exists(checkpoint("run", 2)));
        CHECK_FALSE(fs::exists(checkpoint("run", 4)));
    }
    disk.enlarge(3 * room);
    finish("run", 6, more);
    check_same_end(work.at("run"), work.at("reference"), 6);
}

TEST_CASE_FIXTURE(Disk, "end to end: a disk that has no room at all") {
    const Mount disk = Mount::tiny(work.at("disk"), 4096);
    if (!disk.stands()) return;
    overwrite(work.at("disk/other"), std::string(4096, 'x'));
    const Outcome outcome = train("disk/run", 2);
    CHECK(outcome.exit_code == 1);
    CHECK(is_one_line(outcome.errors));
    CHECK_MESSAGE(outcome.errors.starts_with(fmt::format("train: {}", work.path("disk/run"))),
                  outcome.errors);
    CHECK_MESSAGE(outcome.errors.ends_with(": No space left on device\n"), outcome.errors);
    CHECK_FALSE(fs::exists(work.at("disk/run")));
}

TEST_CASE_FIXTURE(Disk, "end to end: what data and sample write leaves what was there if the disk is full") {
    const GoldenFile weights("vqgan_tiny.pth");
    const std::string tokenizer = weights.path().string(), last = work.path("run/last.safetensors"),
                      out = work.path("out");
    finish("run", 1);
    fs::create_directories(work.at("images"));
    REQUIRE(work.run("sample", {"fractal", "--checkpoint", last, "--each", work.path("images")}).exit_code ==
            0);
    for (const auto& [program, arguments] : std::vector<std::pair<std::string, Words>>{
             {"data", {"fractals", "--count", "40", "--size", "8"}},
             {"data", {"pack", "--images", work.path("images"), "--size", "8"}},
             {"data", {"tokens", "--tokenizer", tokenizer, "--data", work.path("data.bin")}},
             {"sample", {"fractal", "--checkpoint", last}},
             {"sample", {"convert", "--checkpoint", last}},
             {"sample", {"reconstruct", "--tokenizer", tokenizer, "--data", work.path("data.bin")}}}) {
        CAPTURE(arguments[0]);
        const Words command = arguments + Words{"--out", out};
        overwrite(out, "what was there");
        const auto before = work.listing();
        Outcome outcome;
        {
            const FileSizeLimit too_little(200);
            outcome = work.run(program, command);
        }
        CHECK(outcome.exit_code == 1);
        // The entry of the checkpoint that holds the weights is named first (report_origin).
        std::string errors = outcome.errors;
        if (errors.find(": weights read from its entry ") != std::string::npos)
            errors.erase(0, errors.find('\n') + 1);
        CHECK(is_one_line(errors));
        CHECK_MESSAGE(errors.ends_with(out + ": cannot be written: File too large\n"), errors);
        CHECK(work.listing() == before);
        CHECK(read_file(out) == "what was there");
        CHECK(work.run(program, command).exit_code == 0);
        CHECK(read_file(out) != "what was there");
    }
}

TEST_CASE_FIXTURE(Disk, "end to end: figures that cannot be printed are no success") {
    finish("run", 1);
    const std::string sample = work.program("sample").string() + " ",
                      data = work.program("data").string() + " ", last = work.path("run/last.safetensors"),
                      packed = work.path("data.bin");
    for (const std::string& command :
         {sample + "evaluate nll --json --checkpoint " + last + " --data " + packed, sample + "info " + last,
          data + "info " + packed}) {
        const Outcome outcome = Command("/bin/sh", {"-c", command + " > /dev/full"}).finish();
        CHECK(outcome.exit_code == 1);
        CHECK(is_one_line(outcome.errors));
        CHECK_MESSAGE(
            outcome.errors.find("standard output: cannot be written: No space left") != std::string::npos,
            outcome.errors);
    }
}

TEST_CASE_FIXTURE(Disk, "end to end: a run's folder that is, or becomes, read-only") {
    const Words more{"--save-every", "5"};
    Command command = work.start("train", work.training("run", no_end, more));
    REQUIRE(command.wait_for_output("step 6/"));
    {
        const Mount locked = Mount::read_only(work.at("run"));
        if (!locked.stands()) return;
        const Outcome became = command.finish();
        CHECK(became.exit_code == 1);
        CHECK(is_one_line(became.errors));
        CHECK_MESSAGE(became.errors.starts_with("train: " + work.path("run/")), became.errors);
        CHECK_MESSAGE(became.errors.ends_with(locked.reason()), became.errors);
        const auto before = work.listing();
        const Outcome is = work.run("train", work.training("run", no_end, more));
        CHECK(is.exit_code == 1);
        CHECK(is_one_line(is.errors));
        CHECK_MESSAGE(is.errors.starts_with("train: " + work.path("run")), is.errors);
        CHECK_MESSAGE(is.errors.ends_with(locked.reason()), is.errors);
        CHECK(work.listing() == before);
    }
    check_whole(work.at("run/last.safetensors"));
    const std::int64_t end = std::stoll(read_log(work.at("run")).back().at("step")) + 2;
    finish("run", end, more);
    finish("reference", end, more);
    check_same_end(work.at("run"), work.at("reference"), end);
}

TEST_CASE_FIXTURE(Disk,
                  "end to end: a run's folder that is taken away ends the run, which does not make it anew") {
    Command command = work.start("train", work.training("run", no_end, {"--save-every", "5"}));
    REQUIRE(command.wait_for_output("step 6/"));
    fs::rename(work.at("run"), work.at("moved"));
    SUBCASE("gone") {}
    SUBCASE("another in its place") {
        fs::create_directory(work.at("run"));
    }
    SUBCASE("a file in its place") {
        work.write("run", "a file");
    }
    const auto in_place = fs::status(work.at("run")).type();
    const Outcome outcome = command.finish();
    CHECK(outcome.exit_code == 1);
    CHECK(is_one_line(outcome.errors));
    CHECK_MESSAGE(outcome.errors.starts_with("train: " + work.path("run")), outcome.errors);
    CHECK(fs::status(work.at("run")).type() == in_place);
    check_whole(work.at("moved/last.safetensors"));
    fs::remove_all(work.at("run"));
    fs::rename(work.at("moved"), work.at("run"));
    const std::int64_t end = std::stoll(read_log(work.at("run")).back().at("step")) + 2;
    finish("run", end);
    finish("reference", end, {"--save-every", "5"});
    check_same_end(work.at("run"), work.at("reference"), end);
}

TEST_CASE_FIXTURE(Disk, "end to end: a log that is taken away is begun anew") {
    Command command = work.start("train", work.training("run", no_end));
    REQUIRE(command.wait_for_output("step 6/"));
    fs::remove(work.at("run/log.csv"));
    REQUIRE(command.wait_for_output("step 30/"));
    command.send(SIGTERM);
    CHECK(command.finish().exit_code == 0);
    // The line of step 6 may be read before its row is written.
    CHECK(std::stoll(read_log(work.at("run")).front().at("step")) >= 6);
}

TEST_CASE_FIXTURE(Disk, "end to end: a file in place of last.safetensors") {
    finish("run", 2, {"--save-every", "1"});
    const std::string newest = read_file(checkpoint("run", 2));
    const fs::path last = work.at("run/last.safetensors");
    fs::remove(last);
    overwrite(last, newest);
    SUBCASE("beside the checkpoints, as a copy of the folder has it") {
        finish("run", 3);
        CHECK(fs::read_symlink(last) == "checkpoint-00000003.safetensors");
    }
    SUBCASE("alone: it may be all there is of a model") {
        for (const int step : {1, 2}) fs::remove(checkpoint("run", step));
        const auto before = work.listing();
        const Outcome refused = train("run", 3);
        CHECK(refused.exit_code == 1);
        CHECK(is_one_line(refused.errors));
        CHECK(refused.errors.starts_with("train: " + last.string() + ": expected a link"));
        CHECK(work.listing() == before);
        fs::rename(last, checkpoint("run", 2));
        finish("run", 3);
        finish("reference", 3, {"--save-every", "1"});
        check_same_end(work.at("run"), work.at("reference"), 3);
    }
}
