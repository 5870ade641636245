#include "tests/unit/train/event_reader.h"

#include <algorithm>
#include <bit>
#include <functional>
#include <stdexcept>

#include "tests/end_to_end/test_directory.h"
#include "train/event_record.h"

namespace {

std::uint64_t little_endian(std::string_view bytes) {
    std::uint64_t value = 0;
    for (std::size_t i = bytes.size(); i-- > 0;) value = value << 8 | static_cast<std::uint8_t>(bytes[i]);
    return value;
}

void require_checksum(std::string_view bytes, std::string_view stored) {
    const std::uint32_t crc = crc32c(bytes);
    if (((crc >> 15 | crc << 17) + 0xA282EAD8U) != little_endian(stored))
        throw std::runtime_error("a record differs from its checksum");
}

// A field of a message: a number, or the bytes it has.
struct Field {
    std::uint64_t number = 0, value = 0;
    std::string_view bytes;
};

std::string_view take(std::string_view& bytes, std::uint64_t size) {
    if (size > bytes.size()) throw std::runtime_error("a field is cut off");
    const std::string_view taken = bytes.substr(0, size);
    bytes.remove_prefix(size);
    return taken;
}

std::uint64_t take_varint(std::string_view& bytes) {
    std::uint64_t value = 0;
    for (int shift = 0;; shift += 7) {
        const auto byte = static_cast<std::uint8_t>(take(bytes, 1).front());
        value |= std::uint64_t{byte & 0x7FU} << shift;
        if (byte < 0x80) return value;
    }
}

void for_fields(std::string_view message, const std::function<void(const Field&)>& visit) {
    while (!message.empty()) {
        const std::uint64_t key = take_varint(message);
        Field field{key >> 3, 0, {}};
        switch (key & 7) {
            case 0:
                field.value = take_varint(message);
                break;
            case 1:
                field.value = little_endian(take(message, 8));
                break;
            case 2:
                field.bytes = take(message, take_varint(message));
                break;
            case 5:
                field.value = little_endian(take(message, 4));
                break;
            default:
                throw std::runtime_error("a field of unknown type");
        }
        visit(field);
    }
}

ReadImage parse_image(std::string_view message) {
    ReadImage image;
    for_fields(message, [&](const Field& field) {
        if (field.number == 1) image.height = static_cast<std::int64_t>(field.value);
        if (field.number == 2) image.width = static_cast<std::int64_t>(field.value);
        if (field.number == 3) image.colorspace = static_cast<std::int64_t>(field.value);
        if (field.number == 4) image.png = field.bytes;
    });
    return image;
}

void parse_value(std::string_view message, ReadEvent& event) {
    std::string tag;
    for_fields(message, [&](const Field& field) {
        if (field.number == 1) tag = field.bytes;
        if (field.number == 2)
            event.scalars[tag] = std::bit_cast<float>(static_cast<std::uint32_t>(field.value));
        if (field.number == 4) event.images[tag] = parse_image(field.bytes);
    });
}

ReadEvent parse_event(std::string_view message) {
    ReadEvent event;
    for_fields(message, [&](const Field& field) {
        if (field.number == 1) event.wall_time = std::bit_cast<double>(field.value);
        if (field.number == 2) event.step = static_cast<std::int64_t>(field.value);
        if (field.number == 3) event.file_version = field.bytes;
        if (field.number == 5)
            for_fields(field.bytes, [&](const Field& value) { parse_value(value.bytes, event); });
        if (field.number == 7)
            for_fields(field.bytes, [&](const Field& status) { event.starts_session = status.value == 1; });
    });
    return event;
}

}  // namespace

std::vector<ReadEvent> parse_events(std::string_view file) {
    std::vector<ReadEvent> events;
    while (file.size() >= 16) {
        const std::string_view length_bytes = file.substr(0, 8);
        require_checksum(length_bytes, file.substr(8, 4));
        const std::uint64_t length = little_endian(length_bytes);
        if (length > file.size() - 16) break;
        const std::string_view data = file.substr(12, length);
        require_checksum(data, file.substr(12 + length, 4));
        events.push_back(parse_event(data));
        file.remove_prefix(16 + length);
    }
    return events;
}

std::vector<std::filesystem::path> event_files(const std::filesystem::path& folder) {
    std::vector<std::filesystem::path> paths;
    for (const auto& entry : std::filesystem::directory_iterator(folder))
        if (entry.path().filename().string().starts_with("events.out.tfevents."))
            paths.push_back(entry.path());
    std::ranges::sort(paths);
    return paths;
}

std::map<std::string, std::map<std::int64_t, float>> shown_scalars(const std::filesystem::path& folder,
                                                                   bool heeds_starts) {
    std::map<std::string, std::map<std::int64_t, float>> shown;
    for (const auto& path : event_files(folder))
        for (const ReadEvent& event : parse_events(read_file(path))) {
            if (event.starts_session && heeds_starts)
                for (auto& [tag, values] : shown) values.erase(values.lower_bound(event.step), values.end());
            for (const auto& [tag, value] : event.scalars) shown[tag][event.step] = value;
        }
    return shown;
}
