// Which folders a source may include, and no cycle of includes (runtime/README.md).
#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <regex>
#include <set>
#include <string>
#include <vector>

namespace {

namespace fs = std::filesystem;
using Names = std::set<std::string>;

// The layer of a source: runtime/tensor, kernels/common, models.
std::string layer_of(const std::string& path) {
    const std::size_t first = path.find('/');
    const std::string top = path.substr(0, first);
    if (top == "runtime" || path.starts_with("kernels/common/"))
        return path.substr(0, path.find('/', first + 1));
    return top;
}

// Layers by those that their sources may include, besides their own and kernels/common.
const std::map<std::string, Names> layers = {
    {"kernels/common", {}},
    {"kernels", {}},
    {"runtime/base", {}},
    {"runtime/device", {"kernels", "runtime/base"}},
    {"runtime/tensor", {"kernels", "runtime/base", "runtime/device"}},
    {"runtime/ops", {"kernels", "runtime/base", "runtime/device", "runtime/tensor"}},
    {"runtime/files", {"runtime/base"}},
    {"runtime/ranks", {"runtime/base", "runtime/device", "runtime/tensor"}},
    {"runtime/checkpoint",
     {"runtime/base", "runtime/device", "runtime/tensor", "runtime/files", "runtime/ranks"}},
    {"models",
     {"runtime/base", "runtime/device", "runtime/tensor", "runtime/ops", "runtime/files", "runtime/ranks",
      "runtime/checkpoint"}},
    {"data", {"runtime/base", "runtime/files"}},
    {"train",
     {"runtime/base", "runtime/device", "runtime/tensor", "runtime/ops", "runtime/files", "runtime/ranks",
      "runtime/checkpoint", "models", "data"}},
    {"sample",
     {"runtime/base", "runtime/device", "runtime/tensor", "runtime/ops", "runtime/files", "runtime/ranks",
      "runtime/checkpoint", "models", "data"}},
};

using Includes = std::map<std::string, Names>;
const Names folders{"kernels", "runtime", "models", "data", "train", "sample"};

// Every source below these folders, with the files of this repository that it includes.
Includes includes_of(const Names& tops) {
    static const std::regex include("#include \"([^\"]+)\"");
    Includes sources;
    for (const std::string& top : tops)
        for (const auto& file : fs::recursive_directory_iterator(top)) {
            static const Names endings{".h", ".cuh", ".cpp", ".cu"};
            if (!endings.contains(file.path().extension().string())) continue;
            Names& found = sources[file.path().string()];
            std::ifstream text(file.path());
            std::smatch match;
            for (std::string line; std::getline(text, line);)
                if (std::regex_search(line, match, include)) found.insert(match[1]);
        }
    return sources;
}

bool may_include(const std::string& source, const std::string& included) {
    const std::string from = layer_of(source), to = layer_of(included);
    return from == to || to == "kernels/common" || layers.at(from).contains(to);
}

// A header and its sources. The parts of a kernel (attention_tiles.cuh) belong to its stem (attention).
std::string stem_of(const std::string& path) {
    std::string stem = path.substr(0, path.rfind('.'));
    if (!stem.starts_with("kernels/")) return stem;
    for (std::size_t end = stem.rfind('_'); end != std::string::npos; end = stem.rfind('_', end - 1))
        if (fs::exists(stem.substr(0, end) + ".h")) stem = stem.substr(0, end);
    return stem;
}

// A path of the graph from `node` back to itself, empty if there is none. `done` holds nodes without one.
std::vector<std::string> find_cycle(const std::map<std::string, Names>& graph, const std::string& node,
                                    std::vector<std::string>& path, Names& done) {
    for (std::size_t i = 0; i < path.size(); ++i)
        if (path[i] == node) return {path.begin() + static_cast<std::ptrdiff_t>(i), path.end()};
    if (done.contains(node)) return {};
    path.push_back(node);
    if (const auto found = graph.find(node); found != graph.end())
        for (const std::string& next : found->second)
            if (next != node)
                if (auto cycle = find_cycle(graph, next, path, done); !cycle.empty()) return cycle;
    path.pop_back();
    done.insert(node);
    return {};
}

}  // namespace

TEST_CASE("layers: every source includes its own layer and those below it alone") {
    const auto sources = includes_of(folders);
    CHECK(sources.size() > 300);
    for (const auto& [source, included] : sources)
        for (const std::string& file : included)
            CHECK_MESSAGE(may_include(source, file), source, " includes ", file);
    CHECK_FALSE(may_include("runtime/files/safetensors.cpp", "runtime/tensor/tape.h"));
    CHECK_FALSE(may_include("models/nat/generate.cpp", "kernels/sampling/remask.h"));
    CHECK_FALSE(may_include("train/nat.cpp", "sample/jobs.h"));
}

TEST_CASE("layers: no cycle of includes between stems, a header and its sources taken together") {
    std::map<std::string, Names> stems;
    for (const auto& [source, included] : includes_of(folders))
        for (const std::string& file : included) stems[stem_of(source)].insert(stem_of(file));
    Names done;
    for (const auto& [stem, included] : stems) {
        std::vector<std::string> path;
        std::string text;
        for (const std::string& each : find_cycle(stems, stem, path, done)) text += each + " -> ";
        CHECK_MESSAGE(text.empty(), text);
    }
    done.clear();
    std::vector<std::string> path;
    CHECK(find_cycle({{"a", {"b"}}, {"b", {"c"}}, {"c", {"b"}}}, "a", path, done).size() == 2);
}

// The Makefile compiles a source once for every build unless it names one of these headers, or one of
// tests/emulator, itself.
TEST_CASE("layers: no other header brings in what depends on the build") {
    const Names of_builds{"runtime/device/built_backends.h",
                          "runtime/device/launch.h",
                          "runtime/ops/tape_launch.h",
                          "runtime/ops/gradients.h",
                          "tests/thread_orders.h",
                          "tests/unit/models/device_model.h",
                          "tests/unit/kernels/kernel_check.h",
                          "tests/unit/kernels/bf16_check.h",
                          "tests/unit/kernels/linear/linear_layer.h"};
    const auto is_of_builds = [&](const std::string& file) {
        return of_builds.contains(file) || file.starts_with("tests/emulator/");
    };
    Includes sources = includes_of(folders);
    sources.merge(includes_of({"tests"}));
    for (const auto& [source, included] : sources)
        for (const std::string& file : included)
            if (source.ends_with(".h") && !is_of_builds(source))
                CHECK_MESSAGE(!is_of_builds(file), source, " includes ", file);
}
