#include "models/nat/image_codec.h"

#include <algorithm>

#include "models/nat/pictures.h"
#include "runtime/base/error.h"
#include "runtime/ops/gradients.h"
#include "runtime/ops/image_ops.h"
#include "runtime/ops/ops.h"
#include "runtime/tensor/require_memory.h"

ImageCodec::ImageCodec(const Tokenizer& tokenizer, std::int64_t size, std::int64_t batch,
                       std::string_view source)
    : tokenizer_(tokenizer),
      size_(size),
      batch_(batch),
      grid_(tokenizer.grid({size, size}, source)),
      tape_(tokenizer.backend()),
      encoding_(plan_job(tape_, [&] { encode_batch({}, {}); })),
      decoding_(plan_job(tape_, [&] { decode_batch({}, {}); })) {}

std::size_t ImageCodec::image_bytes() const {
    return static_cast<std::size_t>(tokenizer_.config().in_channels * size_ * size_);
}

void ImageCodec::encode_batch(std::span<const std::uint8_t> images, std::span<std::int32_t> codes) {
    const Tensor bytes = tape_.create(batch_, static_cast<std::int64_t>(image_bytes()), false, Element::u8);
    copy_to_tensor(tape_, bytes, images.data(), images.size());
    const Tensor z = tokenizer_.encode(
        tape_, picture_maps(tape_, bytes, tokenizer_.config().in_channels, size_), {size_, size_});
    copy_from_tensor(tape_, codes.data(), tokenizer_.codes(tape_, z), codes.size_bytes());
}

void ImageCodec::decode_batch(std::span<const std::int32_t> codes, std::span<float> pixels) {
    const Tensor given = tape_.create(batch_ * tokens(), 1, false, Element::i32);
    copy_to_tensor(tape_, given, codes.data(), codes.size_bytes());
    const Tensor pictures =
        converted(tape_, tokenizer_.decode(tape_, tokenizer_.entries(tape_, given), grid_), Element::f32);
    copy_from_tensor(tape_, pixels.data(), unpatchify(tape_, pictures, tokenizer_.config().out_ch, size_, 1),
                     pixels.size_bytes());
}

// A last batch that is not full is filled up with zeros, so that every run is the one that was planned.
std::vector<std::int32_t> ImageCodec::encode(std::span<const std::uint8_t> images) {
    require_memory(tape_, encoding_, fmt::format("encoding {} pictures at once", batch_),
                   "encode fewer at once (--batch)");
    const std::size_t n = images.size() / image_bytes(), batch = static_cast<std::size_t>(batch_),
                      N = static_cast<std::size_t>(tokens());
    std::vector<std::int32_t> codes(n * N), batch_codes(batch * N);
    std::vector<std::uint8_t> batch_images(batch * image_bytes());
    for (std::size_t first = 0; first < n; first += batch) {
        const std::size_t count = std::min(batch, n - first);
        std::ranges::copy(images.subspan(first * image_bytes(), count * image_bytes()), batch_images.begin());
        std::fill(batch_images.begin() + static_cast<std::ptrdiff_t>(count * image_bytes()),
                  batch_images.end(), std::uint8_t{0});
        run_job(tape_, encoding_, [&] { encode_batch(batch_images, batch_codes); });
        std::copy_n(batch_codes.begin(), count * N, codes.begin() + static_cast<std::ptrdiff_t>(first * N));
    }
    return codes;
}

std::vector<std::uint8_t> ImageCodec::decode(std::span<const std::int32_t> codes) {
    require_memory(tape_, decoding_, fmt::format("decoding {} pictures at once", batch_),
                   "decode fewer at once (--batch)");
    for (const std::int32_t code : codes)
        if (code < 0 || code >= tokenizer_.config().n_embed)
            fail("code {}: not in the codebook of {} entries", code, tokenizer_.config().n_embed);
    const std::size_t N = static_cast<std::size_t>(tokens()), n = codes.size() / N,
                      batch = static_cast<std::size_t>(batch_);
    std::vector<std::uint8_t> images(n * image_bytes());
    std::vector<std::int32_t> batch_codes(batch * N);
    std::vector<float> pixels(batch * image_bytes());
    for (std::size_t first = 0; first < n; first += batch) {
        const std::size_t count = std::min(batch, n - first);
        std::ranges::fill(batch_codes, 0);
        std::ranges::copy(codes.subspan(first * N, count * N), batch_codes.begin());
        run_job(tape_, decoding_, [&] { decode_batch(batch_codes, pixels); });
        std::transform(pixels.begin(), pixels.begin() + static_cast<std::ptrdiff_t>(count * image_bytes()),
                       images.begin() + static_cast<std::ptrdiff_t>(first * image_bytes()), pixel_byte);
    }
    return images;
}
