// A zip archive for writing, entry by entry into an AtomicFile, nothing packed.
//
// The same entries give the same bytes: no time of writing is stored. What an entry holds begins at a multiple
// of 64 bytes, so that a map of the file has it aligned. Sizes and offsets are always those of zip64, which
// have no limit at 4 GiB; a reader needs to know it (libzip, Python's zipfile, unzip 6).
// Source: PKWARE, APPNOTE.TXT 6.3.10, sections 4.3 and 4.5.3.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/files/atomic_file.h"

class ZipWriter {
  public:
    // Throws Error as AtomicFile, as all of this class.
    explicit ZipWriter(std::filesystem::path path) : file_(std::move(path)) {}

    // An entry that holds `parts` one after the other. They are read twice, for the checksum and for the file,
    // and not copied. The name is UTF-8.
    void add(std::string_view name, std::span<const std::string_view> parts);
    // Writes the directory and lets the file appear.
    void commit();

  private:
    struct Entry {
        std::string name;
        std::uint64_t offset, bytes;
        std::uint32_t checksum;
    };
    void write(std::string_view bytes);

    AtomicFile file_;
    std::uint64_t position_ = 0;
    std::vector<Entry> entries_;
};
