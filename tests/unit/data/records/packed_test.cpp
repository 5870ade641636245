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
    CHECK(message(8, 2) == "version 2, expected 1");
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
