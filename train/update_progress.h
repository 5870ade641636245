// How far an update is that takes long: nothing within its first ten seconds, a line each minute after them.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

class UpdateProgress {
  public:
    using Clock = std::chrono::steady_clock;

    // Of a run of so many steps.
    explicit UpdateProgress(std::int64_t steps) : steps_(steps) {}

    // The update that ends step number `step`, counted from 1.
    void begin(std::int64_t step, Clock::time_point now);
    // What there is to say when `share` of it, from 0 to 1, is done; "" if it has not taken long yet.
    std::string line(double share, Clock::time_point now) const;
    // Whether it is time for a line that stays: after ten seconds, and a minute after each one.
    bool takes_line(Clock::time_point now);

  private:
    std::int64_t steps_, step_ = 0;
    Clock::time_point start_, next_line_;
};
