// What a person watching a run sees: one live line on a terminal, plain lines when piped.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "train/update_progress.h"

// To stdout, at once. A run outlives its terminal, the reader of its pipe and the disk of a redirected
// output: what cannot be written is dropped.
void print_text(std::string_view text);

class Progress {
  public:
    // `live`: may show a live line, if stdout is a terminal (what a launcher of ranks makes it look like,
    // even when its own is none).
    Progress(std::int64_t steps_done, std::int64_t steps, bool live = true);

    // Ends the live line, so that an error stands on one of its own.
    ~Progress();

    // After each step; `line` says what there is to say about it, time left is added. Shown live on a
    // terminal, and as a line of its own when `keep` (piped: only then).
    void show(std::int64_t step, const std::string& line, bool keep);
    // The update that ends `step` begins; while it takes longer than ten seconds, show_update shows how much of
    // it is done, from 0 to 1.
    void begin_update(std::int64_t step);
    void show_update(double share);
    // A line of its own, whatever the live one was.
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
