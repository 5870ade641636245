// TensorBoard's file format: records in TFRecord framing, each a protocol buffer `Event`. Fields and numbers:
// TensorFlow's core/util/event.proto and core/framework/summary.proto; framing: core/lib/io/ record_writer.h;
// wire format: protobuf.dev/programming-guides/encoding.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

// CRC-32C (Castagnoli, RFC 3720, appendix B.4), which zlib does not have.
std::uint32_t crc32c(std::string_view bytes);

// length (u64), masked CRC-32C of it (u32), data, masked CRC-32C of the data (u32), little-endian. Masked:
// rotated right by 15 bits, plus 0xa282ead8, so that no checksum is taken of data that hold their own.
std::string framed_record(std::string_view data);

struct Scalar {
    std::string_view tag;
    double value = 0;  // stored as float
};

struct EncodedImage {
    std::string_view tag, png;
    int width = 0, height = 0, channels = 0;
};

// Events, unframed; `wall_time` in seconds since 1970.
std::string version_event(double wall_time);  // the first of every file
// A new session: readers discard the events of earlier files from `step` on.
std::string session_start_event(double wall_time, std::int64_t step);
std::string scalars_event(double wall_time, std::int64_t step, std::span<const Scalar> scalars);
std::string image_event(double wall_time, std::int64_t step, const EncodedImage& image);

// Number of a file's bytes before its first event after `step`. The search ends at a truncated record or a
// checksum mismatch; the bytes after it are kept.
std::size_t bytes_up_to_step(std::string_view file, std::int64_t step);
