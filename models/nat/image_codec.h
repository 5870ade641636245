// A tokenizer at work on 8-bit pictures: batches of them to codes, codes back to pictures.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

#include "models/nat/tokenizer.h"

class ImageCodec {
  public:
    // Pictures of size x size pixels, up to `batch` at once; the tokenizer must stay. Throws Error, starting
    // with `source`, if the size is not divisible by f.
    ImageCodec(const Tokenizer& tokenizer, std::int64_t size, std::int64_t batch, std::string_view source);

    std::int64_t size() const { return size_; }         // of the pictures
    std::int64_t side() const { return grid_.height; }  // of the token grid
    std::int64_t tokens() const { return grid_.height * grid_.width; }

    std::int64_t codebook_size() const { return tokenizer_.config().n_embed; }
    // Memory that encoding or decoding a batch takes.
    std::size_t planned_bytes() const { return std::max(encoding_.bytes, decoding_.bytes); }

    // images [n, C, size, size], any n -> codes [n, N], raster order. Throws Error if memory is short.
    std::vector<std::int32_t> encode(std::span<const std::uint8_t> images);
    // codes [n, N], each in the codebook -> images [n, C, size, size], clamped and rounded. Throws Error if
    // memory is short, or for a code that is not in the codebook.
    std::vector<std::uint8_t> decode(std::span<const std::int32_t> codes);

  private:
    std::size_t image_bytes() const;
    void encode_batch(std::span<const std::uint8_t> images, std::span<std::int32_t> codes);
    void decode_batch(std::span<const std::int32_t> codes, std::span<float> pixels);

    const Tokenizer& tokenizer_;
    std::int64_t size_, batch_;
    MapSize grid_;
    Tape tape_;
    Plan encoding_, decoding_;
};
