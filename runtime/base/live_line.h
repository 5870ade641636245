// Progress display of a long job on a terminal.
#pragma once

#include <chrono>
#include <string>
#include <string_view>

// One line on stderr that is overwritten as the job proceeds; no output if stderr is no terminal.
class LiveLine {
  public:
    LiveLine();
    ~LiveLine() { clear(); }
    LiveLine(const LiveLine&) = delete;
    LiveLine& operator=(const LiveLine&) = delete;

    // At most ten times a second; further calls are ignored.
    void show(std::string_view text);
    // Clears the line, for the job's final output.
    void clear();

  private:
    bool terminal_, shown_ = false;
    std::chrono::steady_clock::time_point last_{};
};

// "2 h 05 min", "3 min 20 s", "7 s".
std::string duration_text(double seconds);
