#include "runtime/base/interruption.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <initializer_list>

#include "runtime/base/error.h"

namespace {

volatile std::sig_atomic_t received = 0;

// A pipe into which the handler writes: whichever thread a signal reaches, and whenever, poll() sees it.
std::array<int, 2> ends{-1, -1};

void receive(int) {
    const int before = errno;
    received = 1;
    [[maybe_unused]] const auto written = ::write(ends[1], "", 1);
    errno = before;
}

}  // namespace

void watch_interruption() {
    if (ends[0] < 0 && ::pipe2(ends.data(), O_CLOEXEC | O_NONBLOCK) != 0)
        fail("a pipe for signals: {}", std::strerror(errno));
    for (const int signal : {SIGINT, SIGTERM}) std::signal(signal, receive);
}

bool interrupted() {
    return received != 0;
}

int interruption_descriptor() {
    return ends[0];
}
