// The lines of --requests, from a file or from standard input as they come.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

class RequestLines {
  public:
    // "-": standard input. Throws Error if the file cannot be read.
    explicit RequestLines(const std::string& path);
    ~RequestLines();
    RequestLines(const RequestLines&) = delete;
    RequestLines& operator=(const RequestLines&) = delete;

    // The next line that is not blank, without its end; waits for it. None at the end of the input, or once
    // interrupted(). Of a line longer than longest_request the first longest_request + 1 bytes. Throws Error.
    std::optional<std::string> next();
    // Of that line, from 1.
    std::int64_t number() const { return number_; }

  private:
    // False at the end of the input, or once interrupted().
    bool fill();

    std::string path_;
    int descriptor_;
    std::string read_;       // from the input
    std::size_t begin_ = 0;  // of what no line has taken yet
    std::int64_t number_ = 0;
};
