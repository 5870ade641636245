// TensorBoard's files of a run: events.out.tfevents.SECONDS.HOST, one for each start, with the columns of
// log.csv and the sample sheets. A run that continues writes a new one, as a file may still be open elsewhere
// and TensorBoard reads them in the order of their names.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>

#include "train/event_record.h"

class EventFile {
  public:
    // Continues after `step` updates: events of later updates are removed from earlier files, since not every
    // reader honours a session's start. The new file appears with its first event, or at once if events were
    // removed. Throws Error if a file cannot be read or truncated.
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
