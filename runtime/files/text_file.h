// Text files, read whole.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

// Throws UsageError naming the file if it cannot be opened or read, is no regular file or longer than `most`
// bytes, by default 16 MiB: its name came from the command line.
std::string read_text_file(const std::filesystem::path& path, std::uintmax_t most = 1 << 24);
