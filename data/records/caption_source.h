// The captions of a packed file or a token file, whichever it is.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string_view>

// Record by record, as record_file.h says.
class CaptionSource {
  public:
    virtual ~CaptionSource() = default;
    virtual std::int64_t count() const = 0;
    virtual std::int64_t captions(std::int64_t i) const = 0;
    virtual std::string_view caption(std::int64_t i, std::int64_t k) const = 0;
    virtual std::int64_t caption_count() const = 0;
    virtual std::uint32_t caption_checksum() const = 0;
};
// Throws Error for a file that is neither, or holds no captions.
std::unique_ptr<CaptionSource> open_captions(const std::filesystem::path& path);
