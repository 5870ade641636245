#include "runtime/text_file.h"

#include <fstream>
#include <sstream>

#include "runtime/error.h"

std::string read_text_file(const std::filesystem::path& path) {
    std::ifstream file(path);
    if (!file || std::filesystem::is_directory(path)) fail_usage("{}: cannot be opened", path.string());
    std::ostringstream text;
    text << file.rdbuf();
    if (file.bad()) fail_usage("{}: cannot be read", path.string());
    return text.str();
}
