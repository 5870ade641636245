// The limit on memory that a container or a batch job puts on its processes: a Linux control group's, of
// version 1 or 2.
#pragma once

#include <cstddef>
#include <filesystem>
#include <string_view>

// Bytes that the process may still take under its control group and those around it; the largest number where
// none of them has a limit. `membership` is the text of /proc/self/cgroup, `root` where the groups are mounted.
// What is only cache of files counts as free, as it does in MemAvailable.
std::size_t control_group_headroom(std::string_view membership, const std::filesystem::path& root);

// The same of this process.
std::size_t control_group_headroom();
