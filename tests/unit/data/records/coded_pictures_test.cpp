#include "data/records/coded_pictures.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <fstream>
#include <iterator>

#include "data/records/checksum.h"
#include "runtime/base/error.h"
#include "tests/unit/temporary_folder.h"

namespace {

using Bytes = std::vector<std::uint8_t>;

CodedHeader make_header(std::vector<std::string> names = {}) {
    return {4, 3, 5, 2, 0x12345678, 0x9ABCDEF0, "cpu fp32 AVX2", std::move(names)};
}

const std::vector<std::string> five_names{"a.png", "b/c.JPG", "b/d.x", "ä ö.jpeg", "e"};

// A code of `length` bytes.
Bytes code_of(std::size_t length) {
    return Bytes(length, static_cast<std::uint8_t>(length));
}

void write(const std::filesystem::path& path, const CodedHeader& header) {
    CodedWriter writer(path, header);
    const std::vector<Bytes> codes{code_of(300), code_of(4)};
    writer.add({{1, 2, 3, 4, 0xFFFF}, {codes.begin(), codes.end()}});
    writer.commit();
    CHECK(static_cast<std::uintmax_t>(writer.bytes()) == std::filesystem::file_size(path));
}

std::string read(const std::filesystem::path& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
}

std::string message_of(const std::filesystem::path& path, const std::string& bytes) {
    std::ofstream(path, std::ios::binary) << bytes;
    try {
        const CodedFile file(path);
    } catch (const Error& error) {
        return error.what();
    }
    return "";
}

// With the checksum that its bytes have.
std::string mended(std::string bytes) {
    const std::uint32_t checksum = checksum_of(0, bytes.data(), bytes.size() - 4);
    bytes.replace(bytes.size() - 4, 4, reinterpret_cast<const char*>(&checksum), 4);
    return bytes;
}

}  // namespace

TEST_CASE("coded pictures: a file gives back what was written") {
    const TemporaryFolder folder;
    for (const auto& names : {std::vector<std::string>{}, five_names}) {
        write(folder / "a.frc", make_header(names));
        const CodedFile file(folder / "a.frc");
        const CodedHeader& header = file.header();
        CHECK(header.size == 4);
        CHECK(header.channels == 3);
        CHECK(header.count == 5);
        CHECK(header.lanes == 2);
        CHECK(header.weights == 0x12345678);
        CHECK(header.probe == 0x9ABCDEF0);
        CHECK(header.arithmetic == "cpu fp32 AVX2");
        CHECK(header.names == names);
        REQUIRE(header.segments() == 1);
        CHECK(file.segment(0).checksums == std::vector<std::uint16_t>{1, 2, 3, 4, 0xFFFF});
        REQUIRE(file.segment(0).codes.size() == 2);
        CHECK(std::ranges::equal(file.segment(0).codes[0], code_of(300)));
        CHECK(std::ranges::equal(file.segment(0).codes[1], code_of(4)));
    }
}

TEST_CASE("coded pictures: what pictures cost beside their code") {
    const TemporaryFolder folder;
    CodedHeader header = make_header();
    header.count = 1000;
    header.lanes = 10;
    CodedWriter writer(folder / "a.frc", header);
    const Bytes code = code_of(1000);
    writer.add({std::vector<std::uint16_t>(1000), std::vector<std::span<const std::uint8_t>>(10, code)});
    writer.commit();
    CHECK(writer.bytes() - 10 * 1000 == 2 * 1000 + 2 * 10 + 62);
}

TEST_CASE("coded pictures: segments hold as many pictures in each lane, the last one the rest") {
    CodedHeader header{64, 3, 5000, 64, 0, 0, "", {}};
    CHECK(header.segment_pictures() == 64 * 21);
    CHECK(header.segments() == 4);
    CHECK(header.first_picture(3) == 3 * 64 * 21);
    CHECK(header.pictures_of(0) == 64 * 21);
    CHECK(header.pictures_of(3) == 5000 - 3 * 64 * 21);
    header.size = 4096;
    CHECK(header.segment_pictures() == 64);
}

TEST_CASE("coded pictures: files as which pictures are decoded") {
    const CodedHeader header = make_header(five_names);
    const std::vector<std::string> expected{"a.png", "b/c.png", "b/d.x.png", "ä ö.png", "e.png"};
    for (std::int64_t i = 0; i < 5; ++i)
        CHECK(header.decoded_name(i) == expected[static_cast<std::size_t>(i)]);
    CHECK(make_header().decoded_name(12) == "000012.png");
}

TEST_CASE("coded pictures: cut, changed and extended files are refused") {
    const TemporaryFolder folder;
    write(folder / "a.frc", make_header(five_names));
    const std::string whole = read(folder / "a.frc");
    const auto changed = folder / "b.frc";
    CHECK(message_of(changed, whole) == "");
    for (std::size_t size = 0; size < whole.size(); ++size)
        CHECK(message_of(changed, whole.substr(0, size)) != "");
    for (std::size_t place = 0; place < whole.size(); ++place) {
        std::string flipped = whole;
        flipped[place] = static_cast<char>(flipped[place] ^ 1 << place % 8);
        const std::string message = message_of(changed, flipped);
        CHECK(message.starts_with(changed.string() + ": "));
        CHECK(message.find('\n') == std::string::npos);
    }
    CHECK(message_of(changed, whole + "x") != "");
    CHECK(message_of(changed, mended(whole + "x")).find("behind the last code") != std::string::npos);
    CHECK(message_of(changed, mended(whole.substr(0, whole.size() - 1))).find("3 bytes behind") !=
          std::string::npos);
    CHECK(message_of(changed, mended(whole.substr(0, whole.size() - 20))).find("ends within a code") !=
          std::string::npos);
    CHECK(message_of(changed, "fractpak").find("not a file of coded pictures") != std::string::npos);
}

TEST_CASE("coded pictures: headers out of range are refused, read and written") {
    const TemporaryFolder folder;
    const auto refused = [&](const auto& change, const char* what) {
        CodedHeader header = make_header(five_names);
        change(header);
        CHECK_THROWS_WITH_AS(header.validate("source"), doctest::Contains(what), Error);
        CHECK_THROWS_WITH_AS(CodedWriter(folder / "a.frc", header), doctest::Contains(what), Error);
        CHECK_FALSE(std::filesystem::exists(folder / "a.frc"));
    };
    refused([](CodedHeader& header) { header.size = 0; }, "size 0");
    refused([](CodedHeader& header) { header.size = 5000; }, "size 5000");
    refused([](CodedHeader& header) { header.channels = 2; }, "2 channels");
    refused([](CodedHeader& header) { header.count = 0; }, "0 pictures");
    refused([](CodedHeader& header) { header.lanes = 0; }, "0 lanes");
    for (const std::string name : {"", "/etc/passwd", "../a.png", "b/../../a.png", "b//c.png", "b/",
                                   ".hidden", "b/.c.png", "a\nb.png", "a\x7f.png", "."}) {
        CAPTURE(name);
        refused([&](CodedHeader& header) { header.names[1] = name; }, "picture 1 has the name");
    }
    refused([](CodedHeader& header) { header.names[3] = std::string(5000, 'a'); }, "picture 3 has the name");
    refused([](CodedHeader& header) { header.names[3] = "a.jpg"; },
            "two pictures would be decoded as 'a.png'");
}

TEST_CASE("coded pictures: names of a file that would lead out of a folder are refused") {
    const std::filesystem::path corpus = "tests/fuzz/corpus/coded";
    CHECK(CodedFile(corpus / "valid-names").header().names.size() == 5);
    for (const std::string name :
         {"name-above", "name-absolute", "name-hidden", "name-control", "name-empty"}) {
        CAPTURE(name);
        CHECK_THROWS_WITH_AS(CodedFile(corpus / name), doctest::Contains("picture 0 has the name"), Error);
    }
}
