// The limit on memory that a container or a batch job puts on its processes: a Linux control group's, of
// version 1 or 2.
#pragma once

#include <cstddef>
#include <filesystem>
#include <string_view>

// Bytes that the process can still allocate under the limits of its control group and its ancestors; the
// largest number if none has a limit. `membership` is the text of /proc/self/cgroup, `root` the mount point.
// Inactive file cache counts as free, as in MemAvailable.
std::size_t control_group_headroom(std::string_view membership, const std::filesystem::path& root);

// The same for this process.
std::size_t control_group_headroom();
