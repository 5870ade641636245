#include "runtime/files/atomic_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <utility>
#include <vector>

#include "runtime/base/error.h"
#include "runtime/files/file_lock.h"

namespace {

[[noreturn]] void fail_to_write(const std::filesystem::path& path) {
    fail("{}: cannot be written: {}", path.string(), std::strerror(errno));
}

// As far as folders can be synced, which some file systems refuse.
void sync_folder_of(const std::filesystem::path& path) {
    const auto folder = path.parent_path();
    const int descriptor = ::open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (descriptor < 0) return;
    ::fsync(descriptor);
    ::close(descriptor);
}

// A copy of the file `target`, named as a link beside it would name it.
void replace_by_copy(const std::filesystem::path& link, const std::filesystem::path& target) {
    const auto original = link.parent_path() / target;
    std::ifstream from(original, std::ios::binary);
    AtomicFile copy(link);
    std::vector<char> buffer(std::size_t{1} << 20);
    while (from.read(buffer.data(), static_cast<std::streamsize>(buffer.size())) || from.gcount() > 0)
        copy.write(buffer.data(), static_cast<std::size_t>(from.gcount()));
    if (!from.eof()) fail("{}: cannot be read: {}", original.string(), std::strerror(errno));
    copy.commit();
}

// 0, or the errno of the failure.
int make_with_parents(const std::filesystem::path& path) {
    std::error_code ignored;
    if (std::filesystem::is_directory(path, ignored)) return 0;
    const auto parent = path.parent_path();
    const int reason = parent.empty() || parent == path ? 0 : make_with_parents(parent);
    if (reason != 0) return reason == EEXIST ? ENOTDIR : reason;
    if (::mkdir(path.c_str(), 0777) == 0) {
        sync_folder_of(path);
        return 0;
    }
    const int error = errno;
    // A path that ends in a slash is there by now; another process may have been faster.
    return std::filesystem::is_directory(path, ignored) ? 0 : error;
}

}  // namespace

bool write_all(int descriptor, std::string_view bytes, std::optional<std::uint64_t> offset) {
    while (!bytes.empty()) {
        const ssize_t written =
            offset ? ::pwrite(descriptor, bytes.data(), bytes.size(), static_cast<off_t>(*offset))
                   : ::write(descriptor, bytes.data(), bytes.size());
        if (written < 0 && errno == EINTR) continue;
        if (written < 0) return false;
        bytes.remove_prefix(static_cast<std::size_t>(written));
        if (offset) *offset += static_cast<std::uint64_t>(written);
    }
    return true;
}

AtomicFile::AtomicFile(std::filesystem::path destination) : destination_(std::move(destination)) {
    struct stat there {};
    if (::stat(destination_.c_str(), &there) == 0 && !S_ISREG(there.st_mode))
        fail("{}: is no regular file, and would be replaced by one", destination_.string());
    partial_ = destination_;
    partial_ += partial_suffix;
    descriptor_ = open_locked(partial_);
    if (descriptor_ < 0 && errno == EWOULDBLOCK)
        fail("{}: another process is writing this file", destination_.string());
    if (descriptor_ < 0) fail_to_write(destination_);
    if (::ftruncate(descriptor_, 0) != 0) {
        ::close(descriptor_);
        fail_to_write(destination_);
    }
}

AtomicFile::~AtomicFile() {
    if (descriptor_ >= 0) {
        ::unlink(partial_.c_str());
        ::close(descriptor_);
    }
}

void AtomicFile::write(const void* bytes, std::size_t size) {
    if (!write_all(descriptor_, {static_cast<const char*>(bytes), size})) fail_to_write(destination_);
}

void AtomicFile::write_at(std::uint64_t offset, const void* bytes, std::size_t size) {
    if (!write_all(descriptor_, {static_cast<const char*>(bytes), size}, offset)) fail_to_write(destination_);
}

void AtomicFile::commit() {
    if (::fsync(descriptor_) != 0) fail_to_write(destination_);
    if (::rename(partial_.c_str(), destination_.c_str()) != 0)
        fail("{}: cannot be replaced: {}", destination_.string(), std::strerror(errno));
    ::close(descriptor_);
    descriptor_ = -1;
    sync_folder_of(destination_);
}

void require_writable(const std::filesystem::path& destination) {
    const AtomicFile never_committed(destination);
}

void replace_link(const std::filesystem::path& link, const std::filesystem::path& target) {
    auto partial = link;
    partial += partial_suffix;
    ::unlink(partial.c_str());
    const bool made = ::symlink(target.c_str(), partial.c_str()) == 0;
    // How file systems without symbolic links answer: FAT and exFAT, network shares, others.
    if (!made && (errno == EPERM || errno == EOPNOTSUPP || errno == ENOSYS))
        return replace_by_copy(link, target);
    if (!made || ::rename(partial.c_str(), link.c_str()) != 0) {
        const int reason = errno;
        ::unlink(partial.c_str());
        fail("{}: cannot be made a link to {}: {}", link.string(), target.string(), std::strerror(reason));
    }
    sync_folder_of(link);
}

void append_to_file(const std::filesystem::path& path, std::string_view text) {
    const int descriptor = ::open(path.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC);
    if (descriptor < 0) fail_to_write(path);
    struct stat before {};
    const bool known = ::fstat(descriptor, &before) == 0, written = known && write_all(descriptor, text);
    const int reason = errno;
    if (known && !written) [[maybe_unused]]
        const int cut = ::ftruncate(descriptor, before.st_size);
    ::close(descriptor);
    errno = reason;
    if (!written) fail_to_write(path);
}

void sync_file(const std::filesystem::path& path) {
    const int descriptor = ::open(path.c_str(), O_WRONLY | O_CLOEXEC);
    if (descriptor < 0) fail_to_write(path);
    const bool synced = ::fsync(descriptor) == 0;
    const int reason = errno;
    ::close(descriptor);
    errno = reason;
    if (!synced) fail_to_write(path);
}

void make_folder(const std::filesystem::path& path) {
    const int reason = make_with_parents(path);
    if (reason != 0)
        fail("{}: cannot make the folder: {}", path.string(),
             reason == EEXIST ? "a file of this name is there" : std::strerror(reason));
}
