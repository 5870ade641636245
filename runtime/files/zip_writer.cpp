#include "runtime/files/zip_writer.h"

#include <zlib.h>

namespace {

constexpr std::size_t alignment = 64;
constexpr std::uint16_t version = 45,              // the first with zip64
    made_on_unix = 3 << 8, utf8_name = 1 << 11,    // of the flags
    stored = 0, midnight = 0, first_day = 0x21,    // 1980-01-01, the zero of MS-DOS
    zip64_field = 0x0001, padding_field = 0xd935;  // the latter is that of Android's zipalign
constexpr std::uint32_t in_zip64 = 0xffffffff, plain_file = 0100644;

// Little-endian numbers.
class Record {
  public:
    Record& u16(std::uint64_t value) { return number(value, 2); }
    Record& u32(std::uint64_t value) { return number(value, 4); }
    Record& u64(std::uint64_t value) { return number(value, 8); }
    Record& text(std::string_view value) {
        bytes_ += value;
        return *this;
    }
    Record& zeros(std::size_t count) {
        bytes_.append(count, '\0');
        return *this;
    }
    const std::string& bytes() const { return bytes_; }

  private:
    Record& number(std::uint64_t value, int size) {
        for (int i = 0; i < size; ++i) bytes_ += static_cast<char>(value >> 8 * i);
        return *this;
    }
    std::string bytes_;
};

}  // namespace

void ZipWriter::write(std::string_view bytes) {
    file_.write(bytes);
    position_ += bytes.size();
}

void ZipWriter::add(std::string_view name, std::span<const std::string_view> parts) {
    Entry entry{std::string(name), position_, 0, 0};
    for (const std::string_view part : parts) {
        if (part.empty()) continue;  // of a null pointer crc32_z returns where checksums start
        entry.bytes += part.size();
        entry.checksum = static_cast<std::uint32_t>(
            crc32_z(entry.checksum, reinterpret_cast<const Bytef*>(part.data()), part.size()));
    }
    constexpr std::size_t fixed = 30, zip64 = 20, padding_start = 6;
    const std::size_t unpadded = fixed + name.size() + zip64 + padding_start,
                      padding = (alignment - (position_ + unpadded) % alignment) % alignment;
    Record header;
    header.text("PK\3\4").u16(version).u16(utf8_name).u16(stored).u16(midnight).u16(first_day);
    header.u32(entry.checksum).u32(in_zip64).u32(in_zip64);
    header.u16(name.size()).u16(zip64 + padding_start + padding).text(name);
    header.u16(zip64_field).u16(16).u64(entry.bytes).u64(entry.bytes);
    header.u16(padding_field).u16(2 + padding).u16(alignment).zeros(padding);
    write(header.bytes());
    for (const std::string_view part : parts) write(part);
    entries_.push_back(std::move(entry));
}

void ZipWriter::commit() {
    const std::uint64_t directory = position_;
    for (const Entry& entry : entries_) {
        Record header;
        header.text("PK\1\2").u16(made_on_unix | version).u16(version).u16(utf8_name).u16(stored);
        header.u16(midnight).u16(first_day).u32(entry.checksum).u32(in_zip64).u32(in_zip64);
        header.u16(entry.name.size()).u16(28).u16(0).u16(0).u16(0).u32(plain_file << 16).u32(in_zip64);
        header.text(entry.name).u16(zip64_field).u16(24).u64(entry.bytes).u64(entry.bytes).u64(entry.offset);
        write(header.bytes());
    }
    const std::uint64_t end = position_;
    Record record;
    record.text("PK\6\6").u64(44).u16(made_on_unix | version).u16(version).u32(0).u32(0);
    record.u64(entries_.size()).u64(entries_.size()).u64(end - directory).u64(directory);
    record.text("PK\6\7").u32(0).u64(end).u32(1);
    record.text("PK\5\6").u16(0).u16(0).u16(0xffff).u16(0xffff).u32(in_zip64).u32(in_zip64).u16(0);
    write(record.bytes());
    file_.commit();
}
