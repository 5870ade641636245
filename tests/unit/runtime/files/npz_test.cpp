// Against files that NumPy wrote (tests/unit/runtime/files/npz), by numpy.savez, savez_compressed and, for the
// versions of the header, numpy.lib.format.write_array.
#include "runtime/files/npz.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <iterator>
#include <limits>
#include <numeric>
#include <string>
#include <vector>

#include "runtime/base/error.h"
#include "tests/unit/runtime/files/pth/pth_writer.h"
#include "tests/unit/temporary_folder.h"

namespace {

using namespace std::string_literals;
using Doubles = std::vector<double>;
using Names = std::vector<std::string>;
using Shape = std::vector<std::int64_t>;

const std::filesystem::path written_by_numpy = "tests/unit/runtime/files/npz";
const Doubles matrix = {-0.5, -0.25, 0, 0.25, 0.5, 0.75};  // [2, 3]

std::string message_of(const auto& action) {
    try {
        action();
    } catch (const Error& error) {
        CHECK(std::string_view(error.what()).find('\n') == std::string_view::npos);
        return error.what();
    }
    return "";
}

std::string read_file(const std::filesystem::path& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
}

void write_file(const std::filesystem::path& path, const std::string& bytes) {
    std::ofstream(path, std::ios::binary) << bytes;
}

// A file of the .npy format, version 1.0.
std::string npy(const std::string& header, const std::string& data) {
    return "\x93NUMPY\1\0"s + static_cast<char>(header.size()) + static_cast<char>(header.size() >> 8) +
           header + data;
}

// What opening this entry a.npy and reading its numbers says, behind the names of file and entry.
std::string refusal(const std::string& entry) {
    const TemporaryFolder folder;
    const auto path = folder / "x.npz";
    pth_writer::write_zip(path, {{"a.npy", entry}});
    const std::string message = message_of([&] { NpzFile(path).doubles("a"); });
    const std::string start = path.string() + ": a.npy: ";
    if (message.empty()) return "";
    CHECK_MESSAGE(message.starts_with(start), message);
    return message.substr(std::min(start.size(), message.size()));
}

std::string refused_header(const std::string& header) {
    return refusal(npy(header, std::string(48, '\0')));
}

}  // namespace

TEST_CASE("npz: NumPy's files are read, stored and deflated, in C and Fortran order") {
    for (const char* name : {"stored.npz", "deflated.npz"}) {
        CAPTURE(name);
        const NpzFile file(written_by_numpy / name);
        CHECK(file.doubles("mu") == Doubles{1.5, -2.25, 1e-300});
        CHECK(file.doubles("sigma") == matrix);
        CHECK(file.floats("features") == std::vector<float>(matrix.begin(), matrix.end()));
        CHECK(file.doubles("features") == matrix);
        CHECK(file.description("fortran").fortran_order);
        CHECK(file.doubles("fortran") == matrix);
        CHECK(file.floats("fortran") == std::vector<float>(matrix.begin(), matrix.end()));
        CHECK(file.description("sigma").shape == Shape{2, 3});
        CHECK_FALSE(file.description("sigma").fortran_order);
        CHECK(file.contains("mu"));
        CHECK_FALSE(file.contains("mu.npy"));
    }
    const NpzFile file(written_by_numpy / "stored.npz");
    CHECK(file.names() == Names{"cube", "features", "fortran", "mu", "none", "one", "sigma"});
    Doubles counted(24);
    std::iota(counted.begin(), counted.end(), 0.0);
    CHECK(file.doubles("cube") == counted);
    CHECK(file.doubles("one") == Doubles{7});
    CHECK(file.description("one").shape.empty());
    CHECK(file.doubles("none").empty());
    CHECK(file.description("none").shape == Shape{0, 5});
}

TEST_CASE("npz: the versions 1.0, 2.0 and 3.0 of the header") {
    const NpzFile file(written_by_numpy / "versions.npz");
    for (const char* key : {"v1", "v2", "v3"}) CHECK(file.doubles(key) == matrix);
}

TEST_CASE("npz: every type of real numbers, either byte order, and text") {
    const NpzFile file(written_by_numpy / "types.npz");
    for (const char* key : {"f2", "f4", "f8"}) {
        CHECK(file.doubles(key) == matrix);
        CHECK(file.floats(key) == std::vector<float>(matrix.begin(), matrix.end()));
    }
    CHECK(file.description("f8").dtype == ">f8");
    for (const char* key : {"i1", "i2", "i4", "i8"}) CHECK(file.doubles(key)[0] == -3);
    CHECK(file.doubles("i1")[1] == 5);
    CHECK(file.doubles("i4")[1] == 0x1p30);
    CHECK(file.doubles("i8")[1] == 0x1p40);
    CHECK(file.doubles("u1") == Doubles{3, 255});
    CHECK(file.doubles("u2") == Doubles{3, 65535});
    CHECK(file.doubles("u4") == Doubles{3, 4294967295.0});
    CHECK(file.doubles("u8") == Doubles{3, 0x1p63});
    CHECK(file.doubles("b1") == Doubles{1, 0});
    CHECK(file.text("text") == "Größe 😀");
    CHECK(file.text("wide") == "Ä");
    CHECK(file.text("empty").empty());
    CHECK(message_of([&] { file.doubles("text"); }).ends_with("text.npy: text (<U7), expected numbers"));
    CHECK(message_of([&] { file.text("u1"); }).find("expected a single text") != std::string::npos);
}

TEST_CASE("npz: what is no array of numbers is refused by what it is, beside arrays that are read") {
    const NpzFile file(written_by_numpy / "refused.npz");
    const auto refused = [&](const char* key) { return message_of([&] { file.doubles(key); }); };
    CHECK(refused("objects").ends_with(
        "objects.npy: holds pickled Python objects, which are never loaded, expected numbers"));
    CHECK(refused("structured").ends_with("structured.npy: a structured array, expected one of numbers"));
    CHECK(refused("complex").find("the dtype <c16") != std::string::npos);
    CHECK(refused("bytes").find("the dtype |S3") != std::string::npos);
    CHECK(refused("date").find("the dtype <M8[D]") != std::string::npos);
    CHECK(refused("texts").find("text (<U1)") != std::string::npos);
    CHECK(message_of([&] { file.text("texts"); }).find("in the shape (2,)") != std::string::npos);
    CHECK(file.doubles("good") == matrix);
    CHECK(refused("sigma").ends_with(
        "refused.npz: holds no array sigma, but bytes, complex, date, good, objects, structured, texts"));
}

TEST_CASE("npz: malformed headers give one line each") {
    const std::string good = "{'descr': '<f8', 'fortran_order': False, 'shape': (2, 3), }\n";
    CHECK(refused_header(good) == "");
    CHECK(refused_header("{\"shape\":(2L,3L),\"fortran_order\":False,\"descr\":\"<f8\"}") == "");
    const auto with_shape = [](const std::string& shape) {
        return "{'descr': '<f8', 'fortran_order': False, 'shape': " + shape + "}";
    };
    const auto with_dtype = [](const std::string& dtype) {
        return "{'descr': " + dtype + ", 'fortran_order': False, 'shape': (6,)}";
    };
    const std::string ones = "1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,";
    struct Case {
        std::string header, message;
    };
    for (const Case& each : std::vector<Case>{
             {"", "malformed at byte 0: \"\""},
             {"[]", "malformed at byte 0: \"[]\""},
             {good + "x", "malformed"},
             {good.substr(0, 40), "malformed"},
             {"{'descr': '<f8', 'fortran_order': False}", "lacks the key shape"},
             {"{'descr': '<f8', 'shape': (6,)}", "lacks the key fortran_order"},
             {"{'shape': (6,), 'fortran_order': False}", "lacks the key descr"},
             {"{'descr': '<f8', 'descr': '<f8'}", "the key \"descr\", expected"},
             {"{'two\nlines': 1}", "the key \"two\\nlines\", expected"},
             {"{'descr': '<f8', 'fortran_order': 0, 'shape': (6,)}", "malformed at byte 34: \"0,"},
             {with_shape("(6)"), "malformed"},
             {with_shape("[6]"), "malformed"},
             {with_shape("(6,,)"), "malformed"},
             {with_shape("(2 3)"), "malformed"},
             {with_shape("(6.0,)"), "malformed"},
             {with_shape("(0x6,)"), "malformed"},
             {with_shape("(-6,)"), "a size of -6 in its shape"},
             {with_shape("(18446744073709551622,)"), "a size of 18446744073709551622 in its shape"},
             {with_shape("(2305843009213693952,)"), "more bytes than 64 bits count"},
             {with_shape("(4294967296, 4294967296, 0)"), "more bytes than 64 bits count"},
             {with_shape("(1000000000000,)"), "48 bytes after its header, expected the 8000000000000 of <f8"},
             {with_shape("(5,)"), "48 bytes after its header, expected the 40 of <f8 in the shape (5,)"},
             {with_shape("(" + ones + ones + ones + ones + "1)"), "a shape of more than 64 sizes"},
             {with_dtype("'|O'"), "pickled Python objects"},
             {with_dtype("'O'"), "pickled Python objects"},
             {with_dtype("'O8'"), "pickled Python objects"},
             {with_dtype("[('x', '<f8')]"), "a structured array"},
             {with_dtype("('<f8', (2,))"), "a structured array"},
             {with_dtype("'f8'"), "the dtype f8, expected"},
             {with_dtype("'|f8'"), "the dtype |f8, expected"},
             {with_dtype("'<f3'"), "the dtype <f3, expected"},
             {with_dtype("''"), "the dtype , expected"},
             {with_dtype("'<U99999999999'"), "the dtype <U99999999999, expected"},
             {with_dtype("'<U'"), "the dtype <U, expected"},
             {with_dtype("'<f8\\''"), "malformed"},
             {with_dtype("None"), "malformed"},
         }) {
        const std::string message = refused_header(each.header);
        CHECK_MESSAGE(message.find(each.message) != std::string::npos, each.header, " says ", message);
    }
}

TEST_CASE("npz: entries that are cut off or no arrays give one line each") {
    const std::string good =
        npy("{'descr': '<f8', 'fortran_order': False, 'shape': (6,)}", std::string(48, 'x'));
    CHECK(refusal("") == "not a NumPy array, expected one to begin with \\x93NUMPY");
    CHECK(refusal("PK\3\4rubbish").starts_with("not a NumPy array"));
    CHECK(refusal(good.substr(0, 7)) == "cut off after 7 bytes");
    CHECK(refusal(good.substr(0, 9)) == "cut off after 9 bytes");
    CHECK(refusal(good.substr(0, 30)) == "cut off: its header has 65 bytes, the entry 30");
    CHECK(refusal(good.substr(0, 100)).starts_with("35 bytes after its header, expected the 48"));
    CHECK(refusal(good + "x").starts_with("49 bytes after its header, expected the 48"));
    CHECK(refusal("\x93NUMPY\4\0\1\0\0\0{"s) == "version 4.0 of NumPy's format, expected 1.0, 2.0 or 3.0");
    CHECK(refusal("\x93NUMPY\1\1\1\0\0\0{"s).starts_with("version 1.1"));
    CHECK(refusal("\x93NUMPY\2\0\xff\xff\xff\xff{"s) ==
          "a header of 4294967295 bytes, expected at most 131060");
}

TEST_CASE("npz: files that are no archives of arrays, cut off or damaged, give one line each") {
    const TemporaryFolder folder;
    const auto path = folder / "x.npz";
    const auto refused = [&](const std::string& bytes) {
        write_file(path, bytes);
        const std::string message = message_of([&] { NpzFile(path).doubles("sigma"); });
        CHECK_MESSAGE((message.empty() || message.starts_with(path.string() + ": ")), message);
        return message;
    };
    CHECK(refused("").ends_with("empty, not a NumPy archive (.npz): is it downloaded or copied whole?"));
    CHECK(refused(npy("{}", "")).ends_with("a NumPy array (.npy), which is not read: expected .npz"));
    CHECK(refused("\x89PNG\r\n\x1a\n").ends_with("a PNG picture, not a NumPy archive (.npz)"));
    CHECK(refused("{\"a\": 1}").ends_with("JSON text, not a NumPy archive (.npz)"));
    CHECK(refused("<html>").find("not the NumPy archive (.npz) itself") != std::string::npos);
    CHECK(refused(std::string(99, '\5')).ends_with("not a NumPy archive (.npz)"));
    CHECK(refused("version https://git-lfs.github.com/spec/v1\n").find("git lfs pull") != std::string::npos);

    const std::string whole = read_file(written_by_numpy / "stored.npz");
    CHECK(refused(whole) == "");
    CHECK(refused(whole.substr(0, whole.size() - 30)).find("not a zip archive, or cut off") !=
          std::string::npos);
    const std::string numbers = pth_writer::bytes_of(matrix);
    std::string damaged = whole;
    ++damaged[whole.find(numbers) + 40];
    CHECK(refused(damaged).find("entry sigma.npy is damaged: CRC error") != std::string::npos);

    // Lengths in the central directory beyond what the entry unpacks to, or beyond the file.
    for (const bool packed : {false, true}) {
        const std::string header = "{'descr': '<f8', 'fortran_order': False, 'shape': (100000000,)}";
        pth_writer::write_zip(path, {{"sigma.npy", npy(header, numbers), packed}});
        const std::string as_written = read_file(path);
        for (const std::size_t also : {0, 4}) {  // the length when unpacked, and when packed
            std::string longer = as_written;
            const auto length = static_cast<std::uint32_t>(73 + 800'000'000);
            const std::size_t place = longer.find("PK\1\2") + 24;
            std::memcpy(&longer[place], &length, 4);
            std::memcpy(&longer[place - also], &length, 4);
            CHECK(refused(longer).find("sigma.npy is damaged: 800000073 bytes from") != std::string::npos);
        }
    }

    pth_writer::write_zip(path, {{"letter.txt", "x"}});
    CHECK(refused(read_file(path))
              .ends_with("a zip archive that holds no array (NAME.npy), not a NumPy archive (.npz)"));
    pth_writer::write_zip(path, {{"model/data.pkl", "x"}});
    CHECK(refused(read_file(path)).find("a torch checkpoint that holds no array") != std::string::npos);
    CHECK(message_of([&] { NpzFile(folder / "none.npz"); }).find("cannot be opened: No such file") !=
          std::string::npos);
    CHECK(message_of([&] { NpzFile(folder.path()); }).ends_with("not a file"));
}

TEST_CASE("npz: parts of an array, in any order, packed or not") {
    const TemporaryFolder folder;
    std::vector<std::uint8_t> bytes(3 << 20);
    for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::uint8_t>(i % 251 + (i >> 12));
    const std::string entry =
        npy("{'descr': '|u1', 'fortran_order': False, 'shape': (3, 1048576)}", pth_writer::bytes_of(bytes));
    for (const bool packed : {false, true}) {
        pth_writer::write_zip(folder / "x.npz",
                              {{"b.npy", npy("{'descr': '|u1', 'fortran_order': False, 'shape': ()}", "x")},
                               {"a.npy", entry, packed}});
        const NpzFile file(folder / "x.npz");
        std::vector<std::byte> part(1000);
        for (const std::size_t first : {std::size_t{0}, std::size_t{1000}, bytes.size() - 1000,
                                        std::size_t{2'345'678}, std::size_t{2'900'000}}) {
            file.read_bytes("a", first, part);
            CHECK(std::memcmp(part.data(), bytes.data() + first, part.size()) == 0);
            if (first == 1000) file.read_bytes("b", 0, std::span(part).first(1));
        }
        CHECK(message_of([&] {
                  file.read_bytes("a", bytes.size() - 999, part);
              }).find("are not within its 3145728") != std::string::npos);
        CHECK(message_of([&] { file.read_bytes("a", std::numeric_limits<std::uint64_t>::max(), part); }) !=
              "");
    }
    std::vector<std::byte> part(8);
    CHECK(message_of([&] {
              NpzFile(written_by_numpy / "stored.npz").read_bytes("fortran", 0, part);
          }).find("Fortran order") != std::string::npos);
}

TEST_CASE("npz: parts of an array read one after the other include its CRC-32") {
    const TemporaryFolder folder;
    const auto path = folder / "x.npz";
    NpzWriter writer(path);
    writer.add("a", {2, 3}, matrix);
    writer.commit();
    std::string bytes = read_file(path);
    ++bytes[bytes.find(pth_writer::bytes_of(matrix)) + 3];
    write_file(path, bytes);
    const NpzFile file(path);
    std::vector<std::byte> half(24);
    CHECK_NOTHROW(file.read_bytes("a", 0, half));
    CHECK(message_of([&] { file.read_bytes("a", 24, half); }).find("CRC error") != std::string::npos);
}

TEST_CASE("npz: what is written is read, is aligned, and has the same bytes each time") {
    const TemporaryFolder folder;
    const std::vector<float> floats = {1, -2.5f, 3e-30f};
    const std::vector<std::uint8_t> small = {0, 7, 255};
    const auto write = [&](const std::string& name) {
        NpzWriter writer(folder / name);
        writer.add("sigma", {2, 3}, matrix);
        writer.add("features", {3, 1}, floats);
        writer.add("nothing", {0, 2048}, std::span<const float>());
        writer.add("Bilder", {3}, small);
        writer.add("one", {}, std::span(matrix).first(1));
        writer.add_text("note", "Größe 😀 \xff\xe2\x82 \xed\xa0\x80.");
        writer.add_text("empty", "");
        CHECK_FALSE(std::filesystem::exists(folder / name));
        writer.commit();
        return read_file(folder / name);
    };
    const std::string bytes = write("a.npz");
    CHECK(bytes == write("b.npz"));
    const NpzFile file(folder / "a.npz");
    CHECK(file.names() == Names{"Bilder", "empty", "features", "note", "nothing", "one", "sigma"});
    CHECK(file.doubles("sigma") == matrix);
    CHECK(file.floats("features") == floats);
    CHECK(file.description("features").shape == Shape{3, 1});
    CHECK(file.description("nothing").shape == Shape{0, 2048});
    CHECK(file.doubles("Bilder") == Doubles{0, 7, 255});
    CHECK(file.doubles("one") == Doubles{-0.5});
    CHECK(file.text("note") == "Größe 😀 \uFFFD\uFFFD\uFFFD \uFFFD\uFFFD\uFFFD.");
    CHECK(file.text("empty").empty());
    CHECK(file.description("empty").dtype == "<U1");

    // The checksum, which readers take from the directory at the end, also precedes the entry.
    CHECK(bytes.substr(bytes.find("PK\3\4") + 14, 4) == bytes.substr(bytes.find("PK\1\2") + 16, 4));
    // NumPy wants the numbers at a multiple of 64 from the start of the array's file; here of the archive, too.
    CHECK(file.description("sigma").header_bytes % 64 == 0);
    CHECK(bytes.find(pth_writer::bytes_of(matrix)) % 64 == 0);
    CHECK(bytes.find(pth_writer::bytes_of(floats)) % 64 == 0);
    CHECK(npy_header("<f4", {2, 3}) == "\x93NUMPY\1\0\x76\0"s +
                                           "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }" +
                                           std::string(58, ' ') + "\n");
    for (std::int64_t size = 1; size < 1'000'000'000'000'000'000; size *= 10) {
        const std::string header = npy_header("|u1", {size});
        CHECK(header.size() % 64 == 0);
        CHECK(header.back() == '\n');
        CHECK(npy_header_bytes(header, "") == header.size());
        CHECK(parse_npy_header(header, "").shape == Shape{size});
    }
}

TEST_CASE("npz: a writer refuses what does not match, and leaves nothing behind") {
    const TemporaryFolder folder;
    {
        NpzWriter writer(folder / "a.npz");
        writer.add("mu", {2, 3}, matrix);
        CHECK_THROWS_WITH_AS(writer.add("mu", {2, 3}, matrix), "array mu: added twice", Error);
        CHECK_THROWS_WITH_AS(writer.add("sigma", {2, 2}, matrix),
                             "array sigma: 48 bytes, which are not the shape (2, 2) of <f8", Error);
    }
    CHECK(std::filesystem::is_empty(folder.path()));
}
