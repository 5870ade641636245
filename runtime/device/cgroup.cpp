#include "runtime/device/cgroup.h"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <fstream>
#include <iterator>
#include <limits>
#include <string>

namespace {

namespace fs = std::filesystem;

constexpr std::size_t no_limit = std::numeric_limits<std::size_t>::max();

// The files of a group's memory, by version.
struct MemoryFiles {
    const char *limit, *usage, *cache;  // cache: a key of memory.stat
};
constexpr MemoryFiles version_1{"memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"},
    version_2{"memory.max", "memory.current", "inactive_file"};

std::string text_of(const fs::path& path) {
    std::ifstream file(path);
    return {std::istreambuf_iterator<char>(file), {}};
}

// The number that a text starts with, `otherwise` if it starts with none ("max", a missing file).
std::size_t leading_number(std::string_view text, std::size_t otherwise) {
    std::size_t number = otherwise;
    std::from_chars(text.data(), text.data() + text.size(), number);
    return number;
}

std::size_t stat_of(const fs::path& group, std::string_view wanted) {
    std::ifstream file(group / "memory.stat");
    std::string key;
    std::size_t value = 0;
    while (file >> key >> value)
        if (key == wanted) return value;
    return 0;
}

std::size_t headroom_of(const fs::path& group, const MemoryFiles& files) {
    const std::size_t limit = leading_number(text_of(group / files.limit), no_limit);
    if (limit == no_limit) return no_limit;
    const std::size_t usage = leading_number(text_of(group / files.usage), 0),
                      used = usage - std::min(usage, stat_of(group, files.cache));
    return limit - std::min(limit, used);
}

// The least of the group's and its ancestors'. In a container the path may be the host's and not exist: the
// container's own group is then `root`.
std::size_t headroom_up_from(const fs::path& root, std::string_view path, const MemoryFiles& files) {
    std::size_t least = headroom_of(root, files);
    fs::path group = root;
    for (const fs::path& part : fs::path(path).relative_path()) {
        group /= part;
        least = std::min(least, headroom_of(group, files));
    }
    return least;
}

}  // namespace

std::size_t control_group_headroom(std::string_view membership, const fs::path& root) {
    std::size_t least = no_limit;
    while (!membership.empty()) {  // lines HIERARCHY:CONTROLLERS:PATH
        const std::string_view line = membership.substr(0, membership.find('\n'));
        membership.remove_prefix(std::min(line.size() + 1, membership.size()));
        const std::size_t first = line.find(':'), second = line.find(':', first + 1);
        if (first == std::string_view::npos || second == std::string_view::npos) continue;
        const std::string_view controllers = line.substr(first + 1, second - first - 1),
                               path = line.substr(second + 1);
        if (controllers.empty()) least = std::min(least, headroom_up_from(root, path, version_2));
        if (controllers == "memory")
            least = std::min(least, headroom_up_from(root / "memory", path, version_1));
    }
    return least;
}

std::size_t control_group_headroom() {
    return control_group_headroom(text_of("/proc/self/cgroup"), "/sys/fs/cgroup");
}
