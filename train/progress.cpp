#include "train/progress.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>

#include "runtime/base/live_line.h"

void print_text(std::string_view text) {
    std::fwrite(text.data(), 1, text.size(), stdout);
    std::fflush(stdout);
}

Progress::Progress(std::int64_t steps_done, std::int64_t steps, bool live)
    : terminal_(live && isatty(STDOUT_FILENO) != 0),
      first_step_(steps_done),
      steps_(steps),
      update_(steps),
      start_(std::chrono::steady_clock::now()) {}

Progress::~Progress() {
    if (live_) print_text("\n");
}

void Progress::show(std::int64_t step, const std::string& line, bool keep) {
    if (!terminal_ && !keep) return;
    const std::chrono::duration<double> spent = std::chrono::steady_clock::now() - start_ - paused_;
    const double left =
        spent.count() / static_cast<double>(step - first_step_) * static_cast<double>(steps_ - step);
    print_text(fmt::format("{}{}  {} left{}", terminal_ ? "\r\033[K" : "", line, duration_text(left),
                           keep ? "\n" : ""));
    live_ = !keep;
}

void Progress::begin_update(std::int64_t step) {
    update_.begin(step, std::chrono::steady_clock::now());
}

void Progress::show_update(double share) {
    constexpr std::chrono::milliseconds between_shown{100};
    const auto now = std::chrono::steady_clock::now();
    const std::string line = update_.line(share, now);
    if (line.empty()) return;
    if (!terminal_) {
        if (update_.takes_line(now)) print_text(line + "\n");
        return;
    }
    if (now - shown_at_ < between_shown) return;
    shown_at_ = now;
    print_text("\r\033[K" + line);
    live_ = true;
}

void Progress::say(const std::string& line) {
    print_text(fmt::format("{}{}\n", live_ ? "\r\033[K" : "", line));
    live_ = false;
}

void Progress::pause() {
    paused_at_ = std::chrono::steady_clock::now();
}

void Progress::go_on() {
    paused_ += std::chrono::steady_clock::now() - paused_at_;
}
