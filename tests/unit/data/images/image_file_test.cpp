#include "data/images/image_file.h"

#include <doctest/doctest.h>
#include <zlib.h>

#include <cstdlib>
#include <fstream>
#include <initializer_list>
#include <string>
#include <utility>

#include "runtime/base/error.h"
#include "tests/unit/temporary_folder.h"

// Declared only: the functions are compiled with data/images/image_file.cpp.
#define STBI_WRITE_NO_STDIO
#include <stb/stb_image_write.h>

namespace {

void write_bytes(const std::filesystem::path& path, const std::string& bytes) {
    std::ofstream(path, std::ios::binary) << bytes;
}

std::string big_endian(std::uint32_t value) {
    std::string bytes;
    for (int shift = 24; shift >= 0; shift -= 8) bytes += static_cast<char>(value >> shift);
    return bytes;
}

std::string png_chunk(const std::string& type, const std::string& content) {
    const std::string body = type + content;
    const auto checksum = crc32_z(0, reinterpret_cast<const Bytef*>(body.data()), body.size());
    return big_endian(static_cast<std::uint32_t>(content.size())) + body +
           big_endian(static_cast<std::uint32_t>(checksum));
}

const std::string png_magic = "\x89PNG\r\n\x1A\n";

enum ColourType { grey = 0, rgb = 2, palette = 3, grey_alpha = 4, rgba = 6 };

std::string png_header(std::uint32_t width, std::uint32_t height, int depth, ColourType type) {
    std::string content = big_endian(width) + big_endian(height);
    for (const int value : {depth, static_cast<int>(type), 0, 0, 0}) content += static_cast<char>(value);
    return png_magic + png_chunk("IHDR", content);
}

// A PNG whose rows are given as packed samples; filter 0.
std::string png_file(std::uint32_t width, std::uint32_t height, int depth, ColourType type,
                     std::initializer_list<std::string> rows, const std::string& colours = {}) {
    std::string raw;
    for (const std::string& row : rows) raw += '\0' + row;
    std::string packed(compressBound(raw.size()), '\0');
    uLongf length = packed.size();
    REQUIRE(compress(reinterpret_cast<Bytef*>(packed.data()), &length,
                     reinterpret_cast<const Bytef*>(raw.data()), raw.size()) == Z_OK);
    packed.resize(length);
    return png_header(width, height, depth, type) + (colours.empty() ? "" : png_chunk("PLTE", colours)) +
           png_chunk("IDAT", packed) + png_chunk("IEND", "");
}

std::string bytes_of(std::initializer_list<int> values) {
    std::string bytes;
    for (const int value : values) bytes += static_cast<char>(value);
    return bytes;
}

Image gradient(int width, int height, int channels) {
    Image image{width, height, channels, {}};
    for (int y = 0; y < height; ++y)
        for (int x = 0; x < width; ++x)
            for (int c = 0; c < channels; ++c)
                image.pixels.push_back(static_cast<std::uint8_t>(30 + 5 * x + 3 * y + 30 * c));
    return image;
}

std::string jpeg_file(const Image& image, int quality = 95) {
    std::string bytes;
    const auto append = [](void* file, void* start, int size) {
        static_cast<std::string*>(file)->append(static_cast<const char*>(start),
                                                static_cast<std::size_t>(size));
    };
    REQUIRE(stbi_write_jpg_to_func(append, &bytes, image.width, image.height, image.channels,
                                   image.pixels.data(), quality));
    return bytes;
}

// The message of reading the file, "" if that goes well.
std::string refusal(const std::filesystem::path& path) {
    try {
        read_image(path, 3);
    } catch (const Error& error) {
        return error.what();
    }
    return "";
}

class Files {
  public:
    std::vector<std::uint8_t> read(const std::string& bytes, int channels) const {
        write_bytes(folder_ / "image", bytes);
        return read_image(folder_ / "image", channels).pixels;
    }
    std::string refusal(const std::string& bytes) const {
        write_bytes(folder_ / "image", bytes);
        const std::string message = ::refusal(folder_ / "image"), name = (folder_ / "image").string();
        return message.starts_with(name) ? message.substr(name.size()) : message;
    }

  private:
    TemporaryFolder folder_;
};

using Samples = std::vector<std::uint8_t>;

}  // namespace

TEST_CASE("image file: PNGs of every depth and kind") {
    const Files files;
    const std::string grey_8 = png_file(2, 1, 8, grey, {bytes_of({7, 200})});
    CHECK(files.read(grey_8, 1) == Samples{7, 200});
    CHECK(files.read(grey_8, 2) == Samples{7, 255, 200, 255});
    CHECK(files.read(grey_8, 3) == Samples{7, 7, 7, 200, 200, 200});

    // 16 bits: the upper byte stays, not a rounded one.
    CHECK(files.read(png_file(2, 1, 16, grey, {bytes_of({7, 255, 200, 128})}), 1) == Samples{7, 200});
    CHECK(files.read(png_file(1, 1, 16, rgb, {bytes_of({1, 255, 2, 255, 3, 255})}), 3) == Samples{1, 2, 3});
    CHECK(files.read(png_file(1, 1, 16, rgba, {bytes_of({1, 255, 2, 255, 3, 255, 0, 0})}), 3) ==
          Samples{1, 2, 3});

    const std::string with_alpha = png_file(2, 1, 8, rgba, {bytes_of({10, 20, 30, 0, 40, 50, 60, 99})});
    CHECK(files.read(with_alpha, 3) == Samples{10, 20, 30, 40, 50, 60});
    const std::string grey_with_alpha = png_file(2, 1, 8, grey_alpha, {bytes_of({5, 0, 6, 77})});
    CHECK(files.read(grey_with_alpha, 1) == Samples{5, 6});
    CHECK(files.read(grey_with_alpha, 2) == Samples{5, 0, 6, 77});

    // One bit a pixel: ten pixels in two bytes.
    CHECK(files.read(png_file(10, 1, 1, grey, {bytes_of({0xA5, 0x40})}), 1) ==
          Samples{255, 0, 255, 0, 0, 255, 0, 255, 0, 255});
    CHECK(files.read(
              png_file(2, 2, 8, palette, {bytes_of({1, 0}), bytes_of({0, 1})}, bytes_of({1, 2, 3, 4, 5, 6})),
              3) == Samples{4, 5, 6, 1, 2, 3, 1, 2, 3, 4, 5, 6});
}

TEST_CASE("image file: what is written is read again, whatever the sides") {
    const TemporaryFolder folder;
    for (const int channels : {1, 3})
        for (const auto& [width, height] : {std::pair{1, 1}, {1, 9}, {13, 1}, {31, 17}}) {
            const Image image = gradient(width, height, channels);
            write_png(folder / "a picture ü.png", image);
            const Image again = read_image(folder / "a picture ü.png", channels);
            CHECK(again.width == width);
            CHECK(again.height == height);
            CHECK(again.channels == channels);
            CHECK(again.pixels == image.pixels);
        }
    CHECK_THROWS_AS(write_png(folder / "none" / "picture.png", gradient(2, 2, 3)), Error);
}

TEST_CASE("image file: a JPEG, whatever its name") {
    const TemporaryFolder folder;
    const Image image = gradient(19, 23, 3);
    write_bytes(folder / "photograph.png", jpeg_file(image));
    const Image read = read_image(folder / "photograph.png", 3);
    REQUIRE(read.width == 19);
    REQUIRE(read.height == 23);
    REQUIRE(read.pixels.size() == image.pixels.size());
    for (std::size_t i = 0; i < image.pixels.size(); ++i)
        REQUIRE(std::abs(read.pixels[i] - image.pixels[i]) <= 6);
    CHECK(read_image(folder / "photograph.png", 1).pixels.size() == 19 * 23);
}

TEST_CASE("image file: what is neither JPEG nor PNG is refused by its first bytes") {
    const Files files;
    for (const std::string& bytes :
         {std::string("just a text"), std::string("GIF89a"), std::string("BM\0\0\0\0", 6),
          std::string("\x89PNG"), png_magic.substr(0, 7), std::string("\xFF\xD8"),
          std::string("P5 1 1 255\n0"), std::string("RIFF\0\0\0\0WEBPVP8 ", 16), std::string(100, '\0')}) {
        CAPTURE(bytes);
        CHECK(files.refusal(bytes) == ": not a JPEG or PNG");
    }
    CHECK(files.refusal("") == ": empty");
    const TemporaryFolder folder;
    CHECK(refusal(folder / "none.png").ends_with("none.png: cannot be opened: No such file or directory"));
    CHECK(refusal(folder.path()).ends_with(": not a file"));
}

TEST_CASE("image file: cut off anywhere it is refused by name") {
    const Files files;
    const std::vector<std::uint8_t> encoded = encode_png(gradient(9, 7, 3));
    const std::string png(encoded.begin(), encoded.end());
    for (const std::string& whole : {png, jpeg_file(gradient(9, 7, 3)), jpeg_file(gradient(40, 9, 1), 30)}) {
        REQUIRE(files.refusal(whole).empty());
        CHECK(files.refusal(whole + "more").empty());
        // From here on the header is complete, and the message names the missing part.
        const std::size_t header = whole == png ? png.find("IDAT") : whole.find("\xFF\xDA");
        for (std::size_t length = 0; length < whole.size(); ++length) {
            CAPTURE(length);
            const std::string message = files.refusal(whole.substr(0, length));
            REQUIRE(message.starts_with(": "));
            if (length > header) REQUIRE(message.starts_with(": truncated "));
        }
    }
}

TEST_CASE("image file: a JPEG with Huffman tables that are too long is refused before it is decoded") {
    const Files files;
    const std::string whole = jpeg_file(gradient(9, 7, 3));
    const std::size_t tables = whole.find("\xFF\xC4");  // then length 2, class and number 1, counts 16
    REQUIRE(tables != std::string::npos);
    std::string many = whole;
    many[tables + 6] = '\xFF', many[tables + 7] = '\x02';
    CHECK(files.refusal(many).starts_with(": damaged JPEG: a Huffman table of "));
    // A segment of 3 + 16 + 300 bytes: there is room for the codes, but not in a decoder's table.
    const std::string counts = std::string(8, '\0') + "\xFF" + "\x2D" + std::string(6, '\0');
    const std::string segment = std::string("\xFF\xC4\x01\x3F", 4) + '\0' + counts + std::string(300, 'x');
    CHECK(files.refusal(whole.substr(0, tables) + segment + whole.substr(tables)) ==
          ": damaged JPEG: a Huffman table of 300 codes, expected at most 256");
    std::string cut = std::string("\xFF\xC4\0\x09", 4) + std::string(7, '\0');
    CHECK(files.refusal(whole.substr(0, tables) + cut + whole.substr(tables)) ==
          ": damaged JPEG: a Huffman table is cut off");
}

TEST_CASE(
    "image file: a JPEG with 256 short codes in a Huffman table, which the decoder mistakes, is refused") {
    const Files files;
    const std::string whole = jpeg_file(gradient(9, 7, 3));
    const std::size_t tables = whole.find("\xFF\xC4");
    const auto with_codes = [&](char of_8_bits, char of_9_bits, char of_10_bits) {
        const std::string counts =
            std::string(7, '\0') + of_8_bits + of_9_bits + of_10_bits + std::string(6, '\0');
        const std::string table = std::string("\xFF\xC4\x01\x13\x03", 5) + counts + std::string(256, 'x');
        return files.refusal(whole.substr(0, tables) + table + whole.substr(tables));
    };
    CHECK(with_codes('\xFE', '\x02', '\0') ==
          ": unsupported JPEG: a Huffman table of 256 codes of at most 9 bits, expected fewer");
    CHECK(with_codes('\xFE', '\x01', '\x01') == "");
}

TEST_CASE("image file: a JPEG whose scan or frame names a table that the file does not define is refused") {
    const Files files;
    const std::string whole = jpeg_file(gradient(9, 7, 3));
    REQUIRE(files.refusal(whole) == "");
    const auto changed = [&](const std::string& segment, std::size_t place, char value) {
        std::string file = whole;
        const std::size_t start = file.find(segment);
        REQUIRE(start != std::string::npos);
        file[start + place] = value;
        return files.refusal(file);
    };
    // Behind marker and length: the number of components, and for each its name and its tables.
    const std::string scan("\xFF\xDA\0\x0C\x03", 5),
        no_huffman_table = ": damaged JPEG: a scan by a Huffman table that the file does not define";
    CHECK(changed(scan, 6, 0x20) == no_huffman_table);
    CHECK(changed(scan, 8, 0x12) == no_huffman_table);
    CHECK(changed(scan, 3, 0x0A) == ": damaged JPEG: a scan's header is cut off");
    // Precision, height, width, the number of components, and for each its name, sampling and table.
    CHECK(changed("\xFF\xC0", 4 + 6 + 2, 3) ==
          ": damaged JPEG: a component with a quantisation table that the file does not define");
    CHECK(changed("\xFF\xC0", 4 + 6, 9) == ": damaged JPEG: a component of which the file holds no scan");
    // A progressive scan of first bits of the first coefficient needs no table of others.
    std::ifstream corpus("tests/fuzz/corpus/image/jpeg-progressive", std::ios::binary);
    std::string progressive{std::istreambuf_iterator<char>(corpus), {}};
    REQUIRE(files.refusal(progressive) == "");
    const std::size_t first = progressive.find("\xFF\xDA");
    const std::size_t components = static_cast<std::size_t>(progressive[first + 4]);
    REQUIRE(progressive[first + 5 + 2 * components] == 0);
    progressive[first + 6] = static_cast<char>(progressive[first + 6] | 3);
    CHECK(files.refusal(progressive) == "");
    progressive[first + 6] = static_cast<char>(progressive[first + 6] | 0x30);
    CHECK(files.refusal(progressive) == no_huffman_table);
}

TEST_CASE("image file: a colour beyond the palette is black") {
    const Files files;
    const Samples expected{1, 2, 3, 0, 0, 0, 4, 5, 6, 0, 0, 0};
    for (int attempt = 0; attempt < 2; ++attempt)
        CHECK(files.read(png_file(4, 1, 8, palette, {bytes_of({0, 2, 1, 255})}, bytes_of({1, 2, 3, 4, 5, 6})),
                         3) == expected);
}

TEST_CASE("image file: a PNG with any bit flipped is refused") {
    const Files files;
    const std::vector<std::uint8_t> encoded = encode_png(gradient(9, 7, 3));
    for (std::size_t i = 0; i < encoded.size() * 8; ++i) {
        CAPTURE(i);
        std::string flipped(encoded.begin(), encoded.end());
        flipped[i / 8] = static_cast<char>(flipped[i / 8] ^ 1 << i % 8);
        REQUIRE(files.refusal(flipped).starts_with(": "));
    }
}

TEST_CASE("image file: a JPEG with any byte wrong is read or refused, no more") {
    const Files files;
    const std::string whole = jpeg_file(gradient(9, 7, 3), 30);
    int refused = 0;
    for (std::size_t i = 0; i < whole.size(); ++i) {
        CAPTURE(i);
        std::string wrong = whole;
        wrong[i] = static_cast<char>(wrong[i] ^ 0xFF);
        const std::string message = files.refusal(wrong);
        REQUIRE((message.empty() || message.starts_with(": ")));
        refused += !message.empty();
    }
    CHECK(refused > 0);
}

TEST_CASE("image file: too large is told from the header alone") {
    const Files files;
    // No pixels follow, so that any attempt to read them would give another message.
    const auto refused = [&](std::uint32_t width, std::uint32_t height, int depth, ColourType type) {
        const std::string message = files.refusal(png_header(width, height, depth, type));
        return message == fmt::format(": {}x{} pixels, expected at most 20000 a side and 268435456 in all",
                                      width, height);
    };
    for (const ColourType type : {grey, rgb, rgba}) {
        CAPTURE(static_cast<int>(type));
        CHECK(refused(20'001, 1, 8, type));
        CHECK(refused(1, 20'001, 8, type));
        CHECK(refused(30'000, 30'000, 8, type));
        CHECK(refused(16'385, 16'384, 8, type));
        CHECK(refused(0x7FFFFFFF, 0x7FFFFFFF, 8, type));
        CHECK(refused(0xFFFFFFFF, 1, 8, type));
        CHECK(files.refusal(png_header(16'384, 16'384, 8, type)) == ": truncated PNG");
        CHECK(files.refusal(png_header(20'000, 1, 8, type)) == ": truncated PNG");
        CHECK(files.refusal(png_header(0, 4, 8, type) + png_chunk("IEND", ""))
                  .starts_with(": damaged or unsupported"));
    }

    std::string jpeg = jpeg_file(gradient(9, 7, 3));
    const std::size_t frame =
        jpeg.find("\xFF\xC0");  // start of frame: length 2, precision 1, height 2, width 2
    REQUIRE(frame != std::string::npos);
    jpeg.replace(frame + 5, 4, "\xFF\xFF\xFF\xFE");
    CHECK(files.refusal(jpeg) == ": 65534x65535 pixels, expected at most 20000 a side and 268435456 in all");
}

TEST_CASE("image file: sides from the header alone, wherever it is") {
    const TemporaryFolder folder;
    const auto sides = [&](const std::string& bytes) {
        write_bytes(folder / "image", bytes);
        const ImageSides found = read_image_sides(folder / "image");
        return std::pair(found.width, found.height);
    };
    const std::string jpeg = jpeg_file(gradient(300, 7, 3));
    // A segment of 65,000 bytes, as cameras put a preview into, which has a frame of its own.
    const std::string preview =
        bytes_of({0xFF, 0xE1, 65'002 >> 8, 65'002 & 255}) + jpeg_file(gradient(3, 4, 1));
    CHECK(sides(jpeg) == std::pair(300, 7));
    CHECK(sides(jpeg.substr(0, jpeg.find("\xff\xc0") + 20)) == std::pair(300, 7));
    CHECK(sides(jpeg.substr(0, 2) + preview + std::string(65'004 - preview.size(), 'x') + jpeg.substr(2)) ==
          std::pair(300, 7));
    CHECK(sides(png_header(7, 300, 8, rgb)) == std::pair(7, 300));
    CHECK_THROWS_WITH_AS(sides(png_header(0, 3, 8, rgb)), doctest::Contains("0x3 pixels"), Error);
    CHECK_THROWS_WITH_AS(sides(png_header(20'001, 3, 8, rgb)), doctest::Contains("at most 20000"), Error);
    CHECK_THROWS_WITH_AS(sides(png_magic), doctest::Contains("truncated PNG"), Error);
    CHECK_THROWS_WITH_AS(sides(jpeg.substr(0, 20)), doctest::Contains("no header of a"), Error);
    CHECK_THROWS_WITH_AS(sides("GIF89a"), doctest::Contains("not a JPEG or PNG"), Error);
}

TEST_CASE("image file: planes out of interleaved pixels") {
    CHECK(planar_pixels({2, 2, 3, {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}}) ==
          Samples{1, 4, 7, 10, 2, 5, 8, 11, 3, 6, 9, 12});
    CHECK(planar_pixels({2, 1, 1, {8, 9}}) == Samples{8, 9});
}

TEST_CASE(
    "image file: CMYK, inverted as Adobe stores it, becomes RGB; four channels of unknown colours are "
    "refused") {
    const Files files;
    std::ifstream corpus("tests/fuzz/corpus/image/jpeg-cmyk", std::ios::binary);
    std::string bytes{std::istreambuf_iterator<char>(corpus), {}};
    const Samples pixels = files.read(bytes, 3);
    // Drawn as RGB (20 x, 25 y, 7 x y).
    const std::size_t corner = (5 * 12 + 10) * 3;
    CHECK(std::abs(pixels[corner] - 200) < 40);
    CHECK(std::abs(pixels[corner + 1] - 125) < 40);
    CHECK(std::abs(pixels[corner + 2] - 94) < 40);

    const std::size_t adobe = bytes.find("Adobe");
    REQUIRE(adobe != std::string::npos);
    std::string other = bytes;
    other[adobe] = 'a';
    CHECK(files.refusal(other).find("four channels") != std::string::npos);
    other = bytes;
    other[adobe + 11] = 1;  // YCbCr, of which there are no four
    CHECK(files.refusal(other).find("four channels") != std::string::npos);
}

TEST_CASE("image file: a header that claims more than the file can hold is refused before memory is taken") {
    const Files files;
    const std::string png =
        png_header(16'000, 16'000, 8, rgba) + png_chunk("IDAT", "none") + png_chunk("IEND", "");
    CHECK(files.refusal(png).find("cannot hold the 256000000 pixels") != std::string::npos);
    std::string jpeg = jpeg_file(gradient(8, 8, 3));
    const std::size_t frame = jpeg.find("\xff\xc0");
    REQUIRE(frame != std::string::npos);
    jpeg.replace(frame + 5, 4, bytes_of({0x40, 0, 0x40, 0}));
    CHECK(files.refusal(jpeg).find("cannot hold the 268435456 pixels") != std::string::npos);
    // The most that deflate can do is still believed.
    const std::string row(250, '\0');
    CHECK(files.refusal(png_file(2000, 3, 1, grey, {row, row, row})).empty());
}
