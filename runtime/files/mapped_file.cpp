#include "runtime/files/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "runtime/base/error.h"

MappedFile::MappedFile(const std::filesystem::path& path) : path_(path) {
    // Not waiting for someone to write into a pipe.
    descriptor_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (descriptor_ < 0) fail("{}: cannot be opened: {}", path.string(), std::strerror(errno));
    struct stat status {};
    if (::fstat(descriptor_, &status) != 0 || !S_ISREG(status.st_mode)) {
        ::close(descriptor_);
        fail("{}: not a file", path.string());
    }
    size_ = static_cast<std::size_t>(status.st_size);
    void* mapped = size_ > 0 ? ::mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, descriptor_, 0) : nullptr;
    if (mapped == MAP_FAILED) {
        const int reason = errno;
        ::close(descriptor_);
        fail("{}: cannot be read: {}", path.string(), std::strerror(reason));
    }
    data_ = static_cast<const std::byte*>(mapped);
}

MappedFile::~MappedFile() {
    if (data_ != nullptr) ::munmap(const_cast<std::byte*>(data_), size_);
    ::close(descriptor_);
}

void MappedFile::check_length() const {
    struct stat status {};
    if (::fstat(descriptor_, &status) != 0)
        fail("{}: cannot be read: {}", path_.string(), std::strerror(errno));
    if (static_cast<std::size_t>(status.st_size) != size_)
        fail("{}: its length changed from {} to {} bytes while it was being read", path_.string(), size_,
             static_cast<std::size_t>(status.st_size));
}
