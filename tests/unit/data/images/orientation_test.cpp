#include "data/images/orientation.h"

#include <doctest/doctest.h>
#include <zlib.h>

#include <fstream>
#include <iterator>
#include <string>

#include "data/images/edit_mask.h"
#include "tests/unit/temporary_folder.h"

namespace {

using Samples = std::vector<std::uint8_t>;

std::string number(std::uint64_t value, int bytes, bool big_endian) {
    std::string text;
    for (int i = 0; i < bytes; ++i)
        text += static_cast<char>(value >> 8 * (big_endian ? bytes - 1 - i : i) & 0xFF);
    return text;
}

// EXIF as a camera writes it: three entries, the orientation second.
std::string exif(int orientation, bool big_endian, int type = 3, int count = 1) {
    const auto entry = [&](int tag, int of_type, int of_count, const std::string& value) {
        return number(tag, 2, big_endian) + number(of_type, 2, big_endian) + number(of_count, 4, big_endian) +
               (value + "\0\0\0\0").substr(0, 2) + std::string(2, '\0');
    };
    return (big_endian ? "MM" : "II") + number(42, 2, big_endian) + number(12, 4, big_endian) + "gap " +
           number(3, 2, big_endian) + entry(0x010F, 2, 1, number(0, 2, big_endian)) +
           entry(0x0112, type, count, number(orientation, 2, big_endian)) +
           entry(0x0128, 3, 1, number(2, 2, big_endian)) + number(0, 4, big_endian);
}

std::string bytes_of(const std::vector<std::uint8_t>& bytes) {
    return {bytes.begin(), bytes.end()};
}

// With a chunk eXIf before the end.
std::string png_with(const std::string& tiff, const Image& image) {
    const std::string png = bytes_of(encode_png(image)), body = "eXIf" + tiff;
    const auto checksum = crc32_z(0, reinterpret_cast<const Bytef*>(body.data()), body.size());
    const std::size_t end = png.size() - 12;
    return png.substr(0, end) + number(tiff.size(), 4, true) + body + number(checksum, 4, true) +
           png.substr(end);
}

std::string jpeg_with(const std::string& segment) {
    std::ifstream corpus("tests/fuzz/corpus/image/jpeg-no-subsampling", std::ios::binary);
    const std::string jpeg{std::istreambuf_iterator<char>(corpus), {}};
    return jpeg.substr(0, 2) + "\xFF\xE1" + number(segment.size() + 2, 2, true) + segment + jpeg.substr(2);
}

const std::string exif_start("Exif\0\0", 6);

struct Files {
    OrientedImage read(const std::string& bytes) const {
        std::ofstream(folder / "image", std::ios::binary) << bytes;
        return read_oriented_image(folder / "image", 1);
    }
    Image shown(const std::string& bytes) const {
        std::ofstream(folder / "image", std::ios::binary) << bytes;
        return read_upright_image(folder / "image", 1);
    }

    TemporaryFolder folder;
};

// 1 2 3
// 4 5 6
const Image stored{3, 2, 1, {1, 2, 3, 4, 5, 6}};

struct Shown {
    int orientation, width;
    Samples pixels;
};
const std::vector<Shown> all_orientations{{1, 3, {1, 2, 3, 4, 5, 6}}, {2, 3, {3, 2, 1, 6, 5, 4}},
                                          {3, 3, {6, 5, 4, 3, 2, 1}}, {4, 3, {4, 5, 6, 1, 2, 3}},
                                          {5, 2, {1, 4, 2, 5, 3, 6}}, {6, 2, {4, 1, 5, 2, 6, 3}},
                                          {7, 2, {6, 3, 5, 2, 4, 1}}, {8, 2, {3, 6, 2, 5, 1, 4}}};

}  // namespace

TEST_CASE_FIXTURE(Files, "orientation: all eight, both orders of bytes, in PNG and JPEG") {
    for (const Shown& expected : all_orientations)
        for (const bool big_endian : {false, true}) {
            CAPTURE(expected.orientation);
            CAPTURE(big_endian);
            const std::string tiff = exif(expected.orientation, big_endian), png = png_with(tiff, stored);
            CHECK(read(png).orientation == expected.orientation);
            CHECK(read(png).image.pixels == stored.pixels);
            const Image image = shown(png);
            CHECK(image.width == expected.width);
            CHECK(image.height == 6 / expected.width);
            CHECK(image.pixels == expected.pixels);

            const std::string jpeg = jpeg_with(exif_start + tiff);
            const OrientedImage as_stored = read(jpeg);
            CHECK(as_stored.orientation == expected.orientation);
            CHECK(shown(jpeg).pixels == upright(as_stored.image, expected.orientation).pixels);
        }
}

TEST_CASE("orientation: pixels of three channels stay together") {
    CHECK(upright({2, 1, 3, {1, 2, 3, 4, 5, 6}}, 3).pixels == Samples{4, 5, 6, 1, 2, 3});
    const Image turned = upright({2, 1, 3, {1, 2, 3, 4, 5, 6}}, 6);
    CHECK(turned.width == 1);
    CHECK(turned.pixels == Samples{1, 2, 3, 4, 5, 6});
}

TEST_CASE_FIXTURE(Files, "orientation: what is not sound counts for nothing") {
    const std::string sound = exif(6, false);
    std::string far = sound, many = sound;
    far.replace(4, 4, "\xFF\xFF\xFF\xFF");
    many.replace(12, 2, "\xFF\xFF");
    CHECK(read(png_with(many, stored)).orientation == 6);  // found before the end
    for (const std::string& tiff : std::vector<std::string>{
             far, exif(0, false), exif(9, true), exif(0x0600, false), exif(6, false, 2), exif(6, false, 3, 2),
             "", "II", "XX" + sound.substr(2), "MM" + sound.substr(2)}) {
        CHECK(read(png_with(tiff, stored)).orientation == 1);
        CHECK(read(jpeg_with(exif_start + tiff)).orientation == 1);
    }
    for (std::size_t length = 0; length < 12 + 2 + 2 * 12; ++length)
        CHECK(read(jpeg_with(exif_start + sound.substr(0, length))).orientation == 1);
    // APP1 of something else; the first segment of EXIF counts.
    CHECK(read(jpeg_with("http://ns.adobe.com/xap/1.0/" + sound)).orientation == 1);
    CHECK(read(jpeg_with("Exif" + sound)).orientation == 1);
}

TEST_CASE_FIXTURE(Files, "orientation: picture and mask of an edit, each by its own") {
    // Shown as 2 x 4 pixels, 50 10, 60 20, 70 30, 80 40, of which the model sees the middle.
    const Image wide{4, 2, 1, {10, 20, 30, 40, 50, 60, 70, 80}};
    std::ofstream(folder / "picture.png", std::ios::binary) << png_with(exif(6, true), wide);
    EditRequest request;
    request.picture = folder / "picture.png";
    request.box = {0, 1, 1, 1};
    const EditCanvas boxed = make_edit_canvas(request, 2, 1);
    CHECK(boxed.picture.pixels == Samples{60, 20, 70, 30});
    CHECK(boxed.mask == Samples{1, 0, 0, 0});
    request.box.clear();
    write_png(folder / "mask.png", {2, 4, 1, {0, 0, 255, 0, 0, 0, 0, 0}});
    std::ofstream(folder / "turned mask.png", std::ios::binary)
        << png_with(exif(6, false), {4, 2, 1, {0, 0, 0, 0, 0, 255, 0, 0}});
    for (const char* mask : {"mask.png", "turned mask.png"}) {
        request.mask = folder / mask;
        CHECK(make_edit_canvas(request, 2, 1).mask == Samples{1, 0, 0, 0});
    }
}
