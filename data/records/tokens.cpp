#include "data/records/tokens.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "runtime/base/error.h"
#include "runtime/files/file_kind.h"

namespace {

constexpr RecordFormat record_format{token_magic, "token file", "image", 4};
constexpr std::int64_t largest_short_codebook = 65536;

bool is_short(const TokenFormat& format) {
    return format.codebook_size <= largest_short_codebook;
}

std::int64_t token_bytes(const TokenFormat& format) {
    return is_short(format) ? 2 : 4;
}

std::int64_t record_bytes(const TokenFormat& format) {
    return 2 * format.tokens() * token_bytes(format);
}

// Checked before anything is written; returns the bytes of a record.
std::int64_t checked_record_bytes(const std::filesystem::path& path, const TokenFormat& format) {
    format.validate(path.string());
    return record_bytes(format);
}

template <class Stored>
void widen(std::int32_t* tokens, const std::uint8_t* stored, std::int64_t count) {
    for (std::int64_t t = 0; t < count; ++t) {
        Stored token;
        std::memcpy(&token, stored + t * static_cast<std::int64_t>(sizeof token), sizeof token);
        tokens[t] = static_cast<std::int32_t>(token);
    }
}

template <class Stored>
void narrow(std::uint8_t* stored, const std::int32_t* tokens, std::int64_t count) {
    for (std::int64_t t = 0; t < count; ++t) {
        const auto token = static_cast<Stored>(tokens[t]);
        std::memcpy(stored + t * static_cast<std::int64_t>(sizeof token), &token, sizeof token);
    }
}

void require_tokens(const std::filesystem::path& path, std::int64_t record, const std::int32_t* tokens,
                    const TokenFormat& format) {
    for (std::int64_t t = 0; t < format.tokens(); ++t)
        if (tokens[t] < 0 || tokens[t] >= format.codebook_size)
            fail("{}: record {} has token {} at position {}, expected 0 to {}", path.string(), record,
                 tokens[t], t, format.codebook_size - 1);
}

}  // namespace

std::uint32_t tokenizer_fingerprint(std::span<const float> codebook, std::int64_t codebook_size) {
    const auto K = static_cast<std::uint32_t>(codebook_size);
    return checksum_of(checksum_of(0, &K, sizeof K), codebook.data(), codebook.size_bytes());
}

void TokenFormat::validate(std::string_view source) const {
    if (side < 1 || side > maximum_token_side)
        fail("{}: a grid of {} x {} tokens, expected a side of 1 to {}", source, side, side,
             maximum_token_side);
    if (codebook_size < 1 || codebook_size > maximum_codebook_size)
        fail("{}: a codebook of {} entries, expected 1 to {}", source, codebook_size, maximum_codebook_size);
    if (downsampling < 1 || downsampling > 1024)
        fail("{}: a downsampling of {}, expected 1 to 1024", source, downsampling);
}

TokenFile::TokenFile(const std::filesystem::path& path)
    : file_(path, record_format, [&](std::span<const std::uint32_t> fields) {
          format_ = {fields[0], fields[1], fields[2], fields[3]};
          return checked_record_bytes(path, format_);
      }) {}

void TokenFile::read(std::int64_t i, bool mirrored, std::int32_t* tokens) const {
    const std::int64_t N = format_.tokens();
    const std::uint8_t* stored = file_.record(i) + (mirrored ? N * token_bytes(format_) : 0);
    if (is_short(format_))
        widen<std::uint16_t>(tokens, stored, N);
    else
        widen<std::uint32_t>(tokens, stored, N);
    require_tokens(path(), i, tokens, format_);
}

void TokenFile::verify() const {
    file_.verify();
    std::vector<std::int32_t> tokens(static_cast<std::size_t>(format_.tokens()));
    for (std::int64_t i = 0; i < count(); ++i)
        for (const bool mirrored : {false, true}) read(i, mirrored, tokens.data());
}

void TokenFile::require_grid(std::int64_t side, std::int64_t codebook_size) const {
    if (format_.side != side)
        fail_usage("{}: {}x{} tokens, the model takes {}x{}", path().string(), format_.side, format_.side,
                   side, side);
    if (format_.codebook_size != codebook_size)
        fail_usage("{}: {} codes, the model has {}", path().string(), format_.codebook_size, codebook_size);
}

void TokenFile::require_tokenizer(std::uint32_t fingerprint, std::string_view whose) const {
    if (format_.fingerprint != fingerprint)
        fail("{}: its tokens were made by the tokenizer {:08x}, expected {:08x}, the one of {}",
             path().string(), format_.fingerprint, fingerprint, whose);
}

TokenWriter::TokenWriter(std::filesystem::path path, const TokenFormat& format,
                         std::vector<std::string> classes)
    : format_(format),
      file_(path, record_format,
            {static_cast<std::uint32_t>(format.side), static_cast<std::uint32_t>(format.codebook_size),
             static_cast<std::uint32_t>(format.downsampling), format.fingerprint},
            checked_record_bytes(path, format), std::move(classes)),
      record_(static_cast<std::size_t>(record_bytes(format))) {}

void TokenWriter::add(const std::int32_t* image, const std::int32_t* mirror_image, int label,
                      std::span<const std::string> captions) {
    const std::int64_t N = format_.tokens();
    std::uint8_t* stored = record_.data();
    for (const std::int32_t* tokens : {image, mirror_image}) {
        require_tokens(file_.path(), count(), tokens, format_);
        if (is_short(format_))
            narrow<std::uint16_t>(stored, tokens, N);
        else
            narrow<std::uint32_t>(stored, tokens, N);
        stored += N * token_bytes(format_);
    }
    file_.add(record_.data(), label, captions);
}

TokenLoader::TokenLoader(const TokenFile& file, std::int64_t batch, std::uint64_t seed, bool flip,
                         std::int64_t position, std::int64_t stride)
    : file_(file),
      flip_(flip),
      steps_(batch, position, stride),
      order_(seed, file.count()),
      prefetcher_([this](TokenBatch& next) { fill(next); }) {}

void TokenLoader::fill(TokenBatch& batch) {
    file_.check_length();
    const std::int64_t N = file_.format().tokens();
    batch.position = steps_.position;
    batch.tokens.resize(static_cast<std::size_t>(steps_.batch * N));
    batch.labels.resize(static_cast<std::size_t>(steps_.batch));
    batch.records.resize(static_cast<std::size_t>(steps_.batch));
    for (std::int64_t i = 0; i < steps_.batch; ++i) {
        const std::int64_t sample = steps_.position + i, record = order_.record(sample);
        file_.read(record, flip_ && order_.flipped(sample), batch.tokens.data() + i * N);
        batch.labels[static_cast<std::size_t>(i)] = file_.label(record);
        batch.records[static_cast<std::size_t>(i)] = record;
    }
    steps_.position += steps_.stride;
}

void read_batch(const TokenFile& file, std::int64_t first, std::int64_t count, TokenBatch& batch) {
    if (first < 0 || count < 0 || count > file.count() || first > file.count() - count)
        fail("{}: records {} to {} were asked for, it has {}", file.path().string(), first, first + count - 1,
             file.count());
    file.check_length();
    const std::int64_t N = file.format().tokens();
    batch.position = first;
    batch.tokens.resize(static_cast<std::size_t>(count * N));
    batch.labels.resize(static_cast<std::size_t>(count));
    batch.records.resize(static_cast<std::size_t>(count));
    for (std::int64_t i = 0; i < count; ++i) {
        file.read(first + i, false, batch.tokens.data() + i * N);
        batch.labels[static_cast<std::size_t>(i)] = file.label(first + i);
        batch.records[static_cast<std::size_t>(i)] = first + i;
    }
}
