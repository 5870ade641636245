#include "data/text/text_features.h"

#include <cmath>

#include "runtime/base/error.h"
#include "runtime/files/file_kind.h"
#include "runtime/files/scalar_type.h"

namespace {

constexpr RecordFormat records{text_feature_magic, "file of text features", "caption", 4};
constexpr std::int64_t longest = 4096, widest = 65536;

void require_valid(const TextFeatureFormat& format, std::string_view source) {
    if (format.length < 1 || format.length > longest || format.width < 1 || format.width > widest)
        fail("{}: {} features of width {}, expected at most {} of {}", source, format.length, format.width,
             longest, widest);
}

std::vector<std::uint32_t> fields_of(const TextFeatureFormat& format) {
    return {static_cast<std::uint32_t>(format.length), static_cast<std::uint32_t>(format.width),
            format.encoder, format.captions};
}

std::int64_t record_bytes(const TextFeatureFormat& format) {
    return format.caption_values() * static_cast<std::int64_t>(sizeof(_Float16));
}

}  // namespace

std::uint64_t text_feature_bytes(const TextFeatureFormat& format, std::int64_t captions) {
    constexpr std::uint64_t label = 4;
    return static_cast<std::uint64_t>(captions + 1) *
           (static_cast<std::uint64_t>(record_bytes(format)) + label);
}

bool is_text_feature_file(const std::filesystem::path& path) {
    return read_start(path).starts_with(text_feature_magic);
}

TextFeatureFile::TextFeatureFile(const std::filesystem::path& path)
    : file_(path, records, [&](std::span<const std::uint32_t> fields) {
          format_ = {fields[0], fields[1], fields[2], fields[3]};
          require_valid(format_, path.string());
          return record_bytes(format_);
      }) {}

void TextFeatureFile::read(std::int64_t caption, float* features) const {
    const std::uint8_t* const from = file_.record(caption < 0 ? count() : caption);
    convert_to_float(ScalarType::float16, reinterpret_cast<const std::byte*>(from),
                     static_cast<std::size_t>(format_.caption_values()), features);
}

void TextFeatureFile::require_captions(std::uint32_t checksum, std::string_view whose) const {
    if (format_.captions != checksum)
        fail("{}: features of other captions than those of {}: make them anew by build/data text",
             path().string(), whose);
}

TextFeatureWriter::TextFeatureWriter(std::filesystem::path path, const TextFeatureFormat& format)
    : file_((require_valid(format, path.string()), std::move(path)), records, fields_of(format),
            record_bytes(format), {}),
      record_(static_cast<std::size_t>(format.caption_values())) {}

void TextFeatureWriter::add(std::span<const float> features) {
    for (std::size_t i = 0; i < record_.size(); ++i) {
        record_[i] = static_cast<_Float16>(features[i]);
        if (!std::isfinite(static_cast<float>(record_[i])))
            fail("{}: a feature of caption {} is {}, which half precision cannot hold", file_.path().string(),
                 file_.count(), features[i]);
    }
    file_.add(record_.data(), -1);
}
