#include "data/images/animation.h"

#include <webp/encode.h>
#include <webp/mux.h>

#include <cstdint>
#include <limits>
#include <memory>
#include <stdexcept>
#include <string>

#include "runtime/base/error.h"
#include "runtime/files/atomic_file.h"

namespace {

void check(std::span<const Image> frames, AnimationTiming timing) {
    if (frames.empty()) throw std::logic_error("an animation of no frames");
    const Image& first = frames.front();
    for (const Image& frame : frames) {
        if (frame.width != first.width || frame.height != first.height)
            throw std::logic_error(fmt::format("an animation with frames of {}x{} and {}x{} pixels",
                                               first.width, first.height, frame.width, frame.height));
        if (frame.channels != 1 && frame.channels != 3)
            throw std::logic_error(
                fmt::format("an animation's frame of {} channels, expected 1 or 3", frame.channels));
    }
    if (timing.frame < 1 || timing.last_frame < 1)
        throw std::logic_error(fmt::format("an animation whose frames stay {} and {} milliseconds",
                                           timing.frame, timing.last_frame));
    const std::int64_t before_last = static_cast<std::int64_t>(frames.size() - 1) * timing.frame;
    if (before_last > std::numeric_limits<int>::max() - timing.last_frame)
        throw std::logic_error(
            fmt::format("an animation of {} frames of {} milliseconds each", frames.size(), timing.frame));
}

// The library's picture of a frame; owns its pixels.
class Picture {
  public:
    explicit Picture(const Image& image) {
        if (!WebPPictureInit(&picture_)) fail("the WebP library differs from the one compiled for");
        picture_.use_argb = 1;
        picture_.width = image.width;
        picture_.height = image.height;
        if (!WebPPictureAlloc(&picture_)) throw std::bad_alloc();
        const int green = image.channels / 3, blue = 2 * green;  // all three are the one channel if grey
        const std::uint8_t* pixel = image.pixels.data();
        for (int y = 0; y < image.height; ++y)
            for (int x = 0; x < image.width; ++x, pixel += image.channels)
                picture_.argb[std::ptrdiff_t{y} * picture_.argb_stride + x] =
                    0xFF000000U | std::uint32_t{pixel[0]} << 16 | std::uint32_t{pixel[green]} << 8 |
                    pixel[blue];
    }
    ~Picture() { WebPPictureFree(&picture_); }
    Picture(const Picture&) = delete;
    Picture& operator=(const Picture&) = delete;

    WebPPicture* get() { return &picture_; }

  private:
    WebPPicture picture_;
};

using Encoder = std::unique_ptr<WebPAnimEncoder, decltype(&WebPAnimEncoderDelete)>;

void check_encoded(int success, const Encoder& encoder, const std::string& name) {
    if (!success) fail("{}: the WebP library gave up: {}", name, WebPAnimEncoderGetError(encoder.get()));
}

void add_frames(const Encoder& encoder, std::span<const Image> frames, AnimationTiming timing,
                const std::string& name) {
    WebPConfig config;
    if (!WebPConfigInit(&config)) fail("the WebP library differs from the one compiled for");
    config.lossless = 1;
    int start = 0;
    for (const Image& frame : frames) {
        Picture picture(frame);
        check_encoded(WebPAnimEncoderAdd(encoder.get(), picture.get(), start, &config), encoder, name);
        start += timing.frame;
    }
    const int end = start - timing.frame + timing.last_frame;
    check_encoded(WebPAnimEncoderAdd(encoder.get(), nullptr, end, nullptr), encoder, name);
}

}  // namespace

void write_animation(const std::filesystem::path& path, std::span<const Image> frames,
                     AnimationTiming timing) {
    check(frames, timing);
    const std::string name = path.string();
    const int width = frames.front().width, height = frames.front().height;
    if (width > WEBP_MAX_DIMENSION || height > WEBP_MAX_DIMENSION)
        fail("{}: frames of {}x{} pixels, expected at most {} a side in an animated WebP file", name, width,
             height, WEBP_MAX_DIMENSION);
    AtomicFile file(path);  // first, so that a folder that is not writable is reported before the work

    WebPAnimEncoderOptions options;
    if (!WebPAnimEncoderOptionsInit(&options)) fail("the WebP library differs from the one compiled for");
    options.anim_params.loop_count = 0;  // for ever
    const Encoder encoder(WebPAnimEncoderNew(width, height, &options), &WebPAnimEncoderDelete);
    if (!encoder) throw std::bad_alloc();
    add_frames(encoder, frames, timing, name);

    WebPData bytes;
    WebPDataInit(&bytes);
    const std::unique_ptr<WebPData, decltype(&WebPDataClear)> owner(&bytes, &WebPDataClear);
    check_encoded(WebPAnimEncoderAssemble(encoder.get(), &bytes), encoder, name);
    file.write(bytes.bytes, bytes.size);
    file.commit();
}
