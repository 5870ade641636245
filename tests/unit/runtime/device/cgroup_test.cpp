#include "runtime/device/cgroup.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <limits>
#include <string>

#include "tests/unit/temporary_folder.h"

namespace {

constexpr std::size_t no_limit = std::numeric_limits<std::size_t>::max();

void write(const std::filesystem::path& path, const std::string& text) {
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path) << text;
}

}  // namespace

TEST_CASE("control group: the tightest limit on the way to the root counts, without the cache of files") {
    const TemporaryFolder root;
    write(root / "memory.max", "max\n");
    write(root / "job/memory.max", "1000\n");
    write(root / "job/memory.current", "700\n");
    write(root / "job/memory.stat", "anon 400\ninactive_file 300\n");
    write(root / "job/step/memory.max", "900\n");
    write(root / "job/step/memory.current", "100\n");
    CHECK(control_group_headroom("0::/job/step\n", root.path()) == 600);
    CHECK(control_group_headroom("0::/job\n", root.path()) == 600);
    write(root / "job/step/memory.current", "500");
    CHECK(control_group_headroom("0::/job/step", root.path()) == 400);
    write(root / "job/step/memory.current", "5000");
    CHECK(control_group_headroom("0::/job/step", root.path()) == 0);
    CHECK(control_group_headroom("0::/\n", root.path()) == no_limit);
}

TEST_CASE("control group: version 1, and a container that sees its own group as the root") {
    const TemporaryFolder root;
    write(root / "memory/memory.limit_in_bytes", "2000\n");
    write(root / "memory/memory.usage_in_bytes", "1500\n");
    write(root / "memory/memory.stat", "inactive_file 7\ntotal_inactive_file 500\n");
    CHECK(control_group_headroom("5:cpu,cpuacct:/\n4:memory:/docker/1234\n", root.path()) == 1000);
    CHECK(control_group_headroom("5:cpu,cpuacct:/\n", root.path()) == no_limit);
}

TEST_CASE("control group: where there is none, or nothing to be read, there is no limit") {
    const TemporaryFolder root;
    for (const char* membership : {"", "\n", "rubbish", "0::", "0::/gone/from/here\n", "::::\n"})
        CHECK(control_group_headroom(membership, root.path()) == no_limit);
}

TEST_CASE("control group: this process's own, where the system mounts it") {
    std::ifstream file("/proc/self/cgroup");
    const std::string membership{std::istreambuf_iterator<char>(file), {}};
    const std::size_t expected = control_group_headroom(membership, "/sys/fs/cgroup"),
                      found = control_group_headroom();
    CHECK((found == no_limit) == (expected == no_limit));
    // Other processes of the group take and release memory between the two calls.
    CHECK(std::max(found, expected) - std::min(found, expected) < std::size_t{1} << 30);
}
