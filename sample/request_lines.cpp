#include "sample/request_lines.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "runtime/base/error.h"
#include "runtime/base/interruption.h"
#include "sample/request.h"

RequestLines::RequestLines(const std::string& path)
    : path_(path == "-" ? "standard input" : path),
      // Without blocking: a pipe may have no writer yet, and poll() waits for one as long as for a line.
      descriptor_(path == "-" ? STDIN_FILENO : ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)) {
    if (descriptor_ < 0) fail("--requests {}: {}", path, std::strerror(errno));
}

RequestLines::~RequestLines() {
    if (descriptor_ != STDIN_FILENO) ::close(descriptor_);
}

std::optional<std::string> RequestLines::next() {
    std::string line;
    while (!interrupted()) {
        const bool more = begin_ < read_.size() || fill();
        const std::size_t end = std::min(read_.find('\n', begin_), read_.size());
        const bool whole = end < read_.size() || (!more && !interrupted());
        line.append(read_, begin_, std::min(end - begin_, longest_request + 1 - line.size()));
        begin_ = std::min(end + 1, read_.size());
        if (!whole) continue;
        const bool blank =
            line.size() <= longest_request && line.find_first_not_of(" \t\r") == std::string::npos;
        if (blank && !more) break;
        ++number_;
        if (!blank) return line;
        line.clear();
    }
    return std::nullopt;
}

bool RequestLines::fill() {
    begin_ = 0;
    read_.resize(std::size_t{1} << 16);
    std::array<pollfd, 2> waiting{{{descriptor_, POLLIN, 0}, {interruption_descriptor(), POLLIN, 0}}};
    ssize_t bytes = 0;
    do {
        bytes = ::poll(waiting.data(), waiting.size(), -1);
        if (interrupted()) bytes = 0;
        if (bytes > 0) bytes = ::read(descriptor_, read_.data(), read_.size());
    } while (bytes < 0 && (errno == EINTR || errno == EAGAIN));
    const int error = errno;
    read_.resize(static_cast<std::size_t>(std::max<ssize_t>(bytes, 0)));
    if (bytes < 0) fail("{}: {}", path_, std::strerror(error));
    return bytes > 0;
}
