// Captions of the records of a file (record_file.h): any number for each, UTF-8.
//
// Layout (little-endian, no gaps):
//
//     first     u32 [count + 1]      captions of all records before; the last one is N, the number in all
//     begins    u64 [N + 1]          bytes of all captions before; the last one is T, the bytes in all
//     text      u8  [T]              caption by caption, nothing between them
//     checksum  u32                  CRC-32 of every byte of the table before
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/files/atomic_file.h"

// A read-only view of a table in memory. May be read by any number of threads.
class CaptionTable {
  public:
    // Of records without captions.
    CaptionTable() = default;
    // The table that is all of `bytes`, of `records` records. Checks its length and that its numbers never
    // decrease, so that every caption lies in the table. Throws Error that starts with `file`.
    CaptionTable(std::string_view file, std::span<const std::uint8_t> bytes, std::int64_t records);

    // Captions of all records.
    std::int64_t count() const { return count_; }
    // Captions of the records before record i, 0 <= i <= records: the number of the first one of record i.
    // 0 in a file without captions.
    std::int64_t first(std::int64_t i) const;
    // 0 <= number < count().
    std::string_view text(std::int64_t number) const;

    std::uint32_t checksum() const;
    // Whether the bytes are those of the checksum; true without captions.
    bool holds() const;

  private:
    std::uint64_t begin(std::int64_t number) const;

    std::span<const std::uint8_t> bytes_;
    std::int64_t count_ = 0;
    const std::uint8_t *begins_ = nullptr, *text_ = nullptr;
};

// Collects the captions of records in their order. They remain in memory until they are written.
class CaptionTableWriter {
  public:
    // Of the next record.
    void add(std::span<const std::string> captions);
    // Captions of all records so far.
    std::int64_t count() const { return static_cast<std::int64_t>(begins_.size()) - 1; }
    // The table, into the file. Throws Error.
    void write(AtomicFile& file) const;

  private:
    std::vector<std::uint32_t> first_{0};
    std::vector<std::uint64_t> begins_{0};
    std::string text_;
};
