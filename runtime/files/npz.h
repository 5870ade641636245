// NumPy's .npz format: a zip archive of arrays, of which the one under the key `mu` is the entry mu.npy.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/files/npy.h"
#include "runtime/files/zip_archive.h"
#include "runtime/files/zip_writer.h"

// A file for reading. An array is looked at when it is asked for, so that one that cannot be read does not
// hide the others. Any number of threads may read; they wait for one another. Every exception is an Error, one
// line that names the file, and the entry at fault.
class NpzFile {
  public:
    // Throws Error, also if the archive holds no array.
    explicit NpzFile(std::filesystem::path path);

    const std::filesystem::path& path() const { return path_; }
    // The keys of its arrays, sorted.
    const std::vector<std::string>& names() const { return names_; }
    bool contains(std::string_view key) const;
    // Throws Error if there is no such array, naming those that there are; if its type is none of those of
    // parse_npy_header(); if shape and type do not match the bytes of the entry, of which the archive is known
    // to be able to hold them.
    const NpyArray& description(std::string_view key) const;

    // All numbers of an array in C order, whatever its order in the file. Throws Error as description(), for
    // text, and for bytes that differ from the entry's CRC-32.
    std::vector<double> doubles(std::string_view key) const;
    std::vector<float> floats(std::string_view key) const;
    // A single text (a 0-dimensional array) as UTF-8. Throws Error as description(), and for anything else.
    std::string text(std::string_view key) const;
    // A part of an array in C order as its bytes lie in the file. Throws Error as description(), for Fortran
    // order, and for a part that is not within the array. Of a packed entry all before the part is unpacked,
    // unless an earlier part of it was the last that was read from this file: parts should be read in their
    // order. In this case the CRC-32 is checked with the last one.
    void read_bytes(std::string_view key, std::uint64_t first_byte, std::span<std::byte> bytes) const;

  private:
    const NpyArray& describe(std::string_view key) const;
    ZipReader& reader_at(const std::string& entry, std::uint64_t position) const;
    template <class T>
    std::vector<T> values(std::string_view key) const;
    [[noreturn]] void fail_missing(std::string_view key) const;

    std::filesystem::path path_;
    std::vector<std::string> names_;
    // Under the mutex: the archive, the arrays looked at so far, and the reader of the last one read.
    mutable std::mutex mutex_;
    std::unique_ptr<const ZipArchive> archive_;
    mutable std::map<std::string, NpyArray, std::less<>> arrays_;
    mutable std::unique_ptr<ZipReader> reader_;
};

// Writes a file that numpy.load() reads, array by array, not packed, and without a copy of the numbers; the
// same arrays give the same bytes. It appears at its destination only by commit(). Throws Error.
class NpzWriter {
  public:
    explicit NpzWriter(const std::filesystem::path& path) : zip_(path) {}

    // In C order: as many values as the shape has places. Each key may be added once.
    void add(std::string_view key, const std::vector<std::int64_t>& shape, std::span<const double> values);
    void add(std::string_view key, const std::vector<std::int64_t>& shape, std::span<const float> values);
    void add(std::string_view key, const std::vector<std::int64_t>& shape,
             std::span<const std::uint8_t> values);
    // Text as a 0-dimensional array: str(numpy.load(path)[key]) is the text. Bytes that are not UTF-8 become
    // U+FFFD.
    void add_text(std::string_view key, std::string_view text);
    void commit() { zip_.commit(); }

  private:
    void add_bytes(std::string_view key, std::string_view dtype, const std::vector<std::int64_t>& shape,
                   std::span<const std::byte> bytes);

    ZipWriter zip_;
    std::set<std::string, std::less<>> keys_;
};
