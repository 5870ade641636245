#include "train/stop_signals.h"

#include <pthread.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <thread>

#include "train/progress.h"

namespace {

std::atomic<bool> finishes_step{false}, stop_requested{false};

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

void wait_for_signals() {
    const sigset_t set = stop_set();
    for (int number = 0; sigwait(&set, &number) == 0;) {
        if (finishes_step) {
            if (!stop_requested.exchange(true))
                print_text(::isatty(STDOUT_FILENO) != 0 ? "\nfinishing the step, then saving\n"
                                                        : "finishing the step, then saving\n");
            continue;
        }
        pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
        std::raise(number);
    }
}

}  // namespace

void stop_signals::receive() {
    std::signal(SIGPIPE, SIG_IGN);
    const sigset_t set = stop_set();
    pthread_sigmask(SIG_BLOCK, &set, nullptr);
    std::thread(wait_for_signals).detach();
}

void stop_signals::finish_step_first() {
    finishes_step = true;
}

bool stop_signals::requested() {
    return stop_requested;
}
