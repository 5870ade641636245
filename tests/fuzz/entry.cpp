#include "tests/fuzz/entry.h"

#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

#include "runtime/base/one_line.h"

void parse_rubbish(const std::function<void()>& parse) {
    try {
        parse();
    } catch (const Error& error) {
        // The printed message is not empty, and is one line without control characters.
        const std::string line = one_line(error.what());
        require(!line.empty() && line.size() <= 2048 && line.find_first_of("\n\r\x1b") == std::string::npos);
    }
}

MemoryFile::MemoryFile(std::span<const std::uint8_t> bytes)
    : descriptor_(::memfd_create("rubbish", MFD_CLOEXEC)) {
    if (descriptor_ < 0 ||
        ::write(descriptor_, bytes.data(), bytes.size()) != static_cast<ssize_t>(bytes.size()))
        throw std::system_error(errno, std::generic_category(), "memfd_create");
    path_ = fmt::format("/proc/self/fd/{}", descriptor_);
}

MemoryFile::~MemoryFile() {
    ::close(descriptor_);
}
