// A child process: started with arguments, monitored, signalled; its exit code and output.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

struct Outcome {
    int exit_code = 0;  // of a program that a signal ended: minus the signal's number
    bool timed_out = false;
    std::string output, errors;  // stdout and stderr
};

class Command {
  public:
    static constexpr std::chrono::seconds patience{120};  // far longer than any run here

    // Starts the program, its output going to nameless temporary files, so that it never waits for a reader,
    // and no signal ignored, as from a terminal.
    // Throws std::system_error if that fails.
    Command(const std::filesystem::path& program, const std::vector<std::string>& arguments);
    // Kills the program if it still runs.
    ~Command();
    Command(const Command&) = delete;
    Command& operator=(const Command&) = delete;

    pid_t process() const { return process_; }
    bool runs() { return !ended(); }
    void send(int signal);
    // False if the program ended or the time passed without stdout containing `text`.
    bool wait_for_output(std::string_view text, std::chrono::seconds timeout = patience);
    // Waits for the end; kills a program that takes longer.
    Outcome finish(std::chrono::seconds timeout = patience);

  private:
    using File = std::unique_ptr<std::FILE, int (*)(std::FILE*)>;

    // Takes the exit status if the program has ended.
    bool ended();

    File output_, errors_;
    pid_t process_ = 0;
    bool running_ = false;
    int status_ = 0;
};

// Processes that `parent` has started and that run, by number.
std::vector<pid_t> children_of(pid_t parent);
