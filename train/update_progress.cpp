#include "train/update_progress.h"

#include <fmt/format.h>

#include "runtime/base/live_line.h"

namespace {

constexpr std::chrono::seconds silent{10}, between_lines{60};

}  // namespace

void UpdateProgress::begin(std::int64_t step, Clock::time_point now) {
    step_ = step;
    start_ = now;
    next_line_ = now + silent;
}

std::string UpdateProgress::line(double share, Clock::time_point now) const {
    if (now - start_ < silent) return "";
    const std::chrono::duration<double> spent = now - start_;
    std::string text = fmt::format("step {}/{}: {:.0f} % of the update after {}", step_, steps_, 100 * share,
                                   duration_text(spent.count()));
    if (share > 0) text += fmt::format(", {} left", duration_text(spent.count() * (1 / share - 1)));
    return text;
}

bool UpdateProgress::takes_line(Clock::time_point now) {
    if (now < next_line_) return false;
    next_line_ = now + between_lines;
    return true;
}
