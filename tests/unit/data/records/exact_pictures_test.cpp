#include "data/records/exact_pictures.h"

#include <doctest/doctest.h>
#include <zlib.h>

#include <fstream>

#include "data/images/exact_image.h"
#include "runtime/base/error.h"
#include "tests/unit/temporary_folder.h"

namespace {

namespace fs = std::filesystem;
using Names = std::vector<std::string>;

Image picture(int first, int size = 4, int channels = 3) {
    Image image{size, size, channels, {}};
    for (int i = 0; i < size * size * channels; ++i)
        image.pixels.push_back(static_cast<std::uint8_t>(first + 5 * i));
    return image;
}

void write_picture(const fs::path& path, const Image& image) {
    fs::create_directories(path.parent_path());
    write_png(path, image);
}

// A PNG file of one row of pixels, each of `bytes` bytes, of the colour type and bits a sample.
void write_raw_png(const fs::path& path, std::uint8_t bits, std::uint8_t type, int width,
                   const std::string& pixels) {
    std::string file("\x89PNG\r\n\x1a\n");
    const auto big_endian = [](std::uint32_t value) {
        return std::string{static_cast<char>(value >> 24), static_cast<char>(value >> 16),
                           static_cast<char>(value >> 8), static_cast<char>(value)};
    };
    const auto chunk = [&](const std::string& name, const std::string& bytes) {
        const std::string body = name + bytes;
        const auto checksum = static_cast<std::uint32_t>(
            crc32(0, reinterpret_cast<const Bytef*>(body.data()), static_cast<uInt>(body.size())));
        file += big_endian(static_cast<std::uint32_t>(bytes.size())) + body + big_endian(checksum);
    };
    const std::string row = std::string(1, '\0') + pixels;
    std::string packed(200, '\0');
    uLongf size = packed.size();
    REQUIRE(compress(reinterpret_cast<Bytef*>(packed.data()), &size,
                     reinterpret_cast<const Bytef*>(row.data()), row.size()) == Z_OK);
    packed.resize(size);
    chunk("IHDR", big_endian(static_cast<std::uint32_t>(width)) + big_endian(1) +
                      std::string{static_cast<char>(bits), static_cast<char>(type), 0, 0, 0});
    chunk("IDAT", packed);
    chunk("IEND", "");
    std::ofstream(path, std::ios::binary) << file;
}

}  // namespace

TEST_CASE("exact image: what fits into the channels is read as it is") {
    const TemporaryFolder folder;
    write_png(folder / "colour.png", picture(3));
    CHECK(read_exact_image(folder / "colour.png", 3).pixels == picture(3).pixels);
    write_png(folder / "grey.png", picture(3, 4, 1));
    CHECK(read_exact_image(folder / "grey.png", 1).pixels == picture(3, 4, 1).pixels);
    CHECK(read_exact_image(folder / "grey.png", 3).pixels.size() == 48);
    write_raw_png(folder / "opaque.png", 8, 6, 2, std::string("\1\2\3\xFF\4\5\6\xFF", 8));
    CHECK(read_exact_image(folder / "opaque.png", 3).pixels == std::vector<std::uint8_t>{1, 2, 3, 4, 5, 6});
}

TEST_CASE("exact image: what would lose something is refused") {
    const TemporaryFolder folder;
    write_png(folder / "colour.png", picture(3));
    CHECK_THROWS_WITH_AS(read_exact_image(folder / "colour.png", 1), doctest::Contains("has colours"), Error);
    write_raw_png(folder / "clear.png", 8, 6, 2, std::string("\1\2\3\xFF\4\5\6\xFE", 8));
    CHECK_THROWS_WITH_AS(read_exact_image(folder / "clear.png", 3), doctest::Contains("transparent"), Error);
    write_raw_png(folder / "deep.png", 16, 2, 1, std::string("\1\2\3\4\5\6", 6));
    CHECK_THROWS_WITH_AS(read_exact_image(folder / "deep.png", 3), doctest::Contains("16 bits"), Error);
}

TEST_CASE("exact pictures: a folder's pictures by their names") {
    const TemporaryFolder folder;
    write_picture(folder / "in/b/2.png", picture(2));
    write_picture(folder / "in/b/1.png", picture(1));
    write_picture(folder / "in/a.png", picture(0));
    std::ofstream(folder / "in/notes.txt") << "none";
    const ExactPictures pictures(folder / "in", 4, 3);
    CHECK(pictures.count() == 3);
    CHECK(pictures.names() == Names{"a.png", "b/1.png", "b/2.png"});
    CHECK(pictures.read(1, 1) == planar_pixels(picture(1)));
    CHECK(pictures.read(0, 3).size() == 3 * 48);
    CHECK(ExactPictures(folder / "in/b/2.png", 4, 3).names() == Names{"2.png"});
    CHECK_THROWS_WITH_AS(ExactPictures(folder / "in", 5, 3),
                         doctest::Contains("4x4 pixels, the model codes 5x5"), Error);
    std::ofstream(folder / "in/other.webp") << "RIFF";
    CHECK_THROWS_WITH_AS(ExactPictures(folder / "in", 4, 3), doctest::Contains("other.webp"), Error);
    fs::create_directory(folder / "empty");
    CHECK_THROWS_WITH_AS(ExactPictures(folder / "empty", 4, 3), doctest::Contains("holds no"), Error);
    CHECK_THROWS_WITH_AS(ExactPictures(folder / "missing", 4, 3), doctest::Contains("missing"), Error);
}

TEST_CASE("exact pictures: numbers in place of names") {
    const TemporaryFolder folder;
    for (int i = 0; i < 2; ++i) write_picture(folder / ("in/00000" + std::to_string(i) + ".png"), picture(i));
    CHECK(ExactPictures(folder / "in", 4, 3).names().empty());
    write_picture(folder / "in/000003.png", picture(3));
    CHECK(ExactPictures(folder / "in", 4, 3).names().size() == 3);

    PackedWriter writer(folder / "packed.bin", 4, 3, {});
    for (int i = 0; i < 3; ++i) writer.add(planar_pixels(picture(i)).data(), -1);
    writer.commit();
    const ExactPictures packed(folder / "packed.bin", 4, 3);
    CHECK(packed.count() == 3);
    CHECK(packed.names().empty());
    CHECK(packed.read(2, 1) == planar_pixels(picture(2)));
    CHECK_THROWS_WITH_AS(ExactPictures(folder / "packed.bin", 8, 3), doctest::Contains("the model codes 8x8"),
                         Error);
    CHECK_THROWS_WITH_AS(ExactPictures(folder / "packed.bin", 4, 1), doctest::Contains("3 channels"), Error);
}
