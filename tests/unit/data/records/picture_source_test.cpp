#include "data/records/picture_source.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <limits>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "data/images/image_file.h"
#include "data/records/packed.h"
#include "runtime/base/error.h"
#include "runtime/files/npz.h"
#include "tests/unit/runtime/files/pth/pth_writer.h"
#include "tests/unit/temporary_folder.h"

namespace {

namespace fs = std::filesystem;
using Samples = std::vector<std::uint8_t>;

// The pictures [3, 2, 4, 3] in the files that NumPy wrote: bytes that count to 250, again and again.
const fs::path written_by_numpy = "tests/unit/runtime/files/npz";
Samples counted(int first, int count) {
    Samples samples(static_cast<std::size_t>(count));
    for (int i = 0; i < count; ++i)
        samples[static_cast<std::size_t>(i)] = static_cast<std::uint8_t>((first + i) % 251);
    return samples;
}

void write_text(const fs::path& path, const std::string& text) {
    fs::create_directories(path.parent_path());
    std::ofstream(path, std::ios::binary) << text;
}

// A picture whose bytes count from `first`.
Image picture(int first, int width = 4, int height = 2, int channels = 3) {
    return {width, height, channels, counted(first, width * height * channels)};
}

void write_picture(const fs::path& path, const Image& image) {
    fs::create_directories(path.parent_path());
    write_png(path, image);
}

Samples read(const PictureSource& source, std::int64_t first, std::int64_t count) {
    Samples planar(static_cast<std::size_t>(count * source.picture_bytes()));
    source.read(first, count, planar);
    return planar;
}

std::string message_of(const auto& action) {
    try {
        action();
    } catch (const Error& error) {
        CHECK(std::string_view(error.what()).find('\n') == std::string_view::npos);
        return error.what();
    }
    return "";
}

std::string refusal(const fs::path& path) {
    return message_of([&] { open_pictures(path); });
}

// Of pictures of one colour each: the colours.
std::vector<int> reds(const PictureSource& source) {
    std::vector<int> reds;
    for (std::int64_t i = 0; i < source.count(); ++i) reds.push_back(read(source, i, 1)[0]);
    return reds;
}

bool contains(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("picture source: a folder at any depth, in the order of its paths, without what is hidden") {
    const TemporaryFolder folder;
    const fs::path pictures = folder / "pictures";
    write_picture(pictures / "b" / "1.png", picture(20));
    write_picture(pictures / "a b" / "c" / "Ä.PNG", picture(12));
    write_picture(pictures / "a b" / "2", picture(11));  // a picture by its first bytes
    write_picture(pictures / "9.png", picture(2));
    write_picture(pictures / "10.png", picture(1));
    write_picture(pictures / ".hidden.png", picture(99));
    write_picture(pictures / ".thumbnails" / "1.png", picture(99));
    write_text(pictures / "__MACOSX" / "._1.png", "notes");
    write_text(pictures / "labels.csv", "1,2\n");
    fs::create_directory_symlink(pictures, pictures / "b" / "again");
    const auto source = open_pictures(pictures);
    CHECK(source->name() == pictures.string());
    CHECK(source->count() == 5);
    CHECK(source->channels() == 3);
    CHECK(source->width() == 4);
    CHECK(source->height() == 2);
    CHECK(reds(*source) == std::vector<int>{1, 2, 11, 12, 20});
    CHECK(read(*source, 3, 1) == planar_pixels(picture(12)));
    CHECK(read(*source, 5, 0).empty());
}

TEST_CASE("picture source: grey is repeated, alpha dropped, a JPEG read beside a PNG") {
    const TemporaryFolder folder;
    fs::create_directory(folder / "jpeg");
    fs::copy_file("tests/fuzz/corpus/image/jpeg-turned", folder / "jpeg" / "turned.jpg");
    const auto jpeg = open_pictures(folder / "jpeg");
    const Image as_it_lies = read_image(folder / "jpeg" / "turned.jpg", 3);
    CHECK(as_it_lies.width != as_it_lies.height);
    CHECK(jpeg->width() == as_it_lies.width);
    CHECK(read(*jpeg, 0, 1) == planar_pixels(as_it_lies));

    write_picture(folder / "png" / "grey.png", picture(5, 2, 1, 1));
    write_picture(folder / "png" / "with alpha.png", {2, 1, 4, {1, 2, 3, 0, 4, 5, 6, 128}});
    CHECK(read(*open_pictures(folder / "png"), 0, 2) == Samples{5, 6, 5, 6, 5, 6, 1, 4, 2, 5, 3, 6});
}

TEST_CASE("picture source: a folder with a picture of another size, or one that cannot be read") {
    const TemporaryFolder folder;
    const fs::path pictures = folder / "pictures";
    write_picture(pictures / "1.png", picture(1));
    write_picture(pictures / "2.png", picture(2));
    write_picture(pictures / "x" / "3.png", picture(3, 2, 4));
    write_picture(pictures / "x" / "4.png", picture(4, 9, 9));
    CHECK(refusal(pictures) == (pictures / "x" / "3.png").string() + ": 2x4 pixels, expected 4x2 as in " +
                                   (pictures / "1.png").string() +
                                   ": pictures that are measured have one size");
    fs::remove_all(pictures / "x");
    const auto source = open_pictures(pictures);
    write_picture(pictures / "2.png", picture(2, 2, 4));
    CHECK(contains(message_of([&] { read(*source, 0, 2); }), "2.png: 2x4 pixels, expected 4x2"));
    write_text(pictures / "2.png", "\x89PNG\r\n\x1a\n and no more");
    CHECK(contains(message_of([&] { read(*source, 0, 2); }), "2.png: "));
    CHECK_NOTHROW(read(*source, 0, 1));
    write_picture(pictures / "2.png", picture(2));

    for (const char* name : {"3.png", "3.JPG", "3.webp", "3.tiff"}) {
        write_text(pictures / name, "RIFF....WEBPVP8 ");
        CHECK(refusal(pictures) == (pictures / name).string() + ": not a JPEG or PNG");
        fs::remove(pictures / name);
    }
    fs::create_symlink("nowhere", pictures / "4.png");
    CHECK(contains(refusal(pictures), "4.png: cannot be opened"));
    fs::create_directory(folder / "empty");
    write_text(folder / "empty" / "readme.txt", "x");
    CHECK(refusal(folder / "empty").ends_with("empty: holds no JPEG or PNG picture"));
}

TEST_CASE("picture source: a packed file, of one or three channels") {
    const TemporaryFolder folder;
    for (const int channels : {1, 3}) {
        PackedWriter writer(folder / "x.bin", 2, channels, {});
        for (int i = 0; i < 5; ++i) writer.add(counted(12 * i, 4 * channels).data(), -1);
        writer.commit();
        const auto source = open_pictures(folder / "x.bin");
        CHECK(source->count() == 5);
        CHECK(source->width() == 2);
        CHECK(source->height() == 2);
        CHECK(read(*source, 1, 2) ==
              (channels == 3 ? counted(12, 24) : Samples{12, 13, 14, 15, 12, 13, 14, 15, 12, 13, 14, 15,
                                                         24, 25, 26, 27, 24, 25, 26, 27, 24, 25, 26, 27}));
    }
    std::string bytes;
    {
        std::ifstream file(folder / "x.bin", std::ios::binary);
        bytes.assign(std::istreambuf_iterator<char>(file), {});
    }
    const Samples second = counted(12, 12);
    ++bytes[bytes.find(std::string(second.begin(), second.end()))];
    write_text(folder / "x.bin", bytes);
    CHECK(contains(refusal(folder / "x.bin"), "checksum"));
}

TEST_CASE("picture source: NumPy's archives of pictures, packed or not, of one or three channels") {
    for (const char* name : {"pictures.npz", "pictures_deflated.npz", "grey_pictures.npz"}) {
        CAPTURE(name);
        const auto source = open_pictures(written_by_numpy / name);
        CHECK(source->count() == 3);
        CHECK(source->width() == 4);
        CHECK(source->height() == 2);
        Samples expected;
        for (const int i : {1, 2, 0}) {
            Image image = picture(24 * i);
            if (std::string_view(name).starts_with("grey"))
                for (std::size_t k = 0; k < image.pixels.size(); ++k)
                    image.pixels[k] = image.pixels[k - k % 3];
            const Samples planar = planar_pixels(image);
            expected.insert(expected.end(), planar.begin(), planar.end());
        }
        Samples found = read(*source, 1, 2), first = read(*source, 0, 1);
        found.insert(found.end(), first.begin(), first.end());
        CHECK(found == expected);
    }
}

TEST_CASE("picture source: parts larger than one reading of an archive") {
    const TemporaryFolder folder;
    constexpr int count = 7, side = 500;  // 750,000 bytes each
    Samples pixels;
    for (int i = 0; i < count; ++i)
        pixels.insert(pixels.end(), std::size_t{side} * side * 3, static_cast<std::uint8_t>(i + 1));
    NpzWriter writer(folder / "x.npz");
    writer.add("arr_0", {count, side, side, 3}, pixels);
    writer.commit();
    const auto source = open_pictures(folder / "x.npz");
    const Samples all = read(*source, 0, count);
    CHECK(all == pixels);
}

TEST_CASE("picture source: archives that hold no pictures give one line each") {
    const TemporaryFolder folder;
    const fs::path path = folder / "x.npz";
    struct Case {
        std::string dtype, shape, message;
        std::size_t bytes;
    };
    for (const Case& each : std::vector<Case>{
             {"|u1", "(2, 3, 4, 3)", "", 72},
             {"|u1", "(2, 3, 4, 4)", "arr_0 is |u1 in the shape (2, 3, 4, 4), expected pictures", 96},
             {"|u1", "(2, 3, 4, 4)", "|u1 (uint8) in (N, height, width, 3 or 1)", 96},
             {"|u1", "(3, 4, 3)", "arr_0 is |u1 in the shape (3, 4, 3)", 36},
             {"<f4", "(2, 3, 4, 3)", "arr_0 is <f4 in the shape (2, 3, 4, 3)", 288},
             {"|i1", "(2, 3, 4, 3)", "arr_0 is |i1", 72},
             {"|u1", "(0, 3, 4, 3)", "holds no pictures: its shape is (0, 3, 4, 3)", 0},
             {"|u1", "(2, 3, 0, 3)", "holds no pictures", 0},
             {"|u1", "(1, 20001, 1, 1)", "pictures of 1x20001 pixels, expected at most 20000 a side", 20001},
             {"|u1", "(2, 3, 4, 3)", "71 bytes after its header", 71},
         }) {
        const std::string header =
            "{'descr': '" + each.dtype + "', 'fortran_order': False, 'shape': " + each.shape + "}";
        pth_writer::write_zip(
            path, {{"arr_0.npy", std::string("\x93NUMPY\1\0", 8) + static_cast<char>(header.size()) + '\0' +
                                     header + std::string(each.bytes, 'x')}});
        const std::string message = refusal(path);
        CHECK_MESSAGE(contains(message, each.message), each.shape, " says ", message);
        CHECK(message.empty() == each.message.empty());
    }
    CHECK(contains(refusal(written_by_numpy / "types.npz"), "holds no array arr_0, but b1, empty, f2"));
}

TEST_CASE("picture source: what holds no set of pictures is named for what it is") {
    const TemporaryFolder folder;
    const auto refused = [&](const std::string& bytes) {
        write_text(folder / "x", bytes);
        return refusal(folder / "x");
    };
    CHECK(contains(refused("\x89PNG\r\n\x1a\n"), "x: a PNG picture, not a set of pictures"));
    CHECK(contains(refused("\x93NUMPY\1"),
                   "which is not read: expected a folder of JPEG and PNG files, a packed file or an .npz"));
    CHECK(contains(refused("fractok1"), "a token file, not a set of pictures"));
    CHECK(contains(refused("\x1f\x8b\x08"), "gunzip it and give the set of pictures in it"));
    CHECK(contains(refused(""), "x: empty, not a set of pictures"));
    CHECK(contains(refused(std::string(9, '\5')), "x: not a set of pictures, expected a folder of JPEG"));
    CHECK(contains(refused("PK\3\4"), "not a zip archive, or cut off"));
    CHECK(contains(refused("fractpak"), "x: "));
    CHECK(contains(refusal(folder / "none"), "none: there is no such file or folder"));
}

TEST_CASE("picture source: numbers beyond the pictures and buffers of another size are refused") {
    const auto source = open_pictures(written_by_numpy / "pictures.npz");
    for (const auto& [first, count] : std::vector<std::pair<std::int64_t, std::int64_t>>{
             {-1, 1}, {0, 4}, {3, 1}, {4, 0}, {2, -1}, {1, std::numeric_limits<std::int64_t>::max()}}) {
        Samples planar(96);
        CHECK(contains(message_of([&] { source->read(first, count, planar); }), "within its 3"));
    }
    Samples planar(47);
    CHECK(contains(message_of([&] { source->read(0, 2, planar); }), "47 bytes for 2 pictures of 24"));
}

TEST_CASE("picture source: several threads read at a time") {
    const TemporaryFolder folder;
    for (int i = 0; i < 12; ++i) write_picture(folder / (std::to_string(100 + i) + ".png"), picture(i));
    const fs::path sources[] = {folder.path(), written_by_numpy / "pictures_deflated.npz"};
    for (const fs::path& path : sources) {
        const auto source = open_pictures(path);
        const Samples expected = read(*source, 0, source->count());
        std::vector<Samples> found(4);
        std::vector<std::thread> threads;
        for (Samples& each : found)
            threads.emplace_back([&] {
                for (std::int64_t i = 0; i < source->count(); ++i) {
                    const Samples one = read(*source, i, 1);
                    each.insert(each.end(), one.begin(), one.end());
                }
            });
        for (std::thread& thread : threads) thread.join();
        for (const Samples& each : found) CHECK(each == expected);
    }
}
