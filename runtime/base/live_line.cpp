#include "runtime/base/live_line.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>

namespace {

constexpr std::string_view clear_line = "\r\033[K";

void print_at_once(std::string_view text) {
    std::fwrite(text.data(), 1, text.size(), stderr);
    std::fflush(stderr);
}

}  // namespace

LiveLine::LiveLine() : terminal_(isatty(STDERR_FILENO) != 0) {}

void LiveLine::show(std::string_view text) {
    const auto now = std::chrono::steady_clock::now();
    if (!terminal_ || now - last_ < std::chrono::milliseconds(100)) return;
    last_ = now;
    shown_ = true;
    print_at_once(fmt::format("{}{}", clear_line, text));
}

void LiveLine::clear() {
    if (shown_) print_at_once(clear_line);
    shown_ = false;
}

std::string duration_text(double seconds) {
    const auto total = static_cast<long>(seconds + 0.5);
    if (total >= 3600) return fmt::format("{} h {:02} min", total / 3600, total / 60 % 60);
    if (total >= 60) return fmt::format("{} min {:02} s", total / 60, total % 60);
    return fmt::format("{} s", total);
}
