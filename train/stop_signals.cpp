#include "train/stop_signals.h"

#include <poll.h>
#include <pthread.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <string>
#include <string_view>
#include <thread>

namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::milliseconds same_request{100};

std::atomic<bool> finishes_step{false}, stop_requested{false};
pthread_t waiting_thread;

bool is_ignored(int number) {
    struct sigaction action {};
    return sigaction(number, nullptr, &action) == 0 && action.sa_handler == SIG_IGN;
}

sigset_t stop_set() {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGUSR1);
    if (!is_ignored(SIGHUP)) sigaddset(&set, SIGHUP);
    return set;
}

// To stdout, unless that would have to wait: for a reader that has stopped, or, through stdio, for the thread
// that waits for it.
void say(std::string_view text) {
    pollfd output{STDOUT_FILENO, POLLOUT, 0};
    if (::poll(&output, 1, 0) != 1 || (output.revents & POLLOUT) == 0) return;
    const std::string line = (::isatty(STDOUT_FILENO) != 0 ? "\n" : "") + std::string(text) + "\n";
    [[maybe_unused]] const ssize_t written = ::write(STDOUT_FILENO, line.data(), line.size());
}

void wait_for_signals() {
    const sigset_t set = stop_set();
    Clock::time_point requested_at;
    for (int number = 0; sigwait(&set, &number) == 0;) {
        if (finishes_step && !stop_requested.exchange(true)) {
            requested_at = Clock::now();
            say("finishing the step, then saving; a second signal ends the run at once");
            continue;
        }
        if (stop_requested && (number == SIGHUP || Clock::now() - requested_at < same_request)) continue;
        if (stop_requested)
            say("ended at once, nothing saved; the same command continues from the newest checkpoint");
        std::signal(number, SIG_DFL);  // a shell's background jobs are started with SIGINT ignored
        pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
        std::raise(number);
    }
}

}  // namespace

void stop_signals::receive() {
    std::signal(SIGPIPE, SIG_IGN);
    const sigset_t set = stop_set();
    pthread_sigmask(SIG_BLOCK, &set, nullptr);
    std::thread waiting(wait_for_signals);
    waiting_thread = waiting.native_handle();
    waiting.detach();
    struct sigaction pass_on {};
    pass_on.sa_handler = [](int number) { pthread_kill(waiting_thread, number); };
    pass_on.sa_mask = set;
    pass_on.sa_flags = SA_RESTART;
    for (const int number : {SIGINT, SIGTERM, SIGUSR1, SIGHUP})
        if (sigismember(&set, number) == 1) sigaction(number, &pass_on, nullptr);
}

void stop_signals::finish_step_first() {
    finishes_step = true;
}

bool stop_signals::requested() {
    return stop_requested;
}
