#include "train/run_lock.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <string>

#include "runtime/base/error.h"
#include "runtime/files/file_lock.h"

namespace {

std::string this_process() {
    std::array<char, 256> host{};
    ::gethostname(host.data(), host.size() - 1);
    return fmt::format("process {} on {}", ::getpid(), host.data());
}

std::string first_line(const std::filesystem::path& path) {
    std::ifstream file(path);
    std::string line;
    std::getline(file, line);
    return line;
}

}  // namespace

RunLock::RunLock(const std::filesystem::path& folder) : folder_(folder), file_(folder / ".lock") {
    descriptor_ = open_locked(file_);
    if (descriptor_ < 0 && errno == EWOULDBLOCK) {
        const std::string holder = first_line(file_);
        fail("{}: another run is writing there{}", folder_.string(),
             holder.empty() ? "" : " (" + holder + ")");
    }
    if (descriptor_ < 0) fail("{}: cannot be written: {}", folder_.string(), std::strerror(errno));
    folder_descriptor_ = ::open(folder_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    // The holder, for the message to refused runs; errors of a full disk are ignored here and detected later.
    const std::string holder = this_process() + "\n";
    [[maybe_unused]] const bool told =
        ::ftruncate(descriptor_, 0) == 0 &&
        ::pwrite(descriptor_, holder.data(), holder.size(), 0) == static_cast<ssize_t>(holder.size());
}

RunLock::~RunLock() {
    if (is_open_as(descriptor_, file_)) ::unlink(file_.c_str());
    ::close(descriptor_);
    ::close(folder_descriptor_);
}

bool RunLock::has_folder() const {
    return is_open_as(folder_descriptor_, folder_);
}
