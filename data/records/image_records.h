// Images as fractal models learn them: pixels of a packed file, or codes of a token file.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "data/records/loader.h"
#include "data/records/packed.h"
#include "data/records/tokens.h"

// Views that last until the next batch is read.
struct ImageBatch {
    std::variant<std::span<const std::uint8_t>, std::span<const std::int32_t>> images;  // [B, C, s, s]
    std::span<const std::int32_t> labels;                                               // [B], -1: no label
    std::int64_t position = 0;                                                          // of its first sample
};

class ImageRecords {
  public:
    // One of the two files; the other path is "". Throws Error as PackedFile and TokenFile do.
    ImageRecords(const std::string& packed, const std::string& tokens);

    // Null for the other kind.
    const PackedFile* packed() const { return packed_ ? &*packed_ : nullptr; }
    const TokenFile* tokens() const { return tokens_ ? &*tokens_ : nullptr; }

    const std::filesystem::path& path() const { return packed_ ? packed_->path() : tokens_->path(); }
    std::int64_t count() const { return packed_ ? packed_->count() : tokens_->count(); }
    const std::vector<std::string>& classes() const {
        return packed_ ? packed_->classes() : tokens_->classes();
    }
    void verify() const { packed_ ? packed_->verify() : tokens_->verify(); }
    std::uint32_t fingerprint() const { return packed_ ? packed_->fingerprint() : tokens_->fingerprint(); }

  private:
    std::optional<PackedFile> packed_;
    std::optional<TokenFile> tokens_;
};

// Batches for training: a Loader or a TokenLoader, with their arguments and exceptions.
class ImageLoader {
  public:
    ImageLoader(const ImageRecords& records, std::int64_t batch, std::uint64_t seed, bool flip,
                std::int64_t position, std::int64_t stride = 0);
    ImageBatch next();

  private:
    std::optional<Loader> pixels_;
    std::optional<TokenLoader> tokens_;
};

// Records in the order of the file, for validation. The records must stay.
class ImageReader {
  public:
    explicit ImageReader(const ImageRecords& records) : records_(records) {}
    // Records first .. first + count - 1. Throws Error if they are not all there.
    ImageBatch read(std::int64_t first, std::int64_t count);

  private:
    const ImageRecords& records_;
    Batch pixels_;
    TokenBatch tokens_;
};
