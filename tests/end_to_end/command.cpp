#include "tests/end_to_end/command.h"

#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <fstream>
#include <sstream>
#include <system_error>
#include <thread>

namespace {

constexpr std::chrono::milliseconds pause_between_looks{2};

// Reads the output so far without moving the file position, which is shared with the program.
std::string text_of(std::FILE* file) {
    struct stat status {};
    ::fstat(::fileno(file), &status);
    std::string text(static_cast<std::size_t>(status.st_size), '\0');
    const ssize_t size = ::pread(::fileno(file), text.data(), text.size(), 0);
    text.resize(size > 0 ? static_cast<std::size_t>(size) : 0);
    return text;
}

}  // namespace

Command::Command(const std::filesystem::path& program, const std::vector<std::string>& arguments)
    : output_(std::tmpfile(), &std::fclose), errors_(std::tmpfile(), &std::fclose) {
    if (!output_ || !errors_) throw std::system_error(errno, std::generic_category(), "temporary file");
    std::vector<std::string> words{program.string()};
    words.insert(words.end(), arguments.begin(), arguments.end());
    std::vector<char*> pointers;
    for (std::string& word : words) pointers.push_back(word.data());
    pointers.push_back(nullptr);

    posix_spawn_file_actions_t actions;
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawn_file_actions_adddup2(&actions, ::fileno(output_.get()), STDOUT_FILENO);
    ::posix_spawn_file_actions_adddup2(&actions, ::fileno(errors_.get()), STDERR_FILENO);
    posix_spawnattr_t attributes;
    ::posix_spawnattr_init(&attributes);
    sigset_t all;
    sigfillset(&all);
    ::posix_spawnattr_setsigdefault(&attributes, &all);
    ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF);
    const int error =
        ::posix_spawn(&process_, program.c_str(), &actions, &attributes, pointers.data(), environ);
    ::posix_spawnattr_destroy(&attributes);
    ::posix_spawn_file_actions_destroy(&actions);
    if (error != 0) throw std::system_error(error, std::generic_category(), program.string());
    running_ = true;
}

Command::~Command() {
    if (ended()) return;
    ::kill(process_, SIGKILL);
    ::waitpid(process_, &status_, 0);
}

bool Command::ended() {
    if (running_ && ::waitpid(process_, &status_, WNOHANG) == process_) running_ = false;
    return !running_;
}

void Command::send(int signal) {
    if (!ended()) ::kill(process_, signal);
}

bool Command::wait_for_output(std::string_view text, std::chrono::seconds timeout) {
    const auto deadline = std::chrono::steady_clock::now() + timeout;
    while (text_of(output_.get()).find(text) == std::string::npos) {
        if (ended() || std::chrono::steady_clock::now() > deadline) return false;
        std::this_thread::sleep_for(pause_between_looks);
    }
    return true;
}

Outcome Command::finish(std::chrono::seconds timeout) {
    const auto deadline = std::chrono::steady_clock::now() + timeout;
    Outcome outcome;
    while (!ended()) {
        if (std::chrono::steady_clock::now() > deadline && !outcome.timed_out) {
            outcome.timed_out = true;
            send(SIGKILL);
        }
        std::this_thread::sleep_for(pause_between_looks);
    }
    outcome.exit_code = WIFSIGNALED(status_) ? -WTERMSIG(status_) : WEXITSTATUS(status_);
    outcome.output = text_of(output_.get());
    outcome.errors = text_of(errors_.get());
    return outcome;
}

std::vector<pid_t> children_of(pid_t parent) {
    std::vector<pid_t> children;
    for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
        std::ifstream file(entry.path() / "stat");
        std::string line;
        if (!std::getline(file, line)) continue;
        std::istringstream words(line.substr(line.rfind(')') + 1));
        std::string state;
        pid_t its_parent = 0;
        if (words >> state >> its_parent && its_parent == parent)
            children.push_back(std::stoi(entry.path().filename().string()));
    }
    std::ranges::sort(children);
    return children;
}
