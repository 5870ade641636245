#include "train/event_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstring>
#include <vector>

#include "runtime/base/error.h"
#include "runtime/files/atomic_file.h"
#include "runtime/files/mapped_file.h"

namespace {

constexpr std::string_view prefix = "events.out.tfevents.";

double now() {
    return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

std::vector<std::filesystem::path> event_files(const std::filesystem::path& folder) {
    std::vector<std::filesystem::path> paths;
    for (const auto& entry : std::filesystem::directory_iterator(folder))
        if (entry.path().filename().string().starts_with(prefix) && entry.is_regular_file())
            paths.push_back(entry.path());
    return paths;
}

std::string_view text(std::span<const std::byte> bytes) {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// True if there were later events.
bool cut_back(const std::filesystem::path& path, std::int64_t step) {
    std::size_t kept = 0, size = 0;
    {
        const MappedFile file(path);
        size = file.bytes().size();
        kept = bytes_up_to_step(text(file.bytes()), step);
    }
    if (kept == size) return false;
    std::error_code error;
    std::filesystem::resize_file(path, kept, error);
    if (error) fail("{}: cannot be cut back to step {}: {}", path.string(), step, error.message());
    return true;
}

// The seconds in the file's name.
std::int64_t seconds_of(const std::filesystem::path& path) {
    const std::string name = path.filename().string();
    std::int64_t seconds = 0;
    std::from_chars(name.data() + prefix.size(), name.data() + name.size(), seconds);
    return seconds;
}

// Later than every file's, even if the clock went back or the run was started twice within a second.
std::int64_t next_seconds(const std::filesystem::path& folder) {
    auto seconds = static_cast<std::int64_t>(now());
    for (const auto& path : event_files(folder)) seconds = std::max(seconds, seconds_of(path) + 1);
    return seconds;
}

std::string host_name() {
    std::array<char, 256> name{};
    return gethostname(name.data(), name.size() - 1) == 0 && name[0] != '\0' ? name.data() : "localhost";
}

}  // namespace

EventFile::EventFile(std::filesystem::path folder, std::int64_t step)
    : folder_(std::move(folder)), step_(step) {
    bool cut = false;
    for (const auto& path : event_files(folder_)) cut = cut_back(path, step) || cut;
    if (cut) open();
}

EventFile::~EventFile() {
    if (descriptor_ >= 0) ::close(descriptor_);
}

void EventFile::open() {
    path_ = folder_ / fmt::format("{}{:010}.{}", prefix, next_seconds(folder_), host_name());
    descriptor_ = ::open(path_.c_str(), O_CREAT | O_EXCL | O_WRONLY | O_APPEND | O_CLOEXEC, 0666);
    if (descriptor_ < 0) fail("{}: cannot be written: {}", path_.string(), std::strerror(errno));
    append(version_event(now()));
    append(session_start_event(now(), step_ + 1));
}

// In one call, so that a run that is killed leaves whole records.
void EventFile::append(const std::string& event) {
    if (!write_all(descriptor_, framed_record(event)))
        fail("{}: cannot be written: {}", path_.string(), std::strerror(errno));
}

void EventFile::add_scalars(std::int64_t step, std::span<const Scalar> scalars) {
    if (descriptor_ < 0) open();
    append(scalars_event(now(), step, scalars));
}

void EventFile::add_image(std::int64_t step, const std::string& tag, const std::filesystem::path& png) {
    const MappedFile file(png);
    const std::string_view bytes = text(file.bytes());
    // The header chunk comes first and begins with width and height; its tenth byte is the colour type.
    if (bytes.size() < 26 || !bytes.starts_with("\x89PNG")) fail("{}: not a PNG file", png.string());
    const auto big_endian = [&](std::size_t offset) {
        std::uint32_t value = 0;
        for (std::size_t i = 0; i < 4; ++i) value = value << 8 | static_cast<std::uint8_t>(bytes[offset + i]);
        return static_cast<int>(value);
    };
    constexpr char grey = 0;
    if (descriptor_ < 0) open();
    append(image_event(now(), step, {tag, bytes, big_endian(16), big_endian(20), bytes[25] == grey ? 1 : 3}));
}
