#include "train/event_record.h"

#include <array>
#include <bit>
#include <optional>

namespace {

constexpr std::size_t length_bytes = 8, checksum_bytes = 4;

constexpr std::array<std::uint32_t, 256> crc32c_table() {
    constexpr std::uint32_t reflected_polynomial = 0x82F63B78;
    std::array<std::uint32_t, 256> table{};
    for (std::uint32_t i = 0; i < 256; ++i) {
        table[i] = i;
        for (int bit = 0; bit < 8; ++bit)
            table[i] = table[i] >> 1 ^ ((table[i] & 1) != 0 ? reflected_polynomial : 0);
    }
    return table;
}

std::uint32_t masked_crc32c(std::string_view bytes) {
    return std::rotr(crc32c(bytes), 15) + 0xA282EAD8U;
}

std::string little_endian(std::uint64_t value, std::size_t size) {
    std::string bytes;
    for (std::size_t i = 0; i < size; ++i) bytes += static_cast<char>(value >> 8 * i & 0xFF);
    return bytes;
}

std::uint64_t from_little_endian(std::string_view bytes) {
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < bytes.size(); ++i)
        value |= std::uint64_t{static_cast<std::uint8_t>(bytes[i])} << 8 * i;
    return value;
}

// Protocol buffer fields: a key, number * 8 + wire type, and the value.
enum WireType : std::uint64_t { varint_type = 0, fixed64_type = 1, bytes_type = 2, fixed32_type = 5 };

std::string varint(std::uint64_t value) {
    std::string bytes;
    for (; value >= 0x80; value >>= 7) bytes += static_cast<char>((value & 0x7F) | 0x80);
    return bytes + static_cast<char>(value);
}

std::string key(std::uint64_t number, WireType type) {
    return varint(number << 3 | type);
}
std::string integer_field(std::uint64_t number, std::int64_t value) {
    return key(number, varint_type) + varint(static_cast<std::uint64_t>(value));
}
std::string double_field(std::uint64_t number, double value) {
    return key(number, fixed64_type) + little_endian(std::bit_cast<std::uint64_t>(value), 8);
}
std::string float_field(std::uint64_t number, float value) {
    return key(number, fixed32_type) + little_endian(std::bit_cast<std::uint32_t>(value), 4);
}
std::string bytes_field(std::uint64_t number, std::string_view value) {
    return (key(number, bytes_type) + varint(value.size())).append(value);
}

namespace event {
constexpr std::uint64_t wall_time = 1, step = 2, file_version = 3, summary = 5, session_log = 7;
}
namespace summary {
constexpr std::uint64_t value = 1;
}
namespace summary_value {
constexpr std::uint64_t tag = 1, simple_value = 2, image = 4;
}
namespace summary_image {
constexpr std::uint64_t height = 1, width = 2, colorspace = 3, encoded_image_string = 4;
}
namespace session_log {
constexpr std::uint64_t status = 1;
constexpr std::int64_t start = 1;
}  // namespace session_log

std::string event_at(double wall_time, std::int64_t step) {
    return double_field(event::wall_time, wall_time) + integer_field(event::step, step);
}

// Takes a varint off the front of `bytes`; nothing if it does not end there.
std::optional<std::uint64_t> take_varint(std::string_view& bytes) {
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < bytes.size() && i < 10; ++i) {
        const auto byte = static_cast<std::uint8_t>(bytes[i]);
        value |= std::uint64_t{byte & 0x7FU} << 7 * i;
        if ((byte & 0x80) != 0) continue;
        bytes.remove_prefix(i + 1);
        return value;
    }
    return std::nullopt;
}

// An event's step, 0 if it has none; nothing if the bytes are no message.
std::optional<std::int64_t> step_of(std::string_view bytes) {
    std::int64_t step = 0;
    while (!bytes.empty()) {
        const auto field = take_varint(bytes);
        if (!field) return std::nullopt;
        const std::uint64_t type = *field & 7;
        std::size_t skipped = type == fixed64_type ? 8 : type == fixed32_type ? 4 : 0;
        if (type == varint_type || type == bytes_type) {
            const auto value = take_varint(bytes);
            if (!value) return std::nullopt;
            if (type == bytes_type)
                skipped = *value;
            else if (*field >> 3 == event::step)
                step = static_cast<std::int64_t>(*value);
        }
        if (skipped > bytes.size()) return std::nullopt;
        bytes.remove_prefix(skipped);
    }
    return step;
}

// Removes the first record from `file`; no value if it is incomplete.
std::optional<std::string_view> take_record(std::string_view& file) {
    constexpr std::size_t header_bytes = length_bytes + checksum_bytes;
    if (file.size() < header_bytes + checksum_bytes) return std::nullopt;
    const std::string_view length_text = file.substr(0, length_bytes);
    const std::uint64_t length = from_little_endian(length_text);
    if (from_little_endian(file.substr(length_bytes, checksum_bytes)) != masked_crc32c(length_text) ||
        length > file.size() - header_bytes - checksum_bytes)
        return std::nullopt;
    const std::string_view data = file.substr(header_bytes, length);
    if (from_little_endian(file.substr(header_bytes + length, checksum_bytes)) != masked_crc32c(data))
        return std::nullopt;
    file.remove_prefix(header_bytes + length + checksum_bytes);
    return data;
}

}  // namespace

std::uint32_t crc32c(std::string_view bytes) {
    static constexpr auto table = crc32c_table();
    std::uint32_t crc = 0xFFFFFFFF;
    for (const char byte : bytes) crc = crc >> 8 ^ table[(crc ^ static_cast<std::uint8_t>(byte)) & 0xFF];
    return ~crc;
}

std::string framed_record(std::string_view data) {
    const std::string length = little_endian(data.size(), length_bytes);
    return (length + little_endian(masked_crc32c(length), checksum_bytes))
        .append(data)
        .append(little_endian(masked_crc32c(data), checksum_bytes));
}

std::string version_event(double wall_time) {
    return double_field(event::wall_time, wall_time) + bytes_field(event::file_version, "brain.Event:2");
}

std::string session_start_event(double wall_time, std::int64_t step) {
    return event_at(wall_time, step) +
           bytes_field(event::session_log, integer_field(session_log::status, session_log::start));
}

std::string scalars_event(double wall_time, std::int64_t step, std::span<const Scalar> scalars) {
    std::string values;
    for (const Scalar& scalar : scalars)
        values += bytes_field(summary::value,
                              bytes_field(summary_value::tag, scalar.tag) +
                                  float_field(summary_value::simple_value, static_cast<float>(scalar.value)));
    return event_at(wall_time, step) + bytes_field(event::summary, values);
}

std::string image_event(double wall_time, std::int64_t step, const EncodedImage& image) {
    const std::string encoded = integer_field(summary_image::height, image.height) +
                                integer_field(summary_image::width, image.width) +
                                integer_field(summary_image::colorspace, image.channels) +
                                bytes_field(summary_image::encoded_image_string, image.png);
    return event_at(wall_time, step) +
           bytes_field(event::summary,
                       bytes_field(summary::value, bytes_field(summary_value::tag, image.tag) +
                                                       bytes_field(summary_value::image, encoded)));
}

std::size_t bytes_up_to_step(std::string_view file, std::int64_t step) {
    std::string_view rest = file;
    while (true) {
        const std::size_t before = file.size() - rest.size();
        const auto record = take_record(rest);
        if (!record) return file.size();
        const auto record_step = step_of(*record);
        if (!record_step) return file.size();
        if (*record_step > step) return before;
    }
}
