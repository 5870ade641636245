#include "data/records/folder_files.h"

#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cerrno>
#include <cstring>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>

#include "data/images/image_file.h"
#include "runtime/base/error.h"

namespace {

namespace fs = std::filesystem;

bool is_ignored(const fs::path& path) {
    return path.filename().native().starts_with('.') || path.filename() == "__MACOSX";
}

bool is_named_as_picture(const fs::path& path) {
    constexpr std::array<std::string_view, 12> endings{".png", ".jpg",  ".jpeg", ".webp", ".gif",  ".bmp",
                                                       ".tif", ".tiff", ".ppm",  ".pgm",  ".heic", ".avif"};
    std::string ending = path.extension().string();
    std::ranges::transform(ending, ending.begin(), [](unsigned char c) { return std::tolower(c); });
    return std::ranges::find(endings, ending) != endings.end();
}

class Walk {
  public:
    void pass_over(const fs::path& folder) { entered_.insert(identity(folder)); }
    void enter(const fs::path& folder) {
        if (!entered_.insert(identity(folder)).second) return;
        for (const fs::path& entry : sorted_entries(folder)) {
            if (is_folder(entry))
                enter(entry);
            else
                by_folder_[folder.native()].push_back(entry);
        }
    }
    std::vector<fs::path> files() const {
        std::vector<fs::path> files;
        for (const auto& [folder, own] : by_folder_) files.insert(files.end(), own.begin(), own.end());
        return files;
    }

  private:
    using Identity = std::pair<dev_t, ino_t>;

    static Identity identity(const fs::path& folder) {
        struct stat status {};
        if (::stat(folder.c_str(), &status) != 0)
            fail("{}: cannot be listed: {}", folder.string(), std::strerror(errno));
        return {status.st_dev, status.st_ino};
    }

    std::set<Identity> entered_;
    std::map<std::string, std::vector<fs::path>> by_folder_;
};

}  // namespace

bool is_folder(const fs::path& path) {
    std::error_code unreachable;
    return fs::is_directory(path, unreachable);
}

std::vector<fs::path> sorted_entries(const fs::path& folder) {
    std::vector<fs::path> entries;
    std::error_code error;
    for (fs::directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error))
        if (!is_ignored(entry->path())) entries.push_back(entry->path());
    if (error) fail("{}: cannot be listed: {}", folder.string(), error.message());
    std::sort(entries.begin(), entries.end(),
              [](const fs::path& a, const fs::path& b) { return a.native() < b.native(); });
    return entries;
}

std::vector<fs::path> files_below(const fs::path& folder, const fs::path& above) {
    Walk walk;
    if (!above.empty()) walk.pass_over(above);
    walk.enter(folder);
    return walk.files();
}

bool is_picture(const fs::path& file) {
    return is_named_as_picture(file) || starts_like_image(file);
}
