#include "data/records/caption_table.h"

#include <cstring>
#include <limits>

#include "data/records/checksum.h"
#include "runtime/base/error.h"

namespace {

template <class Number>
Number read_number(const std::uint8_t* numbers, std::int64_t i) {
    Number value;
    std::memcpy(&value, numbers + i * static_cast<std::int64_t>(sizeof value), sizeof value);
    return value;
}

// Throws Error unless `numbers` [count] starts with 0 and never decreases.
template <class Number>
void require_ascending(std::string_view file, const char* what, const std::uint8_t* numbers,
                       std::int64_t count) {
    Number before = 0;
    for (std::int64_t i = 0; i < count; ++i) {
        const auto number = read_number<Number>(numbers, i);
        if (number < before || (i == 0 && number != 0))
            fail("{}: the captions are damaged: {} {} is {}, expected {}{}", file, what, i, number,
                 i == 0 ? "" : "at least ", before);
        before = number;
    }
}

constexpr std::uint64_t checksum_bytes = 4;

}  // namespace

CaptionTable::CaptionTable(std::string_view file, std::span<const std::uint8_t> bytes, std::int64_t records)
    : bytes_(bytes) {
    const auto require_length = [&](std::uint64_t least, bool exactly) {
        if (bytes.size() < least || (exactly && bytes.size() != least))
            fail("{}: the captions have {} bytes, expected {}{}: the file was cut or extended", file,
                 bytes.size(), exactly ? "" : "at least ", least);
    };
    const auto first_bytes = 4 * (static_cast<std::uint64_t>(records) + 1);
    require_length(first_bytes + 8 + checksum_bytes, false);
    require_ascending<std::uint32_t>(file, "the first caption of record", bytes.data(), records + 1);
    count_ = read_number<std::uint32_t>(bytes.data(), records);
    if (count_ == 0) fail("{}: the captions are damaged: there are none", file);

    const std::uint64_t begins_bytes = 8 * (static_cast<std::uint64_t>(count_) + 1);
    require_length(first_bytes + begins_bytes + checksum_bytes, false);
    begins_ = bytes.data() + first_bytes;
    text_ = begins_ + begins_bytes;
    require_ascending<std::uint64_t>(file, "the start of caption", begins_, count_ + 1);
    const std::uint64_t text_bytes = begin(count_);
    if (text_bytes > bytes.size())
        fail("{}: the captions are damaged: their text would have {} bytes", file, text_bytes);
    require_length(first_bytes + begins_bytes + text_bytes + checksum_bytes, true);
}

std::int64_t CaptionTable::first(std::int64_t i) const {
    return bytes_.empty() ? 0 : read_number<std::uint32_t>(bytes_.data(), i);
}

std::uint64_t CaptionTable::begin(std::int64_t number) const {
    return read_number<std::uint64_t>(begins_, number);
}

std::string_view CaptionTable::text(std::int64_t number) const {
    const std::uint64_t from = begin(number);
    return {reinterpret_cast<const char*>(text_ + from), begin(number + 1) - from};
}

std::uint32_t CaptionTable::checksum() const {
    return bytes_.empty() ? 0 : read_number<std::uint32_t>(bytes_.data() + bytes_.size() - checksum_bytes, 0);
}

bool CaptionTable::holds() const {
    return bytes_.empty() || checksum_of(0, bytes_.data(), bytes_.size() - checksum_bytes) == checksum();
}

void CaptionTableWriter::add(std::span<const std::string> captions) {
    if (captions.size() > std::numeric_limits<std::uint32_t>::max() - static_cast<std::uint64_t>(count()))
        fail("more than {} captions in one file", std::numeric_limits<std::uint32_t>::max());
    for (const std::string& caption : captions) {
        text_ += caption;
        begins_.push_back(text_.size());
    }
    first_.push_back(static_cast<std::uint32_t>(count()));
}

void CaptionTableWriter::write(AtomicFile& file) const {
    std::uint32_t checksum = 0;
    const auto write_part = [&](const auto& part) {
        const std::size_t bytes = part.size() * sizeof part[0];
        checksum = checksum_of(checksum, part.data(), bytes);
        file.write(part.data(), bytes);
    };
    write_part(first_);
    write_part(begins_);
    write_part(text_);
    file.write(&checksum, sizeof checksum);
}
