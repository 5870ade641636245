// Event files read as TensorBoard reads them, for tests.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

struct ReadImage {
    std::int64_t width = 0, height = 0, colorspace = 0;
    std::string png;
};

struct ReadEvent {
    double wall_time = 0;
    std::int64_t step = 0;
    std::string file_version;
    bool starts_session = false;
    std::map<std::string, float> scalars;
    std::map<std::string, ReadImage> images;
};

// Up to a record that is cut off. Throws std::runtime_error if bytes differ from their checksums or are no
// such message.
std::vector<ReadEvent> parse_events(std::string_view file);

// Of a folder, in the order of their names.
std::vector<std::filesystem::path> event_files(const std::filesystem::path& folder);

// Scalars of a folder as TensorBoard shows them: tag, step, value. A session's start hides earlier files'
// events from its step on, if the reader `heeds_starts`; not every reader does.
std::map<std::string, std::map<std::int64_t, float>> shown_scalars(const std::filesystem::path& folder,
                                                                   bool heeds_starts);
