#include "tests/end_to_end/test_directory.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <fstream>
#include <ranges>
#include <sstream>
#include <stdexcept>
#include <system_error>

#include "runtime/files/safetensors.h"

namespace {

std::filesystem::path program_path(std::string_view name) {
    return std::filesystem::read_symlink("/proc/self/exe").parent_path() / name;
}

Words split(const std::string& line) {
    Words cells(1);
    for (const char c : line) {
        if (c == ',')
            cells.emplace_back();
        else
            cells.back() += c;
    }
    return cells;
}

}  // namespace

TestDirectory::TestDirectory() {
    std::string name = (std::filesystem::temp_directory_path() / "fractal-test-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) throw std::system_error(errno, std::generic_category(), name);
    folder_ = name;
    // For child processes, unless set by the user: threads of so small a model would only wait for each
    // other.
    ::setenv("OMP_NUM_THREADS", "1", 0);
}

TestDirectory::~TestDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
}

Outcome TestDirectory::run(std::string_view program, const Words& arguments) const {
    return start(program, arguments).finish();
}

Command TestDirectory::start(std::string_view name, const Words& arguments) const {
    return {program_path(name), arguments};
}

std::filesystem::path TestDirectory::program(std::string_view name) const {
    return program_path(name);
}

std::string TestDirectory::make_fractals(std::string_view name, int count, int first) const {
    const Outcome outcome = run("data", {"fractals", "--out", path(name), "--size", "8", "--count",
                                         std::to_string(count), "--first", std::to_string(first)});
    if (outcome.exit_code != 0) throw std::runtime_error("data fractals: " + outcome.errors);
    return path(name);
}

std::string TestDirectory::make_config(std::string_view name, int class_num, int channels,
                                       std::string_view more_keys) const {
    write(name,
          fmt::format(
              R"({{"img_size_list": [8, 4, 1], "embed_dim_list": [16, 16, 16], "num_blocks_list": [1, 1, 1],
                                "num_heads_list": [2, 2, 2], "generator_type_list": ["ar", "ar", "ar"],
                                "class_num": {}, "channels": {}{}}})",
              class_num, channels, more_keys));
    return path(name);
}

void TestDirectory::write(std::string_view name, std::string_view text) const {
    overwrite(at(name), text);
}

Words TestDirectory::training(std::string_view run, std::int64_t steps, const Words& more) const {
    const std::vector<std::pair<std::string, std::string>> usual{{"--config", path("model.json")},
                                                                 {"--data", path("data.bin")},
                                                                 {"--out", path(run)},
                                                                 {"--steps", std::to_string(steps)},
                                                                 {"--batch", "4"},
                                                                 {"--lr", "1e-2"},
                                                                 {"--schedule", "constant"},
                                                                 {"--warmup-steps", "2"},
                                                                 {"--evaluate-every", "1000000"},
                                                                 {"--log-every", "1"},
                                                                 {"--sheet-columns", "1"},
                                                                 {"--sheet-rows", "1"}};
    return with_usual({"fractal"}, usual, more);
}

std::map<std::string, std::uintmax_t> TestDirectory::listing() const {
    std::map<std::string, std::uintmax_t> files;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(folder_))
        files[entry.path().string()] = entry.is_regular_file() ? entry.file_size() : 0;
    return files;
}

Words with_usual(Words words, const std::vector<std::pair<std::string, std::string>>& usual,
                 const Words& more) {
    for (const auto& [flag, value] : usual)
        if (std::ranges::find(more, flag) == more.end()) words = words + Words{flag, value};
    return words + more;
}

std::string read_file(const std::filesystem::path& path) {
    std::ifstream file(path, std::ios::binary);
    if (!file) throw std::runtime_error(path.string() + " cannot be read");
    std::ostringstream text;
    text << file.rdbuf();
    return text.str();
}

void overwrite(const std::filesystem::path& path, std::string_view bytes) {
    std::ofstream file(path, std::ios::binary | std::ios::trunc);
    file << bytes;
    if (!file.flush()) throw std::runtime_error(path.string() + " cannot be written");
}

Words operator+(Words first, const Words& second) {
    first.insert(first.end(), second.begin(), second.end());
    return first;
}

LogTable read_log(const std::filesystem::path& run) {
    std::istringstream file(read_file(run / "log.csv"));
    std::string line;
    std::getline(file, line);
    const Words names = split(line);
    LogTable rows;
    while (std::getline(file, line)) {
        const Words cells = split(line);
        if (cells.size() != names.size())
            throw std::runtime_error("log.csv: row with another number of cells: " + line);
        auto& row = rows.emplace_back();
        for (std::size_t i = 0; i < names.size(); ++i) row[names[i]] = cells[i];
    }
    return rows;
}

LogTable read_reproducible_log(const std::filesystem::path& run) {
    LogTable rows = read_log(run);
    for (auto& row : rows) {
        row.erase("images_per_second");
        row.erase("memory_mib");
    }
    return rows;
}

std::string differences(const std::filesystem::path& first, const std::filesystem::path& second) {
    const SafetensorsFile a(first), b(second);
    std::string names;
    const auto compare = [&](const auto& ours, const auto& theirs, auto same) {
        for (const auto& [name, value] : ours)
            if (!theirs.contains(name) || !same(name)) names += name + " ";
        for (const auto& name : theirs | std::views::keys)
            if (!ours.contains(name)) names += name + " ";
    };
    compare(a.entries(), b.entries(),
            [&](const std::string& name) { return std::ranges::equal(a.bytes(name), b.bytes(name)); });
    compare(a.metadata(), b.metadata(),
            [&](const std::string& name) { return a.metadata(name) == b.metadata(name); });
    return names;
}

bool is_one_line(std::string_view text) {
    return text.size() > 1 && text.find('\n') == text.size() - 1;
}
