#include "data/images/animation.h"

#include <doctest/doctest.h>
#include <webp/demux.h>

#include <fstream>
#include <memory>
#include <random>
#include <stdexcept>

#include "data/images/sheet.h"
#include "runtime/base/error.h"
#include "tests/unit/temporary_folder.h"

namespace {

Image noise(int width, int height, int channels, unsigned seed) {
    std::mt19937 engine(seed);
    Image image{width, height, channels, {}};
    image.pixels.resize(static_cast<std::size_t>(width * height * channels));
    for (std::uint8_t& value : image.pixels) value = static_cast<std::uint8_t>(engine());
    return image;
}

struct DecodedFrame {
    std::vector<std::uint8_t> rgba;
    int milliseconds;
};

struct DecodedAnimation {
    int width = 0, height = 0;
    unsigned loops = 1;
    std::vector<DecodedFrame> frames;
};

// A file as decoded by the library's own decoder.
DecodedAnimation decode(const std::filesystem::path& path) {
    std::ifstream file(path, std::ios::binary);
    const std::string bytes{std::istreambuf_iterator<char>(file), {}};
    const WebPData data{reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()};
    const std::unique_ptr<WebPAnimDecoder, decltype(&WebPAnimDecoderDelete)> decoder(
        WebPAnimDecoderNew(&data, nullptr), &WebPAnimDecoderDelete);
    REQUIRE(decoder != nullptr);
    WebPAnimInfo info;
    REQUIRE(WebPAnimDecoderGetInfo(decoder.get(), &info));
    DecodedAnimation animation{
        static_cast<int>(info.canvas_width), static_cast<int>(info.canvas_height), info.loop_count, {}};
    for (int previous_end = 0; WebPAnimDecoderHasMoreFrames(decoder.get());) {
        std::uint8_t* pixels = nullptr;
        int end = 0;
        REQUIRE(WebPAnimDecoderGetNext(decoder.get(), &pixels, &end));
        animation.frames.push_back(
            {{pixels, pixels + std::size_t{info.canvas_width} * info.canvas_height * 4}, end - previous_end});
        previous_end = end;
    }
    return animation;
}

std::vector<std::uint8_t> rgba_of(const Image& image) {
    std::vector<std::uint8_t> rgba;
    for (std::size_t i = 0; i < image.pixels.size(); i += static_cast<std::size_t>(image.channels)) {
        for (std::size_t c = 0; c < 3; ++c) rgba.push_back(image.pixels[image.channels == 1 ? i : i + c]);
        rgba.push_back(255);
    }
    return rgba;
}

std::string refusal(const std::filesystem::path& path, const std::vector<Image>& frames) {
    try {
        write_animation(path, frames);
    } catch (const Error& error) {
        return error.what();
    }
    return "";
}

}  // namespace

TEST_CASE("animation: every frame comes back byte for byte, grey ones and small changes too") {
    const TemporaryFolder folder;
    for (const int channels : {1, 3}) {
        std::vector<Image> frames;
        for (unsigned step = 0; step < 5; ++step) frames.push_back(noise(33, 17, channels, step));
        // As in sampling step by step: one pixel changes, others become black.
        frames.push_back(frames.back());
        frames.back().pixels[100] = static_cast<std::uint8_t>(frames.back().pixels[100] + 1);
        frames.push_back(frames.back());
        std::fill_n(frames.back().pixels.begin(), 200, std::uint8_t{0});
        write_animation(folder / "steps.webp", frames, {40, 900});

        const DecodedAnimation decoded = decode(folder / "steps.webp");
        CHECK(decoded.width == 33);
        CHECK(decoded.height == 17);
        CHECK(decoded.loops == 0);  // for ever
        REQUIRE(decoded.frames.size() == frames.size());
        for (std::size_t i = 0; i < frames.size(); ++i) {
            CAPTURE(i);
            CHECK(decoded.frames[i].rgba == rgba_of(frames[i]));
            CHECK(decoded.frames[i].milliseconds == (i + 1 < frames.size() ? 40 : 900));
        }
    }
}

TEST_CASE("animation: a frame like the one before stays for the time of both") {
    const TemporaryFolder folder;
    const Image first = noise(8, 8, 3, 1), second = noise(8, 8, 3, 2);
    write_animation(folder / "still.webp", std::vector<Image>{first, first, second, second}, {50, 500});
    const DecodedAnimation decoded = decode(folder / "still.webp");
    REQUIRE(decoded.frames.size() == 2);
    CHECK(decoded.frames[0].milliseconds == 100);
    CHECK(decoded.frames[1].milliseconds == 550);
    CHECK(decoded.frames[1].rgba == rgba_of(second));

    write_animation(folder / "one.webp", std::vector<Image>{first});
    const DecodedAnimation one = decode(folder / "one.webp");
    REQUIRE(one.frames.size() == 1);
    CHECK(one.frames[0].rgba == rgba_of(first));
}

TEST_CASE("animation: what cannot be one is refused, and nothing is left behind") {
    const TemporaryFolder folder;
    const auto path = folder / "steps.webp";
    const Image frame = noise(4, 4, 3, 0);
    CHECK_THROWS_AS(write_animation(path, {}), std::logic_error);
    CHECK_THROWS_AS(write_animation(path, std::vector{frame, noise(4, 5, 3, 0)}), std::logic_error);
    CHECK_THROWS_AS(write_animation(path, std::vector{frame, noise(5, 4, 3, 0)}), std::logic_error);
    CHECK_THROWS_AS(write_animation(path, std::vector{noise(4, 4, 2, 0)}), std::logic_error);
    CHECK_THROWS_AS(write_animation(path, std::vector{frame}, {0, 100}), std::logic_error);
    CHECK_THROWS_AS(write_animation(path, std::vector{frame}, {100, 0}), std::logic_error);
    CHECK_THROWS_AS(write_animation(path, std::vector{frame, frame, frame}, {1 << 30, 100}),
                    std::logic_error);
    CHECK(refusal(path, {noise(16'384, 1, 1, 0)}).find("steps.webp: frames of 16384x1") != std::string::npos);
    CHECK(refusal(folder / "none" / "steps.webp", {frame}).find("none/steps.webp") != std::string::npos);
    CHECK(std::filesystem::is_empty(folder.path()));

    write_animation(path, std::vector{frame});
    CHECK(std::filesystem::exists(path));
    CHECK_THROWS_AS(write_animation(path, {}), std::logic_error);
    CHECK(std::filesystem::exists(path));
}

TEST_CASE("animation: a frame at the largest side is written") {
    const TemporaryFolder folder;
    const Image frame = noise(16'383, 1, 1, 0);
    write_animation(folder / "wide.webp", std::vector{frame});
    CHECK(decode(folder / "wide.webp").frames.at(0).rgba == rgba_of(frame));
}
