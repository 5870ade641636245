// Packed images: one file of equally large records that the loader maps into memory, so that a training run
// never decodes an image, and any record is found by a multiplication.
//
// Layout (little-endian, no gaps; header_bytes is a multiple of 64):
//
//     magic         8 bytes   "fractpak"
//     version       u32       1
//     header_bytes  u32       from the magic to the end of the header's checksum
//     size          u32       S, the side of every image
//     channels      u32       C, 1 or 3
//     count         u32       number of records
//     classes       u32       number of class names, then for each: u32 length, bytes
//     zeros, then   u32       CRC-32 of every header byte before
//     pixels        u8  [count, C, S, S]
//     labels        i32 [count]                 index of the class name, -1: no label
//     checksums     u32 [ceil(count / 1024)]    CRC-32 of the pixels and then the labels of 1024 records
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "runtime/atomic_file.h"

constexpr std::int64_t packed_block_records = 1024;
constexpr int packed_maximum_size = 4096;

// A read-only map of a packed file. Opening checks magic, version, header checksum, the file's length against
// the header, and the range of every label; verify() checks the rest. May be read by any number of threads.
class PackedFile {
  public:
    // Throws Error naming the file, what was found and what was expected.
    explicit PackedFile(const std::filesystem::path& path);
    ~PackedFile();
    PackedFile(const PackedFile&) = delete;
    PackedFile& operator=(const PackedFile&) = delete;

    const std::filesystem::path& path() const { return path_; }
    int size() const { return size_; }
    int channels() const { return channels_; }
    std::int64_t count() const { return count_; }
    std::int64_t record_bytes() const { return std::int64_t{channels_} * size_ * size_; }
    const std::vector<std::string>& classes() const { return classes_; }
    // [C, S, S]; 0 <= i < count().
    const std::uint8_t* pixels(std::int64_t i) const { return pixels_ + i * record_bytes(); }
    // -1 when the record has no label.
    int label(std::int64_t i) const;

    // Reads the whole file; throws Error naming the first block that differs from its checksum.
    void verify() const;
    // Throws Error if the file's length is no longer what it was: touching a page that was cut away would end
    // the process with SIGBUS.
    void check_length() const;

  private:
    void parse_header();
    void check_labels() const;
    std::uint32_t block_checksum(std::int64_t block) const;

    std::filesystem::path path_;
    int descriptor_ = -1;
    const std::uint8_t* bytes_ = nullptr;  // the whole file
    std::uint64_t file_bytes_ = 0;
    int size_ = 0, channels_ = 0;
    std::int64_t count_ = 0;
    std::vector<std::string> classes_;
    const std::uint8_t *pixels_ = nullptr, *labels_ = nullptr, *checksums_ = nullptr;
};

// Writes a packed file that appears at its destination only by commit().
class PackedWriter {
  public:
    // Throws Error if the destination cannot be written or size, channels or classes are out of range.
    PackedWriter(std::filesystem::path path, int size, int channels, std::vector<std::string> classes);
    // pixels [C, S, S]; label -1 or an index of classes. Throws Error.
    void add(const std::uint8_t* pixels, int label);
    std::int64_t count() const { return static_cast<std::int64_t>(labels_.size()); }
    // Writes everything that is still missing, so that all that commit() has left to do is to rename: with
    // two files to write, a full disk is met before either appears. Nothing can be added after. Throws Error,
    // also if no record was added.
    void finish();
    // Finishes, if that was not done, and lets the file appear. Throws Error.
    void commit();

  private:
    void flush();
    void close_block();

    std::filesystem::path path_;
    AtomicFile file_;
    int size_, channels_;
    std::vector<std::string> classes_;
    std::vector<std::uint8_t> pending_;  // records not yet handed to the file
    std::vector<std::int32_t> labels_;
    std::vector<std::uint32_t> checksums_;
    std::uint32_t running_checksum_ = 0;  // of the pixels of the open block
    bool finished_ = false;
};
