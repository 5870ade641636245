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
