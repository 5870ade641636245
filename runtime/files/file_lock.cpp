#include "runtime/files/file_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

int open_locked(const std::filesystem::path& path) {
    // Again if the last holder removed or renamed the file after it was opened here.
    for (int attempt = 0; attempt < 100; ++attempt) {
        const int descriptor = ::open(path.c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0666);
        if (descriptor < 0) return -1;
        const bool locked = ::flock(descriptor, LOCK_EX | LOCK_NB) == 0;
        if (!locked && errno != EWOULDBLOCK) return descriptor;
        if (locked && is_open_as(descriptor, path)) return descriptor;
        ::close(descriptor);
        if (!locked) break;
    }
    errno = EWOULDBLOCK;
    return -1;
}

bool is_open_as(int descriptor, const std::filesystem::path& path) {
    struct stat opened {
    }, named{};
    return ::fstat(descriptor, &opened) == 0 && ::stat(path.c_str(), &named) == 0 &&
           opened.st_dev == named.st_dev && opened.st_ino == named.st_ino;
}
