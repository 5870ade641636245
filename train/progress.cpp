#include "train/progress.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>

namespace {

std::string duration_text(double seconds) {
    const auto total = static_cast<long>(seconds + 0.5);
    if (total >= 3600) return fmt::format("{} h {:02} min", total / 3600, total / 60 % 60);
    if (total >= 60) return fmt::format("{} min {:02} s", total / 60, total % 60);
    return fmt::format("{} s", total);
}

}  // namespace

void print_text(std::string_view text) {
    std::fwrite(text.data(), 1, text.size(), stdout);
    std::fflush(stdout);
}

Progress::Progress(std::int64_t steps_done, std::int64_t steps, bool live)
    : terminal_(live && isatty(STDOUT_FILENO) != 0),
      first_step_(steps_done),
      steps_(steps),
      start_(std::chrono::steady_clock::now()) {}

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
