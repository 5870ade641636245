// Progress output of a run: one live line on a terminal, plain lines when piped.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "train/update_progress.h"

// To stdout, unbuffered. Write errors are ignored: a run continues when its terminal or pipe is closed or the
// disk of a redirected output is full.
void print_text(std::string_view text);

class Progress {
  public:
    // `live`: shows a live line if stdout is a terminal (under a launcher of ranks it looks like one even if
    // the launcher's is not).
    Progress(std::int64_t steps_done, std::int64_t steps, bool live = true);

    // Ends the live line, so that an error starts on a new line.
    ~Progress();

    // After each step; the remaining time is appended to `line`. Shown live on a terminal, and as a permanent
    // line if `keep` (piped: only then).
    void show(std::int64_t step, const std::string& line, bool keep);
    // The update that ends `step` begins; while it takes longer than ten seconds, show_update shows how much
    // of it is done, from 0 to 1.
    void begin_update(std::int64_t step);
    void show_update(double share);
    // A permanent line.
    void say(const std::string& line);
    // Time spent on something else (an evaluation) does not count for the time left.
    void pause();
    void go_on();

  private:
    bool terminal_, live_ = false;
    std::int64_t first_step_, steps_;
    UpdateProgress update_;
    std::chrono::steady_clock::time_point start_, paused_at_, shown_at_;
    std::chrono::steady_clock::duration paused_{};
};
