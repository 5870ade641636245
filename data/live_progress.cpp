#include "data/live_progress.h"

#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdio>

#include "runtime/error.h"

namespace {

volatile std::sig_atomic_t interrupted = 0;

}  // namespace

PackProgress show_progress(std::string what) {
    for (const int signal : {SIGINT, SIGTERM}) std::signal(signal, [](int) { interrupted = 1; });
    const bool terminal = isatty(STDERR_FILENO) != 0;
    auto shown = std::chrono::steady_clock::time_point{};
    return [=](std::int64_t done, std::int64_t total) mutable {
        if (interrupted != 0)
            fail("{}interrupted after {} of {} images, nothing written", terminal ? "\n" : "", done, total);
        const auto now = std::chrono::steady_clock::now();
        if (!terminal || (done < total && now - shown < std::chrono::milliseconds(100))) return;
        shown = now;
        fmt::print(stderr, "\r{} {} of {} images{}", what, done, total, done == total ? "\n" : "");
        std::fflush(stderr);
    };
}
