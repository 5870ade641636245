#include "train/stop_signals.h"

#include <pthread.h>

#include <atomic>
#include <csignal>
#include <thread>

namespace {

std::atomic<bool> finishes_step{false}, stop_requested{false};

sigset_t stop_set() {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGUSR1);
    return set;
}

void wait_for_signals() {
    const sigset_t set = stop_set();
    for (int number = 0; sigwait(&set, &number) == 0;) {
        if (finishes_step) {
            stop_requested = true;
            continue;
        }
        pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
        std::raise(number);
    }
}

}  // namespace

void stop_signals::receive() {
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
