#include "runtime/files/text_file.h"

#include <cerrno>
#include <cstring>
#include <fstream>
#include <sstream>
#include <system_error>

#include "runtime/base/error.h"

std::string read_text_file(const std::filesystem::path& path, std::uintmax_t most) {
    std::error_code error;
    const auto status = std::filesystem::status(path, error);
    if (!std::filesystem::exists(status))
        fail_usage("{}: cannot be opened: {}", path.string(), error.message());
    if (!std::filesystem::is_regular_file(status)) fail_usage("{}: not a file", path.string());
    std::ifstream file(path, std::ios::binary);
    if (!file) fail_usage("{}: cannot be opened: {}", path.string(), std::strerror(errno));
    const std::uintmax_t bytes = std::filesystem::file_size(path, error);
    if (bytes > most)
        fail_usage("{}: {} bytes long, expected a text of at most {}", path.string(), bytes, most);
    std::ostringstream text;
    text << file.rdbuf();
    if (file.bad()) fail_usage("{}: cannot be read", path.string());
    return text.str();
}
