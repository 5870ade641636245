#include "runtime/atomic_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "runtime/error.h"

AtomicFile::AtomicFile(std::filesystem::path destination) : destination_(std::move(destination)) {
    partial_ = destination_;
    partial_ += ".partial";
    descriptor_ = ::open(partial_.c_str(), O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0666);
    if (descriptor_ < 0) fail("{}: cannot be written: {}", destination_.string(), std::strerror(errno));
}

AtomicFile::~AtomicFile() {
    if (descriptor_ >= 0) {
        ::close(descriptor_);
        ::unlink(partial_.c_str());
    }
}

void AtomicFile::write(const void* bytes, std::size_t size) {
    const char* next = static_cast<const char*>(bytes);
    while (size > 0) {
        const ssize_t written = ::write(descriptor_, next, size);
        if (written < 0 && errno == EINTR) continue;
        if (written < 0) fail("{}: cannot be written: {}", destination_.string(), std::strerror(errno));
        next += written;
        size -= static_cast<std::size_t>(written);
    }
}

void AtomicFile::write_at(std::uint64_t offset, const void* bytes, std::size_t size) {
    const char* next = static_cast<const char*>(bytes);
    while (size > 0) {
        const ssize_t written = ::pwrite(descriptor_, next, size, static_cast<off_t>(offset));
        if (written < 0 && errno == EINTR) continue;
        if (written < 0) fail("{}: cannot be written: {}", destination_.string(), std::strerror(errno));
        next += written;
        offset += static_cast<std::uint64_t>(written);
        size -= static_cast<std::size_t>(written);
    }
}

void AtomicFile::commit() {
    if (::fsync(descriptor_) != 0)
        fail("{}: cannot be written: {}", destination_.string(), std::strerror(errno));
    if (::rename(partial_.c_str(), destination_.c_str()) != 0)
        fail("{}: cannot be replaced: {}", destination_.string(), std::strerror(errno));
    ::close(descriptor_);
    descriptor_ = -1;
    auto folder = destination_.parent_path();
    const int folder_descriptor =
        ::open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder_descriptor >= 0) {
        ::fsync(folder_descriptor);
        ::close(folder_descriptor);
    }
}

void make_folder(const std::filesystem::path& path) {
    std::error_code error;
    std::filesystem::create_directories(path, error);
    if (!std::filesystem::is_directory(path))
        fail("{}: cannot make the folder: {}", path.string(),
             error ? error.message() : "a file of this name is there");
}
