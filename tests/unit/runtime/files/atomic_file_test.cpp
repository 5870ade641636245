// Files that appear whole or not at all, and the lock that keeps two processes from writing one.
#include "runtime/files/atomic_file.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <string>
#include <thread>

#include "runtime/base/error.h"
#include "runtime/files/file_lock.h"
#include "tests/end_to_end/test_directory.h"
#include "tests/skip.h"

namespace {

namespace fs = std::filesystem;

struct Files {
    TestDirectory work;
    const fs::path file = work.at("file"), partial = work.at("file.partial");
};

template <class Act>
std::string error_of(Act act) {
    try {
        act();
    } catch (const Error& error) {
        return error.what();
    }
    return "";
}

// From now on the kernel answers this thread's symlink calls as exFAT does. False: this kernel cannot.
bool give_up_links() {
    std::array program{
        sock_filter BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
#ifdef SYS_symlink
        sock_filter BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_symlink, 1, 0),
#endif
        sock_filter BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_symlinkat, 0, 1),
        sock_filter BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        sock_filter BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const sock_fprog filter{static_cast<unsigned short>(program.size()), program.data()};
    return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0;
}

}  // namespace

TEST_CASE_FIXTURE(Files, "atomic file: what was there stays until the commit, and after none") {
    overwrite(file, "before");
    overwrite(partial, "left behind by a process that was killed");
    {
        AtomicFile written(file);
        written.write("lost");
        CHECK(read_file(file) == "before");
        CHECK(fs::exists(partial));
    }
    CHECK(read_file(file) == "before");
    CHECK_FALSE(fs::exists(partial));
    AtomicFile written(file);
    written.write("????r");
    written.write_at(0, "afte", 4);
    written.commit();
    CHECK(read_file(file) == "after");
    CHECK_FALSE(fs::exists(partial));
}

TEST_CASE_FIXTURE(Files, "atomic file: no two write the same one at once") {
    AtomicFile first(file);
    first.write("first");
    CHECK(error_of([&] { AtomicFile second(file); }) ==
          file.string() + ": another process is writing this file");
    first.commit();
    AtomicFile third(file);
    third.write("third");
    third.commit();
    CHECK(read_file(file) == "third");
}

TEST_CASE_FIXTURE(Files, "atomic file: what is no regular file is not replaced") {
    REQUIRE(::mkfifo(file.c_str(), 0600) == 0);
    const std::string reason = file.string() + ": is no regular file, and would be replaced by one";
    CHECK(error_of([&] { AtomicFile written(file); }) == reason);
    CHECK(fs::is_fifo(file));
    CHECK_FALSE(fs::exists(partial));
    CHECK(error_of([] { AtomicFile written("/dev/null"); }).starts_with("/dev/null: is no regular file"));
}

TEST_CASE_FIXTURE(Files, "file lock: held until it is closed, and only of the file that has the name") {
    const int held = open_locked(file);
    REQUIRE(held >= 0);
    CHECK(is_open_as(held, file));
    CHECK(open_locked(file) == -1);
    CHECK(errno == EWOULDBLOCK);
    fs::remove(file);
    CHECK_FALSE(is_open_as(held, file));
    const int other = open_locked(file);
    CHECK(other >= 0);
    CHECK_FALSE(is_open_as(held, file));
    ::close(held);
    CHECK(open_locked(file) == -1);
    ::close(other);
    const int free = open_locked(file);
    CHECK(free >= 0);
    ::close(free);
}

TEST_CASE_FIXTURE(Files, "atomic file: links are replaced, whatever stood there") {
    fs::create_symlink("older", work.at("file.partial"));  // left behind
    replace_link(file, "target");
    CHECK(fs::read_symlink(file) == "target");
    replace_link(file, "other");
    CHECK(fs::read_symlink(file) == "other");
    fs::remove(file);
    fs::create_directory(file);
    CHECK(error_of([&] {
              replace_link(file, "target");
          }).starts_with(file.string() + ": cannot be made a link to target: "));
    CHECK_FALSE(fs::is_symlink(partial));
}

TEST_CASE_FIXTURE(Files, "atomic file: where there are no links, a copy stands for one") {
    const std::string whole((std::size_t{3} << 20) + 5, 'x');
    overwrite(work.at("target"), whole);
    overwrite(work.at("other"), "other");
    fs::create_symlink("other", file);
    bool without = false;
    std::string missing;
    std::thread([&] {
        without = give_up_links();
        if (!without) return;
        replace_link(file, "target");
        missing = error_of([&] { replace_link(file, "nowhere"); });
    }).join();
    if (!without) return skip_test("system calls cannot be refused here");
    CHECK_FALSE(fs::is_symlink(file));
    CHECK(read_file(file) == whole);
    CHECK(read_file(work.at("other")) == "other");
    CHECK(missing == work.at("nowhere").string() + ": cannot be read: No such file or directory");
    CHECK_FALSE(fs::exists(partial));
    replace_link(file, "other");
    CHECK(fs::read_symlink(file) == "other");
}

TEST_CASE_FIXTURE(Files, "atomic file: text is appended to a file that is there, and to no other") {
    overwrite(file, "one\n");
    append_to_file(file, "two\n");
    sync_file(file);
    CHECK(read_file(file) == "one\ntwo\n");
    CHECK(error_of([&] { append_to_file(work.at("none"), "x"); }) ==
          work.path("none") + ": cannot be written: No such file or directory");
    CHECK(error_of([&] { append_to_file("/dev/full", "x"); }) ==
          "/dev/full: cannot be written: No space left on device");
    CHECK_FALSE(fs::exists(work.at("none")));
}

TEST_CASE_FIXTURE(Files, "make_folder: with its parents, unless something stands in the way") {
    make_folder(work.at("a/b/c"));
    make_folder(work.path("a/b/d/"));
    make_folder(work.at("a/b/c"));
    CHECK(fs::is_directory(work.at("a/b/c")));
    CHECK(fs::is_directory(work.at("a/b/d")));
    overwrite(file, "");
    CHECK(error_of([&] { make_folder(file); }) ==
          file.string() + ": cannot make the folder: a file of this name is there");
    CHECK(error_of([&] { make_folder(file / "be/low"); }) ==
          (file / "be/low").string() + ": cannot make the folder: Not a directory");
}
