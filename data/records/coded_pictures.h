// Files of losslessly coded pictures, .frc: what a fractal model's codec (models/fractal/codec.h) makes of them,
// and what decoding must match. What a picture costs here beside its code is two bytes and, unless it is
// numbered, its name.
//
// Layout (little-endian, no gaps):
//
//     magic         8 bytes   "fractfrc"
//     version       u32       1
//     size          u32       S, the side of every picture
//     channels      u32       C, 1 or 3
//     count         u32       number of pictures
//     lanes         u32       pictures that go through the model at once
//     weights       u32       CRC-32 of the model's weights
//     probe         u32       CRC-32 of the probabilities of a fixed picture, see the codec
//     arithmetic    u8, then so many bytes: what computed the probabilities, in words
//     name bytes    u32       0: pictures are named by their number, 000000.png, ...
//     packed bytes  u32       then so many bytes: the names, each with a newline behind it, by zlib
//     segments:
//       checksums   u16 [n]   for each picture the lower half of the CRC-32 of its bytes [C, S, S]
//       codes                 for each of min(lanes, n) lanes: number of bytes, 7 bits a byte, the lowest first,
//                             with the highest bit set but in the last; then the code
//     checksum      u32       CRC-32 of every byte before
//
// A segment holds n = segment_pictures() pictures, the last one what remains: pictures i, i + lanes, ... of a
// segment are in the code of lane i. Segments bound the memory of coding.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "runtime/files/atomic_file.h"
#include "runtime/files/mapped_file.h"

struct CodedHeader {
    std::int64_t size = 0, channels = 0, count = 0, lanes = 0;
    std::uint32_t weights = 0, probe = 0;
    std::string arithmetic;
    std::vector<std::string> names;  // [count], or empty where pictures are numbered

    std::int64_t picture_bytes() const { return size * size * channels; }
    // Pictures of a segment: as many in each lane as 2^24 bytes of pictures have, but at least one.
    std::int64_t segment_pictures() const;
    std::int64_t segments() const { return (count + segment_pictures() - 1) / segment_pictures(); }
    // Of a segment's first picture, and their number.
    std::int64_t first_picture(std::int64_t segment) const { return segment * segment_pictures(); }
    std::int64_t pictures_of(std::int64_t segment) const;

    // The PNG file as which a picture is decoded, relative to its folder: its name with the ending .png in place
    // of .jpg, .jpeg or .png, or "000012.png".
    std::string decoded_name(std::int64_t picture) const;
    // Throws Error, starting with `source`, for values out of range, and for names that would lead out of a
    // folder (absolute, or with a part that starts with a dot), have control characters, or are decoded into
    // one file.
    void validate(const std::string& source) const;
};

// Lower half of CRC-32.
std::uint16_t picture_checksum(std::span<const std::uint8_t> picture);

struct CodedSegment {
    std::vector<std::uint16_t> checksums;              // of its pictures
    std::vector<std::span<const std::uint8_t>> codes;  // of its lanes
};

// Writes a file that appears at its destination only by commit().
class CodedWriter {
  public:
    // Throws Error as CodedHeader::validate() does, and if the destination cannot be written.
    CodedWriter(const std::filesystem::path& path, CodedHeader header);
    void add(const CodedSegment& segment);
    // Throws Error.
    void commit();
    // Of the file so far, and of the names in it.
    std::int64_t bytes() const { return bytes_; }
    std::int64_t name_bytes() const { return name_bytes_; }

  private:
    void write(const void* bytes, std::size_t size);

    CodedHeader header_;
    AtomicFile file_;
    std::int64_t bytes_ = 0, name_bytes_ = 0;
    std::uint32_t checksum_ = 0;
};

// A read-only map of a file; every byte is checked when it is opened.
class CodedFile {
  public:
    // Throws Error naming the file, what was found and what was expected.
    explicit CodedFile(const std::filesystem::path& path);

    const CodedHeader& header() const { return header_; }
    std::int64_t bytes() const { return static_cast<std::int64_t>(file_.bytes().size()); }
    const CodedSegment& segment(std::int64_t i) const { return segments_[static_cast<std::size_t>(i)]; }

  private:
    MappedFile file_;
    CodedHeader header_;
    std::vector<CodedSegment> segments_;
};
