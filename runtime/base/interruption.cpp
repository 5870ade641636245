#include "runtime/base/interruption.h"

#include <csignal>
#include <initializer_list>

namespace {

volatile std::sig_atomic_t received = 0;

}  // namespace

void watch_interruption() {
    for (const int signal : {SIGINT, SIGTERM}) std::signal(signal, [](int) { received = 1; });
}

bool interrupted() {
    return received != 0;
}
