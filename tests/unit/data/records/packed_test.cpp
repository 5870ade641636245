#include "data/records/packed.h"

#include <doctest/doctest.h>

#include <cstring>
#include <fstream>
#include <random>

#include "runtime/base/error.h"
#include "tests/fuzz/mended_records.h"
#include "tests/unit/temporary_folder.h"

namespace {

std::vector<std::uint8_t> picture(std::int64_t number, std::size_t bytes) {
    std::mt19937 engine(static_cast<unsigned>(number));
    std::vector<std::uint8_t> pixels(bytes);
    for (std::uint8_t& value : pixels) value = static_cast<std::uint8_t>(engine());
    return pixels;
}

void write_pictures(const std::filesystem::path& path, std::int64_t count, int size, int channels) {
    PackedWriter writer(path, size, channels, {"cat", "dog and ü"});
    for (std::int64_t i = 0; i < count; ++i)
        writer.add(picture(i, static_cast<std::size_t>(channels * size * size)).data(),
                   static_cast<int>(i % 3) - 1);
    writer.commit();
}

std::string read_bytes(const std::filesystem::path& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
}

void write_bytes(const std::filesystem::path& path, const std::string& bytes) {
    std::ofstream(path, std::ios::binary) << bytes;
}

// The message of opening and verifying, "" if both go well.
std::string refusal(const std::filesystem::path& path) {
    try {
        PackedFile(path).verify();
    } catch (const Error& error) {
        return error.what();
    }
    return "";
}

}  // namespace

TEST_CASE("packed: what goes in comes out") {
    const TemporaryFolder folder;
    for (const int channels : {1, 3}) {
        const auto path = folder / "pictures.bin";
        write_pictures(path, 1030, 5, channels);
        const PackedFile file(path);
        CHECK(file.size() == 5);
        CHECK(file.channels() == channels);
        REQUIRE(file.count() == 1030);
        CHECK(file.classes() == std::vector<std::string>{"cat", "dog and ü"});
        CHECK_NOTHROW(file.verify());
        for (const std::int64_t i : {0, 1, 1023, 1024, 1029}) {
            const auto expected = picture(i, static_cast<std::size_t>(file.record_bytes()));
            CHECK(std::equal(expected.begin(), expected.end(), file.pixels(i)));
            CHECK(file.label(i) == static_cast<int>(i % 3) - 1);
        }
    }
}

TEST_CASE("packed: cut off or flipped anywhere, the file is refused by name") {
    const TemporaryFolder folder;
    const auto path = folder / "pictures.bin", broken = folder / "broken.bin";
    write_pictures(path, 7, 4, 3);
    const std::string whole = read_bytes(path);
    REQUIRE(refusal(path).empty());
    for (std::size_t length = 0; length < whole.size(); length += 13) {
        CAPTURE(length);
        write_bytes(broken, whole.substr(0, length));
        CHECK(refusal(broken).find("broken.bin") != std::string::npos);
    }
    write_bytes(broken, whole + "x");
    CHECK(refusal(broken).find("broken.bin") != std::string::npos);
    for (std::size_t at = 0; at < whole.size(); ++at) {
        CAPTURE(at);
        std::string flipped = whole;
        flipped[at] = static_cast<char>(flipped[at] ^ 0x10);
        write_bytes(broken, flipped);
        CHECK(refusal(broken).find("broken.bin") != std::string::npos);
    }
    CHECK(refusal(folder / "none.bin").find("none.bin") != std::string::npos);
}

TEST_CASE("packed: what a header says wrong is named, though its checksum holds") {
    const TemporaryFolder folder;
    const auto path = folder / "pictures.bin", other = folder / "other.bin";
    write_pictures(path, 7, 4, 3);
    const std::string bytes = read_bytes(path);
    const std::vector<std::uint8_t> whole(bytes.begin(), bytes.end());
    const auto message = [&](std::size_t place, std::uint32_t value) {
        std::vector<std::uint8_t> changed = whole;
        std::memcpy(&changed[place], &value, sizeof value);
        changed = mended_records(changed);
        write_bytes(other, {changed.begin(), changed.end()});
        const std::string text = refusal(other);
        return text.substr(std::min(text.size(), other.string().size() + 2));
    };
    CHECK(message(8, 1) == "");
    CHECK(message(0, 0) == "not a packed image file: it does not start with \"fractpak\"");
    CHECK(message(8, 3) == "version 3, expected 1 or 2");
    CHECK(message(8, 2) == "the captions have 0 bytes, expected at least 44: the file was cut or extended");
    CHECK(message(12, 65) == "the header is damaged: its length is given as 65 bytes");
    CHECK(message(16, 0) == "images of size 0, expected 1 to 4096");
    CHECK(message(20, 2) == "2 channels, expected 1 or 3");
    CHECK(message(24, 0) == "0 images, expected 1 to 2147483647");
    CHECK(message(24, 0x80000000) == "2147483648 images, expected 1 to 2147483647");
    CHECK(message(28, 100) == "the header ends within class name 3");
    CHECK(message(32, 1000) == "the header ends within class name 0");
    CHECK(message(39, 1000) == "the header ends within class name 1");
    write_bytes(other, bytes.substr(0, 63));
    CHECK(refusal(other) == other.string() + ": not a packed image file: only 63 bytes long");
    CHECK(refusal(folder.path()) == folder.path().string() + ": not a file");
    CHECK(refusal(folder / "none.bin").find("none.bin: cannot be opened: No such file") != std::string::npos);
}

TEST_CASE("packed: captions come out as they go in, numbered through the file") {
    const TemporaryFolder folder;
    const auto path = folder / "pictures.bin";
    const std::vector<std::vector<std::string>> captions{
        {}, {"a cat", "", "two\nlines"}, {}, {"Ein Hund, größer als üblich"}, {}};
    PackedWriter writer(path, 4, 1, {"cat"});
    for (std::size_t i = 0; i < captions.size(); ++i)
        writer.add(picture(static_cast<std::int64_t>(i), 16).data(), 0, captions[i]);
    writer.commit();
    const PackedFile file(path);
    CHECK_NOTHROW(file.verify());
    CHECK(file.has_captions());
    CHECK(file.caption_count() == 4);
    const std::vector<std::int64_t> first{0, 0, 3, 3, 4};
    for (std::size_t i = 0; i < captions.size(); ++i) {
        CAPTURE(i);
        const auto record = static_cast<std::int64_t>(i);
        CHECK(captions_of(file, record) == captions[i]);
        CHECK(file.captions(record) == static_cast<std::int64_t>(captions[i].size()));
        CHECK(file.first_caption(record) == first[i]);
        CHECK(file.pixels(record)[3] == picture(record, 16)[3]);
        CHECK(file.label(record) == 0);
    }
    CHECK(file.caption(3, 0) == captions[3][0]);
}

TEST_CASE("packed: files without captions are of version 1, and end with the checksums") {
    const TemporaryFolder folder;
    write_pictures(folder / "plain.bin", 5, 4, 1);
    PackedWriter writer(folder / "empty.bin", 4, 1, {"cat", "dog and ü"});
    for (std::int64_t i = 0; i < 5; ++i)
        writer.add(picture(i, 16).data(), static_cast<int>(i % 3) - 1, std::vector<std::string>{});
    writer.commit();
    const std::string plain = read_bytes(folder / "plain.bin");
    CHECK(plain[8] == 1);
    CHECK(plain.size() == 64 + 5 * (16 + 4) + 4);
    CHECK(read_bytes(folder / "empty.bin") == plain);
    const PackedFile file(folder / "plain.bin");
    CHECK_FALSE(file.has_captions());
    CHECK(file.caption_count() == 0);
    CHECK(file.captions(4) == 0);
    CHECK(file.first_caption(4) == 0);
}

TEST_CASE("packed: captions that are cut, flipped or point elsewhere are refused by name") {
    const TemporaryFolder folder;
    const auto path = folder / "pictures.bin", broken = folder / "broken.bin";
    const std::vector<std::string> captions{"a cat", "a small cat"};
    PackedWriter writer(path, 2, 1, {});
    for (int i = 0; i < 3; ++i)
        writer.add(picture(i, 4).data(), -1, i == 1 ? captions : std::vector<std::string>{});
    writer.commit();
    const std::string whole = read_bytes(path);
    REQUIRE(refusal(path).empty());
    constexpr std::size_t table = 64 + 3 * (4 + 4) + 4, begins = table + 4 * 4, text = begins + 3 * 8;
    REQUIRE(whole.size() == text + 16 + 4);
    const std::uint32_t fingerprint = PackedFile(path).fingerprint();
    for (std::size_t length = 0; length < whole.size(); ++length) {
        CAPTURE(length);
        write_bytes(broken, whole.substr(0, length));
        CHECK(refusal(broken).starts_with(broken.string() + ": "));
    }
    for (std::size_t at = 0; at < whole.size(); ++at)
        for (const int bit : {1, 128}) {
            CAPTURE(at);
            std::string flipped = whole;
            flipped[at] = static_cast<char>(flipped[at] ^ bit);
            write_bytes(broken, flipped);
            CHECK(refusal(broken).starts_with(broken.string() + ": "));
        }
    const auto message = [&](std::size_t place, std::uint32_t value) {
        std::string changed = whole;
        std::memcpy(&changed[place], &value, sizeof value);
        write_bytes(broken, changed);
        const std::string refused = refusal(broken);
        return refused.substr(std::min(refused.size(), broken.string().size() + 2));
    };
    CHECK(message(table, 1) == "the captions are damaged: the first caption of record 0 is 1, expected 0");
    CHECK(message(table + 8, 3) ==
          "the captions are damaged: the first caption of record 3 is 2, expected at least 3");
    CHECK(message(table + 12, 3).starts_with("the captions are damaged: their text would have "));
    CHECK(message(table + 12, 0xFFFFFFFF) ==
          "the captions have 60 bytes, expected at least 34359738388: the file was cut or extended");
    CHECK(message(begins + 4, 1) ==
          "the captions are damaged: the start of caption 0 is 4294967296, expected 0");
    CHECK(message(begins + 20, 0x80000000) ==
          "the captions are damaged: their text would have 9223372036854775824 bytes");
    CHECK(message(begins + 16, 15) ==
          "the captions have 60 bytes, expected 59: the file was cut or extended");
    CHECK(message(text, 0) == "the captions are damaged: they differ from their checksum");
    write_bytes(broken, whole + "x");
    CHECK(refusal(broken).ends_with("expected 60: the file was cut or extended"));

    PackedWriter other(path, 2, 1, {});
    for (int i = 0; i < 3; ++i)
        other.add(picture(i, 4).data(), -1, i == 2 ? captions : std::vector<std::string>{});
    other.commit();
    CHECK(PackedFile(path).fingerprint() != fingerprint);
}

TEST_CASE("packed: nothing stands at the destination before commit") {
    const TemporaryFolder folder;
    {
        PackedWriter writer(folder / "pictures.bin", 4, 1, {});
        writer.add(picture(0, 16).data(), -1);
    }
    CHECK(std::filesystem::is_empty(folder.path()));
    PackedWriter empty(folder / "pictures.bin", 4, 1, {});
    CHECK_THROWS_AS(empty.commit(), Error);
}
