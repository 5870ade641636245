#include "runtime/files/text_file.h"

#include <cerrno>
#include <cstring>
#include <fstream>
#include <sstream>
#include <system_error>
#include <utility>

#include "runtime/base/error.h"
#include "runtime/files/file_kind.h"

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
    std::ostringstream content;
    content << file.rdbuf();
    if (file.bad()) fail_usage("{}: cannot be read", path.string());
    std::string text = std::move(content).str();
    if (const std::string_view encoding = wide_encoding(text); !encoding.empty())
        fail_usage("{}: {} text, expected UTF-8", path.string(), encoding);
    constexpr std::string_view byte_order_mark = "\xef\xbb\xbf";
    if (text.starts_with(byte_order_mark)) text.erase(0, byte_order_mark.size());
    return text;
}
