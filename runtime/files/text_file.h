// Text files, read whole.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

// The text of a file without the byte order mark that some editors put before UTF-8. Throws UsageError naming
// the file if it cannot be opened or read, is no regular file, longer than `most` bytes (by default 16 MiB) or
// UTF-16 or UTF-32: its name came from the command line.
std::string read_text_file(const std::filesystem::path& path, std::uintmax_t most = 1 << 24);
