// Token files: the tokens of a set of images, precomputed for training models over them. A file
// of records (record_file.h): the tokens of an image and of its mirror image, [2, N] in raster order, N =
// side^2, u16 where the codebook has at most 65,536 entries, else u32. The magic is "fractok1", the fields
// are
//
//     side          u32       of the token grid
//     codebook_size u32       K: tokens are 0 to K-1
//     downsampling  u32       f: a token stands for f x f pixels
//     fingerprint   u32       of the tokenizer (tokenizer_fingerprint)
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "data/records/prefetch.h"
#include "data/records/record_file.h"
#include "data/records/sample_order.h"

constexpr std::int64_t maximum_token_side = 256, maximum_codebook_size = std::int64_t{1} << 20;

// Fingerprint of a tokenizer: CRC-32 of K as a little-endian u32, then of its codebook fp32 [K, C].
std::uint32_t tokenizer_fingerprint(std::span<const float> codebook, std::int64_t codebook_size);

struct TokenFormat {
    std::int64_t side = 0, codebook_size = 0, downsampling = 0;
    std::uint32_t fingerprint = 0;

    std::int64_t tokens() const { return side * side; }
    // Throws Error, starting with `source`, for invalid values.
    void validate(std::string_view source) const;
    bool operator==(const TokenFormat&) const = default;
};

// A read-only map of a token file; checks and exceptions as in record_file.h.
class TokenFile {
  public:
    // Throws Error naming the file, the value found and the value expected.
    explicit TokenFile(const std::filesystem::path& path);

    const std::filesystem::path& path() const { return file_.path(); }
    const TokenFormat& format() const { return format_; }
    std::int64_t count() const { return file_.count(); }
    const std::vector<std::string>& classes() const { return file_.classes(); }
    // -1 when the record has no label.
    int label(std::int64_t i) const { return file_.label(i); }

    // Captions as in record_file.h.
    bool has_captions() const { return file_.has_captions(); }
    std::int64_t captions(std::int64_t i) const { return file_.captions(i); }
    std::string_view caption(std::int64_t i, std::int64_t k) const { return file_.caption(i, k); }
    std::int64_t first_caption(std::int64_t i) const { return file_.first_caption(i); }
    std::int64_t caption_count() const { return file_.caption_count(); }
    std::uint32_t caption_checksum() const { return file_.caption_checksum(); }
    // The tokens of image i, or of its mirror image, into `tokens` [N]. Throws Error for one that is not in
    // the codebook: kernels look tokens up unchecked.
    void read(std::int64_t i, bool mirrored, std::int32_t* tokens) const;

    // Reads the whole file; throws Error naming the first block that differs from its checksum, or the first
    // record with a token that is not in the codebook.
    void verify() const;
    // Throws Error if the file's length has changed.
    void check_length() const { file_.check_length(); }
    std::uint32_t fingerprint() const { return file_.fingerprint(); }
    // Throws UsageError unless these are grids of side x side tokens of so many codes, as a model takes them.
    void require_grid(std::int64_t side, std::int64_t codebook_size) const;
    // Throws Error unless the tokens were made by the tokenizer with this fingerprint, which `whose` names.
    void require_tokenizer(std::uint32_t fingerprint, std::string_view whose) const;

  private:
    TokenFormat format_;
    RecordFile file_;
};

// Writes a token file that appears at its destination only by commit().
class TokenWriter {
  public:
    // Throws Error if the destination cannot be written or format or classes are out of range.
    TokenWriter(std::filesystem::path path, const TokenFormat& format, std::vector<std::string> classes);
    // Tokens of the image and of its mirror image, [N] each; label -1 or an index of classes; captions in
    // UTF-8. Throws Error, also for a token that is not in the codebook.
    void add(const std::int32_t* image, const std::int32_t* mirror_image, int label,
             std::span<const std::string> captions = {});
    std::int64_t count() const { return file_.count(); }
    // Writes all but the name under which the file appears: see RecordWriter.
    void finish() { file_.finish(); }
    // Finishes, if that was not done, and lets the file appear. Throws Error.
    void commit() { file_.commit(); }

  private:
    TokenFormat format_;
    RecordWriter file_;
    std::vector<std::uint8_t> record_;
};

struct TokenBatch {
    std::vector<std::int32_t> tokens;   // [B, N]
    std::vector<std::int32_t> labels;   // [B], -1: no label
    std::vector<std::int64_t> records;  // [B], of the file: where the samples' captions are
    std::int64_t position = 0;          // of its first sample
};

// Batches for training, in the order of sample_order.h; of a mirrored sample, its mirror image's tokens.
class TokenLoader {
  public:
    // As Loader's.
    TokenLoader(const TokenFile& file, std::int64_t batch, std::uint64_t seed, bool flip,
                std::int64_t position, std::int64_t stride = 0);

    // The next batch, valid until the next call. Rethrows the thread's exception.
    const TokenBatch& next() { return prefetcher_.next(); }

  private:
    void fill(TokenBatch& batch);

    const TokenFile& file_;
    const bool flip_;
    BatchSteps steps_;  // these two are the thread's alone
    SampleOrder order_;
    Prefetcher<TokenBatch> prefetcher_;  // last: its thread reads the others
};

// The images (not their mirror images) of records first .. first + count - 1, for validation. Throws Error if
// they are not all there.
void read_batch(const TokenFile& file, std::int64_t first, std::int64_t count, TokenBatch& batch);
