// An exclusive lock on a file. The kernel releases it when the process ends, however it ends, so that a
// killed process never blocks later ones.
#pragma once

#include <filesystem>

// Opens `path` for reading and writing, creating it if need be, and locks it. Returns the descriptor, or -1
// with errno set: EWOULDBLOCK if another process holds the lock. Where the file system has no locks, the file
// is opened without.
int open_locked(const std::filesystem::path& path);

// Whether `path` still names the file behind the descriptor: it may have been removed, renamed or replaced.
bool is_open_as(int descriptor, const std::filesystem::path& path);
