// TensorBoard's files of a run: events.out.tfevents.SECONDS.HOST, one for each time it was started, with what
// log.csv says and the sheets of samples. A run that continues writes a new one, as a file may still be open
// elsewhere and TensorBoard reads them in the order of their names.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>

#include "train/event_record.h"

class EventFile {
  public:
    // Continues after `step` updates: earlier files lose the events of later ones, since not every reader
    // heeds a session's start. The new file appears with its first event, or at once if anything was cut off.
    // Throws Error if a file cannot be read or cut.
    EventFile(std::filesystem::path folder, std::int64_t step);
    ~EventFile();
    EventFile(const EventFile&) = delete;
    EventFile& operator=(const EventFile&) = delete;

    // Each reaches the file before it returns. Throw Error if it cannot be written.
    void add_scalars(std::int64_t step, std::span<const Scalar> scalars);
    // A PNG file as it is. Throws Error if it is none.
    void add_image(std::int64_t step, const std::string& tag, const std::filesystem::path& png);

  private:
    void open();
    void append(const std::string& event);

    std::filesystem::path folder_, path_;
    std::int64_t step_;
    int descriptor_ = -1;
};
