// A fresh folder and the paths of the programs: fixture of the end-to-end tests.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tests/end_to_end/command.h"

using Words = std::vector<std::string>;

class TestDirectory {
  public:
    // A new temporary folder, removed by the destructor.
    TestDirectory();
    ~TestDirectory();
    TestDirectory(const TestDirectory&) = delete;
    TestDirectory& operator=(const TestDirectory&) = delete;

    std::filesystem::path at(std::string_view name) const { return folder_ / name; }
    std::string path(std::string_view name) const { return at(name).string(); }

    // Runs one of the programs that were built beside this one: "train", "sample" or "data".
    Outcome run(std::string_view program, const Words& arguments) const;
    Command start(std::string_view program, const Words& arguments) const;
    std::filesystem::path program(std::string_view name) const;

    // `count` built-in fractals of 8 x 8 pixels in NAME, from picture number `first` on. Returns the path.
    std::string make_fractals(std::string_view name, int count, int first = 0) const;
    // A model of 8 x 8 images, small enough for hundreds of steps a second. Returns the path.
    std::string make_config(std::string_view name, int class_num, int channels = 3,
                            std::string_view more_keys = "") const;
    void write(std::string_view name, std::string_view text) const;

    // Arguments that train model.json on data.bin into RUN. Flags that `more` does not name get values for a
    // test: batch 4, a constant learning rate of 0.01, every step logged, the smallest sample sheet,
    // evaluation and checkpoint at the end only.
    Words training(std::string_view run, std::int64_t steps, const Words& more = {}) const;

    // Every file below the folder with its size, which a failing command must not change.
    std::map<std::string, std::uintmax_t> listing() const;

  private:
    std::filesystem::path folder_;
};

std::string read_file(const std::filesystem::path& path);
void overwrite(const std::filesystem::path& path, std::string_view bytes);
Words operator+(Words first, const Words& second);
// `words`, those flags of `usual` with their values that `more` does not name, and `more`.
Words with_usual(Words words, const std::vector<std::pair<std::string, std::string>>& usual,
                 const Words& more);

// The rows of a log.csv by column name; cells as text.
using LogTable = std::vector<std::map<std::string, std::string>>;
LogTable read_log(const std::filesystem::path& run);
// The same without the columns that depend on the machine: speed and memory.
LogTable read_reproducible_log(const std::filesystem::path& run);

// Names of the tensors and metadata in which two checkpoints differ, bit for bit, "" if none; also those that
// only one of them has.
std::string differences(const std::filesystem::path& first, const std::filesystem::path& second);

// One complete line.
bool is_one_line(std::string_view text);
