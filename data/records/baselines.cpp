#include "data/records/baselines.h"

#include <webp/encode.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
#include <vector>

#include "data/images/image_file.h"
#include "kernels/common/threads.h"
#include "runtime/base/error.h"

namespace {

using Histogram = std::array<std::int64_t, 256>;

double entropy_of(const Histogram& histogram) {
    double total = 0.0, weighted = 0.0;
    for (const std::int64_t count : histogram) {
        if (count == 0) continue;
        total += static_cast<double>(count);
        weighted += static_cast<double>(count) * std::log2(static_cast<double>(count));
    }
    return std::max(0.0, std::log2(total) - weighted / total);  // rounding must not make it negative
}

double mean_channel_entropy(const PackedFile& file, std::int64_t images) {
    std::vector<Histogram> histograms(static_cast<std::size_t>(file.channels()));
    const std::int64_t plane = std::int64_t{file.size()} * file.size();
    for (std::int64_t i = 0; i < images; ++i) {
        const std::uint8_t* pixels = file.pixels(i);
        for (Histogram& histogram : histograms)
            for (std::int64_t k = 0; k < plane; ++k) ++histogram[*pixels++];
    }
    double sum = 0.0;
    for (const Histogram& histogram : histograms) sum += entropy_of(histogram);
    return sum / file.channels();
}

// [size, size, channels] with as many channels as `picture`, [C, size, size], or 3 with a grey channel thrice.
Image interleaved(const std::uint8_t* picture, int size, int C, int channels) {
    Image image{size, size, channels, {}};
    const std::int64_t plane = std::int64_t{size} * size;
    image.pixels.resize(static_cast<std::size_t>(plane * channels));
    for (std::int64_t k = 0; k < plane; ++k)
        for (int c = 0; c < channels; ++c)
            image.pixels[static_cast<std::size_t>(k * channels + c)] =
                picture[std::min(c, C - 1) * plane + k];
    return image;
}

std::int64_t webp_bytes(const Image& image) {
    // The settings that the Python Imaging Library takes for save(lossless=True).
    WebPConfig config;
    WebPPicture picture;
    if (!WebPConfigInit(&config) || !WebPPictureInit(&picture))
        fail("the WebP library differs from the one compiled for");
    config.lossless = 1;
    config.method = 4;
    config.quality = 80;
    picture.use_argb = 1;
    picture.width = image.width;
    picture.height = image.height;
    WebPMemoryWriter writer;
    WebPMemoryWriterInit(&writer);
    picture.writer = WebPMemoryWrite;
    picture.custom_ptr = &writer;
    const bool encoded = WebPPictureImportRGB(&picture, image.pixels.data(), image.width * 3) != 0 &&
                         WebPEncode(&config, &picture) != 0;
    const auto bytes = static_cast<std::int64_t>(writer.size);
    WebPMemoryWriterClear(&writer);
    WebPPictureFree(&picture);
    if (!encoded) fail("the WebP library gave up with error {}", static_cast<int>(picture.error_code));
    return bytes;
}

}  // namespace

FileSizes file_sizes(const std::uint8_t* pictures, std::int64_t count, int size, int channels) {
    const std::int64_t picture_bytes = std::int64_t{size} * size * channels;
    std::atomic<std::int64_t> png = 0, webp = 0;
    cpu::share_each(count, 16, [&](std::int64_t i) {
        const std::uint8_t* picture = pictures + i * picture_bytes;
        png += static_cast<std::int64_t>(encode_png(interleaved(picture, size, channels, channels)).size());
        webp += webp_bytes(interleaved(picture, size, channels, 3));
    });
    return {png, webp};
}

Baselines measure_baselines(const PackedFile& file, std::int64_t images) {
    if (images < 1) fail("baselines of {} images, expected at least 1", images);
    images = std::min(images, file.count());
    const FileSizes sizes = file_sizes(file.pixels(0), images, file.size(), file.channels());
    const double dimensions = static_cast<double>(images) * static_cast<double>(file.record_bytes());
    return {images, mean_channel_entropy(file, images), 8.0 * static_cast<double>(sizes.png) / dimensions,
            8.0 * static_cast<double>(sizes.webp) / dimensions};
}
