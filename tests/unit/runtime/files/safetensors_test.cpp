#include "runtime/files/safetensors.h"

#include <doctest/doctest.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "runtime/base/error.h"

namespace {

// A temporary file, removed by the destructor.
struct TestFile {
    std::filesystem::path path = std::filesystem::temp_directory_path() /
                                 ("safetensors_test." + std::to_string(::getpid()) + ".safetensors");
    ~TestFile() { std::filesystem::remove(path); }

    void write(const std::string& content) const {
        std::ofstream(path, std::ios::binary | std::ios::trunc) << content;
    }
    std::string read() const {
        std::ifstream file(path, std::ios::binary);
        return {std::istreambuf_iterator<char>(file), {}};
    }
};

std::string with_length(std::uint64_t length, const std::string& rest) {
    std::string bytes(8, '\0');
    std::memcpy(bytes.data(), &length, 8);
    return bytes + rest;
}

std::string with_header(const std::string& header, std::size_t data_bytes) {
    return with_length(header.size(), header + std::string(data_bytes, 'x'));
}

// Reads every byte that the file's entries promise.
void read_everything(const SafetensorsFile& file) {
    unsigned sum = 0;
    for (const auto& [name, entry] : file.entries()) {
        const auto data = file.bytes(name);
        CHECK(data.size() == entry.bytes);
        for (const std::byte value : data) sum += static_cast<unsigned>(value);
        if (entry.dtype == "I64") CHECK(file.integers(name).size() * 8 == entry.bytes);
        if (entry.dtype == "U8") CHECK(file.bytes_u8(name).size() == entry.bytes);
    }
    CHECK(sum < 0xFFFFFFFFu);
}

// Whether the file opens; it either does, with all its tensors readable, or throws Error.
bool opens(const TestFile& file, const std::string& content) {
    file.write(content);
    try {
        const SafetensorsFile opened(file.path);
        read_everything(opened);
        return true;
    } catch (const Error& error) {
        CHECK(std::string(error.what()).find(file.path.string()) != std::string::npos);
        return false;
    }
}

const std::vector<float> matrix = {1, -2, 3.5f, 4, 5, 6};
const std::vector<std::int64_t> integers = {-1, 1LL << 40, 7};
const std::vector<std::uint8_t> bytes = {0, 127, 255};

void write_example(const std::filesystem::path& path) {
    const std::vector<SafetensorsTensor> tensors = {
        {"matrix", "F32", {2, 3}, std::as_bytes(std::span(matrix))},
        {"nothing", "F32", {0, 5}, {}},
        {"scalar", "F32", {}, std::as_bytes(std::span(matrix).first(1))},
        {"bytes \"quoted\"", "U8", {3}, std::as_bytes(std::span(bytes))},
        {"integers", "I64", {3}, std::as_bytes(std::span(integers))},
    };
    write_safetensors(path, tensors, {{"step", "12"}, {"note", "two\nlines \u00e9"}});
}

// One tensor "t" of this description, behind which lie `data_bytes` bytes.
bool describes(const TestFile& file, const std::string& entry, std::size_t data_bytes = 8) {
    return opens(file, with_header("{\"t\":" + entry + "}", data_bytes));
}

}  // namespace

TEST_CASE("safetensors: what is written is read") {
    const TestFile file;
    write_example(file.path);
    const SafetensorsFile read(file.path);
    CHECK(read.entries().size() == 5);
    CHECK(read.entry("matrix").shape == std::vector<std::int64_t>{2, 3});
    CHECK(read.entry("matrix").dtype == "F32");
    CHECK(std::ranges::equal(read.floats("matrix"), matrix));
    CHECK(read.floats("nothing").empty());
    CHECK(read.floats("scalar")[0] == 1);
    CHECK(read.entry("scalar").shape.empty());
    CHECK(std::ranges::equal(read.bytes_u8("bytes \"quoted\""), bytes));
    CHECK(read.integers("integers") == integers);
    CHECK(read.metadata("step") == "12");
    CHECK(read.metadata("note") == "two\nlines \u00e9");
    CHECK(read.contains("matrix"));
    CHECK_FALSE(read.contains("matri"));
}

TEST_CASE("safetensors: layout of the file") {
    const TestFile file;
    write_example(file.path);
    const std::string content = file.read();
    std::uint64_t header_bytes = 0;
    std::memcpy(&header_bytes, content.data(), 8);
    CHECK(header_bytes % 8 == 0);
    const std::size_t data_bytes = 24 + 0 + 4 + 3 + 24;
    CHECK(content.size() == 8 + header_bytes + data_bytes);
    CHECK(content.substr(8, 16) == "{\"__metadata__\":");
    CHECK(std::memcmp(content.data() + 8 + header_bytes, matrix.data(), 24) == 0);
    CHECK_FALSE(std::filesystem::exists(file.path.string() + ".partial"));
}

TEST_CASE("safetensors: an existing file is replaced as a whole") {
    const TestFile file;
    file.write("something else");
    write_example(file.path);
    CHECK(SafetensorsFile(file.path).contains("matrix"));
    CHECK_THROWS_AS(write_safetensors("/nonexistent-folder/file.safetensors", {}, {}), Error);
}

TEST_CASE("safetensors: a file cut off anywhere is refused") {
    const TestFile file;
    write_example(file.path);
    const std::string whole = file.read();
    REQUIRE(opens(file, whole));
    std::size_t opened = 0;
    for (std::size_t length = 0; length < whole.size(); ++length)
        if (opens(file, whole.substr(0, length))) ++opened;
    CHECK(opened == 0);
}

TEST_CASE("safetensors: a header with any byte changed opens or is refused") {
    const TestFile file;
    write_example(file.path);
    const std::string whole = file.read();
    std::uint64_t header_bytes = 0;
    std::memcpy(&header_bytes, whole.data(), 8);
    std::size_t refused = 0;
    for (std::size_t position = 0; position < 8 + header_bytes; ++position)
        for (const int change : {0x01, 0x02, 0x04, 0x08, 0x10, 0x20, 0x40, 0x80, 0xFF}) {
            std::string damaged = whole;
            damaged[position] = static_cast<char>(damaged[position] ^ change);
            if (!opens(file, damaged)) ++refused;
        }
    CHECK(refused > header_bytes);
}

TEST_CASE("safetensors: absurd header lengths") {
    const TestFile file;
    for (const std::uint64_t length : {std::uint64_t{3}, std::uint64_t{1} << 32, std::uint64_t{1} << 62,
                                       std::uint64_t{1} << 63, UINT64_MAX - 8, UINT64_MAX - 7, UINT64_MAX}) {
        CAPTURE(length);
        CHECK_FALSE(opens(file, with_length(length, "{}")));
    }
    CHECK(opens(file, with_length(2, "{}")));
    CHECK_FALSE(opens(file, with_length(0, "")));
    file.write(with_length(3, "{}"));
    CHECK_THROWS_WITH_AS(SafetensorsFile{file.path},
                         doctest::Contains("cut off: its header should have 3 bytes, the file has 10"),
                         Error);
}

TEST_CASE("safetensors: headers that are no object of tensors") {
    const TestFile file;
    for (const char* header :
         {"", "[]", "3", "null", "{", "{}}", "{\"t\":}", "{\"t\":3}", "{\"t\":[]}", "{\"t\":{}}",
          "{\"__metadata__\":3}", "{\"__metadata__\":{\"a\":3}}", "{\"\xff\":{}}", "\xef\xbb\xbf"}) {
        CAPTURE(header);
        CHECK_FALSE(opens(file, with_header(header, 16)));
    }
    const std::string deep(100000, '[');
    CHECK_FALSE(opens(file, with_header("{\"t\":" + deep, 0)));
    CHECK_FALSE(opens(file, with_header(deep + std::string(100000, ']'), 0)));
    CHECK(opens(file, with_header("{\"__metadata__\":{\"a\":\"b\"}}   ", 16)));
}

TEST_CASE("safetensors: a name or a key twice is refused, whatever the entries say") {
    const TestFile file;
    const std::string first = R"("t":{"dtype":"F32","shape":[2],"data_offsets":[0,8]})",
                      half = R"("t":{"dtype":"F16","shape":[4],"data_offsets":[0,8]})";
    for (const std::string& header :
         {"{" + first + "," + first + "}", "{" + first + "," + half + "}",
          R"({"u":{"dtype":"F32","shape":[0],"data_offsets":[0,0]},)" + half + "," + first + "}"}) {
        file.write(with_header(header, 8));
        CHECK_THROWS_WITH_AS(SafetensorsFile{file.path},
                             (file.path.string() + ": its header: the key t is given twice").c_str(), Error);
    }
    CHECK_FALSE(describes(file, R"({"dtype":"F16","dtype":"F32","shape":[2],"data_offsets":[0,8]})"));
    CHECK_FALSE(opens(file, with_header(R"({"__metadata__":{"a":"b","a":"c"}})", 0)));
    CHECK_FALSE(opens(file, with_header(R"({"__metadata__":{},"__metadata__":null})", 0)));
}

TEST_CASE("safetensors: metadata that is null is none") {
    const TestFile file;
    const std::string header =
        R"({"__metadata__":null,"t":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})";
    CHECK(opens(file, with_header(header, 8)));
    const SafetensorsFile read(file.path);
    CHECK(read.metadata().empty());
    CHECK(read.names() == std::vector<std::string>{"t"});
}

TEST_CASE("safetensors: prefixes that all names have are removed, and checksums still hold") {
    const TestFile file;
    const auto write = [&](const std::string& newest, const std::string& average) {
        std::vector<SafetensorsTensor> tensors;
        std::map<std::string, std::string> metadata{{"format", "pt"}};
        for (const std::string& prefix : {newest, average})
            for (const char* name : {"a.weight", "b"}) {
                tensors.push_back({prefix + name, "F32", {2, 3}, std::as_bytes(std::span(matrix))});
                metadata[std::string(checksum_prefix) + prefix + name] =
                    fmt::format("{:08x}", checksum(std::as_bytes(std::span(matrix))));
            }
        write_safetensors(file.path, tensors, metadata);
    };
    const std::vector<std::string> names{"a.weight", "b", "ema.a.weight", "ema.b"};
    for (const auto& [newest, average] : {std::pair{"", "ema."},
                                          {"module.", "ema.module."},
                                          {"_orig_mod.module.", "ema."},
                                          {"module.", "module.ema."},
                                          {"model.", "model_ema."}}) {
        CAPTURE(average);
        write(newest, average);
        const SafetensorsFile opened(file.path);
        CHECK(opened.names() == names);
        std::vector<float> values(6);
        opened.read("ema.b", values.data());
        CHECK(values == matrix);
        std::string damaged = file.read();
        damaged.back() = static_cast<char>(damaged.back() ^ 1);
        file.write(damaged);
        CHECK_THROWS_WITH_AS(SafetensorsFile(file.path).read("ema.b", values.data()),
                             doctest::Contains("tensor ema.b is damaged"), Error);
    }
    write("_orig_mod.module.", "ema.");
    CHECK(SafetensorsFile(file.path).origin("") == "its tensors, names without _orig_mod.module.");
    CHECK(SafetensorsFile(file.path).origin("ema.") == "");
}

TEST_CASE("safetensors: shapes, types and offsets must agree with the data") {
    const TestFile file;
    CHECK(describes(file, R"({"dtype":"F32","shape":[2],"data_offsets":[0,8]})"));
    CHECK(describes(file, R"({"dtype":"F32","shape":[],"data_offsets":[4,8]})"));
    CHECK(describes(file, R"({"dtype":"F32","shape":[0,7],"data_offsets":[8,8]})"));
    CHECK(describes(file, R"({"dtype":"F16","shape":[2,2],"data_offsets":[0,8]})"));
    for (const char* entry : {
             R"({"dtype":"F32","shape":[-2],"data_offsets":[0,8]})",
             R"({"dtype":"F32","shape":[-2,-1],"data_offsets":[0,8]})",
             R"({"dtype":"F32","shape":[3],"data_offsets":[0,8]})",
             R"({"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]})",
             R"({"dtype":"F32","shape":[9223372036854775807,2],"data_offsets":[0,8]})",
             R"({"dtype":"F32","shape":[4611686018427387906],"data_offsets":[0,8]})",
             R"({"dtype":"F32","shape":[18446744073709551614],"data_offsets":[0,8]})",
             R"({"dtype":"F32","shape":[2.0],"data_offsets":[0,8]})",
             R"({"dtype":"F32","shape":[1e300],"data_offsets":[0,8]})",
             R"({"dtype":"F32","shape":[2],"data_offsets":[0,8.5]})",
             R"({"dtype":"F32","shape":"2","data_offsets":[0,8]})",
             R"({"dtype":"F32","shape":["2"],"data_offsets":[0,8]})",
             R"({"dtype":"F33","shape":[2],"data_offsets":[0,8]})",
             R"({"dtype":"","shape":[2],"data_offsets":[0,8]})",
             R"({"dtype":32,"shape":[2],"data_offsets":[0,8]})",
             R"({"shape":[2],"data_offsets":[0,8]})",
             R"({"dtype":"F32","data_offsets":[0,8]})",
             R"({"dtype":"F32","shape":[2]})",
             R"({"dtype":"F32","shape":[2],"data_offsets":[0,8,8]})",
             R"({"dtype":"F32","shape":[2],"data_offsets":[8]})",
             R"({"dtype":"F32","shape":[2],"data_offsets":8})",
             R"({"dtype":"F32","shape":[2],"data_offsets":[8,0]})",
             R"({"dtype":"F32","shape":[2],"data_offsets":[4,12]})",
             R"({"dtype":"F32","shape":[2],"data_offsets":[-8,0]})",
             R"({"dtype":"F32","shape":[2],"data_offsets":[18446744073709551608,0]})",
             R"({"dtype":"F32","shape":[0],"data_offsets":[9,9]})",
         }) {
        CAPTURE(entry);
        CHECK_FALSE(describes(file, entry));
    }
}

TEST_CASE("safetensors: tensors that share bytes are refused or read where they lie") {
    const TestFile file;
    const std::string header = R"({"a":{"dtype":"U8","shape":[8],"data_offsets":[0,8]},)"
                               R"("b":{"dtype":"U8","shape":[6],"data_offsets":[2,8]}})";
    if (!opens(file, with_header(header, 8))) return;
    const SafetensorsFile read(file.path);
    CHECK(read.bytes_u8("b").data() == read.bytes_u8("a").data() + 2);
}

TEST_CASE("safetensors: what is asked for and not there is named") {
    const TestFile file;
    write_example(file.path);
    const SafetensorsFile read(file.path);
    CHECK_THROWS_WITH_AS(read.entry("absent"), doctest::Contains("absent"), Error);
    CHECK_THROWS_WITH_AS(read.bytes("absent"), doctest::Contains("absent"), Error);
    CHECK_THROWS_WITH_AS(read.metadata("absent"), doctest::Contains("absent"), Error);
    CHECK_THROWS_WITH_AS(read.floats("integers"), doctest::Contains("integers has dtype I64, expected F32"),
                         Error);
    CHECK_THROWS_WITH_AS(read.integers("matrix"), doctest::Contains("matrix has dtype F32, expected I64"),
                         Error);
    CHECK_THROWS_WITH_AS(read.bytes_u8("matrix"), doctest::Contains("matrix has dtype F32, expected U8"),
                         Error);
}

TEST_CASE("safetensors: floats that are not aligned are refused, integers copied") {
    const TestFile file;
    std::string header = R"({"f":{"dtype":"F32","shape":[1],"data_offsets":[1,5]},)"
                         R"("i":{"dtype":"I64","shape":[1],"data_offsets":[5,13]}})";
    header.resize((header.size() + 7) / 8 * 8, ' ');
    std::string content = with_header(header, 13);
    const std::int64_t number = -123456789012345;
    std::memcpy(content.data() + 8 + header.size() + 5, &number, 8);
    file.write(content);
    const SafetensorsFile read(file.path);
    CHECK(read.integers("i") == std::vector<std::int64_t>{number});
    CHECK_THROWS_WITH_AS(read.floats("f"), doctest::Contains("tensor f is not aligned"), Error);
}

TEST_CASE("safetensors: what is no regular file is refused by name") {
    for (const char* path : {"/nonexistent-folder/file", "/dev/null", "/tmp"}) {
        CAPTURE(path);
        CHECK_THROWS_WITH_AS(SafetensorsFile{path}, doctest::Contains(path), Error);
    }
}
