#include "runtime/files/pth/pth.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <numeric>

#include "runtime/base/error.h"
#include "runtime/device/device.h"
#include "tests/unit/runtime/files/pth/one_tensor.h"
#include "tests/unit/runtime/files/pth/pth_writer.h"
#include "tests/unit/runtime/files/read_tensor.h"
#include "tests/unit/temporary_folder.h"

using namespace pth_writer;

namespace {

// A tensor "t" of six elements of a type, as the reader gives it.
Floats read_as(const char* storage_name, const std::string& bytes, std::int64_t count) {
    const TemporaryFolder folder;
    write_pth(folder / "type.pth",
              dictionary({{"t", tensor(storage(storage_name, "0", count), 0, {count}, {1})}}),
              {{"0", bytes}});
    return read(PthFile(folder / "type.pth"), "t");
}

// A checkpoint as training writes it, with everything that the reader supports: two tensors, an average, an
// optimizer whose storage is missing from the file, numbers, texts and a Namespace.
std::string training_object() {
    return dictionary(
        {{"model",
          ordered_dictionary({{"a.weight", float_tensor("0", {2, 3})}, {"b", float_tensor("1", {4})}})},
         {"model_ema", dictionary({{"a.weight", float_tensor("2", {2, 3})}, {"b", float_tensor("3", {4})}})},
         {"optimizer", dictionary({{"state", dictionary({{"exp_avg", float_tensor("99", {1000})}})}})},
         {"epoch", integer(7)},
         {"args",
          name_space({{"model", text("tiny")}, {"img_size", integer(16)}, {"path", text("two\nlines")}})}});
}

std::vector<Storage> training_storages() {
    return {{"0", bytes_of(counting(6))},
            {"1", bytes_of(Floats{1, 2, 3, 4})},
            {"2", bytes_of(Floats{6, 5, 4, 3, 2, 1})},
            {"3", bytes_of(Floats{-1, -2, -3, -4})}};
}

}  // namespace

TEST_CASE("pth: weights, averages and what is told beside them; the optimizer's state is skipped unread") {
    const TemporaryFolder folder;
    for (const bool packed : {false, true}) {
        write_pth(folder / "a.pth", training_object(), training_storages(), packed);
        const PthFile file(folder / "a.pth");
        CHECK(file.names() == std::vector<std::string>{"a.weight", "b", "ema.a.weight", "ema.b"});
        CHECK(file.shape("a.weight") == Sizes{2, 3});
        CHECK(read(file, "a.weight") == counting(6));
        CHECK(read(file, "ema.b") == Floats{-1, -2, -3, -4});
        CHECK(file.metadata() == std::map<std::string, std::string>{
                                     {"epoch", "7"}, {"args.model", "tiny"}, {"args.img_size", "16"}});
        CHECK_FALSE(file.contains("optimizer.state.exp_avg"));
        CHECK_THROWS_WITH_AS(file.shape("c"), doctest::Contains("a.pth: has no tensor c"), Error);
    }
}

TEST_CASE("pth: forms of dictionaries") {
    const TemporaryFolder folder;
    const auto names = [&](const std::string& object) {
        write_pth(folder / "a.pth", object, {{"0", bytes_of(Floats{1, 2})}});
        return PthFile(folder / "a.pth").names();
    };
    const std::string leaf = float_tensor("0", {2});
    using Names = std::vector<std::string>;
    CHECK(names(dictionary({{"x.y", leaf}, {"z", leaf}})) == Names{"x.y", "z"});
    CHECK(names(ordered_dictionary({{"x", leaf}}) + "}b") == Names{"x"});
    CHECK(names(dictionary({{"state_dict", dictionary({{"x", leaf}})}, {"y", leaf}})) == Names{"x"});
    CHECK(names(dictionary({{"net", dictionary({{"x", leaf}, {"y", dictionary({{"z", leaf}})}})}})) ==
          Names{"x", "y.z"});
    CHECK(names(dictionary({{"model", leaf}})) == Names{"model"});
    CHECK(names(dictionary({{"model", dictionary({{"x", leaf}, {"n", integer(3)}, {"l", list({leaf})}})}})) ==
          Names{"x"});
    CHECK(names(dictionary({{"model_ema", dictionary({{"x", leaf}})}})) == Names{"ema.x"});
    CHECK(names(call(global("collections", "defaultdict"), {global("builtins", "list")}) + text("x") + leaf +
                "s") == Names{"x"});
    // Python 2: the entries as a list of pairs.
    CHECK(names(call(global("collections", "OrderedDict"), {list({list({text("x"), leaf})})})) == Names{"x"});
    // Parameters around tensors.
    const std::string hooks = call(global("collections", "OrderedDict"), {});
    CHECK(names(dictionary({{"x", call(global("torch._utils", "_rebuild_parameter"),
                                       {leaf, "\x88", hooks})}})) == Names{"x"});
    CHECK(names(dictionary({{"x", call(global("torch._utils", "_rebuild_parameter_with_state"),
                                       {leaf, "\x88", hooks, "}"})}})) == Names{"x"});
    CHECK(names(dictionary({{"x", call(global("torch._utils", "_rebuild_tensor"),
                                       {storage("FloatStorage", "0", 2), integer(0), sizes({2}),
                                        sizes({1})})}})) == Names{"x"});
    // A later entry of the same name wins, as in Python.
    CHECK(names(dictionary({{"model", dictionary({{"x", leaf}})}, {"model", dictionary({{"y", leaf}})}})) ==
          Names{"y"});
}

TEST_CASE("pth: every type of numbers") {
    CHECK(read_as("FloatStorage", bytes_of(Floats{1.5f, -0.0f, INFINITY}), 3) == Floats{1.5f, 0, INFINITY});
    CHECK(read_as("DoubleStorage", bytes_of(std::vector<double>{0.1, 1e300, -2}), 3) ==
          Floats{0.1f, INFINITY, -2});
    CHECK(read_as("LongStorage", bytes_of(std::vector<std::int64_t>{-1, 1LL << 40}), 2) ==
          Floats{-1, 0x1p40f});
    CHECK(read_as("IntStorage", bytes_of(std::vector<std::int32_t>{-7, 1 << 30}), 2) == Floats{-7, 0x1p30f});
    CHECK(read_as("ShortStorage", bytes_of(std::vector<std::int16_t>{-32768, 5}), 2) == Floats{-32768, 5});
    CHECK(read_as("CharStorage", bytes_of(std::vector<std::int8_t>{-128, 127}), 2) == Floats{-128, 127});
    CHECK(read_as("ByteStorage", bytes_of(std::vector<std::uint8_t>{0, 255}), 2) == Floats{0, 255});
    CHECK(read_as("BoolStorage", bytes_of(std::vector<std::uint8_t>{0, 1, 2}), 3) == Floats{0, 1, 1});
    CHECK(read_as("UntypedStorage", bytes_of(std::vector<std::uint8_t>{9}), 1) == Floats{9});
    CHECK(read_as("BFloat16Storage", bytes_of(std::vector<std::uint16_t>{0x3fc0, 0xc000, 0x7f80}), 3) ==
          Floats{1.5f, -2, INFINITY});
    // 1, -2, the largest, the smallest normal, the smallest of all, -0, infinity.
    const std::vector<std::uint16_t> halves{0x3c00, 0xc000, 0x7bff, 0x0400, 0x0001, 0x8000, 0x7c00};
    const Floats wide = read_as("HalfStorage", bytes_of(halves), 7);
    CHECK(wide == Floats{1, -2, 65504, 0x1p-14f, 0x1p-24f, 0, INFINITY});
    CHECK(std::signbit(wide[5]));
    CHECK(std::isnan(read_as("HalfStorage", bytes_of(std::vector<std::uint16_t>{0x7e00}), 1)[0]));
    CHECK(std::bit_cast<std::uint32_t>(read_as(
              "FloatStorage", bytes_of(std::vector<std::uint32_t>{0x7fa12345}), 1)[0]) == 0x7fa12345u);
}

TEST_CASE("pth: types that are no real numbers are listed, and refused when read") {
    const TemporaryFolder folder;
    const auto typed = [](const char* type, std::int64_t bytes, std::int64_t count) {
        return call(global("torch._utils", "_rebuild_tensor_v3"),
                    {storage("UntypedStorage", "0", bytes), integer(0), sizes({count}), sizes({1}), "\x89",
                     none(), global("torch", type)});
    };
    const std::vector<Storage> bytes{{"0", bytes_of(Floats{1, 2})}};
    write_pth(folder / "a.pth",
              dictionary({{"c", tensor(storage("ComplexFloatStorage", "0", 1), 0, {1}, {1})},
                          {"f8", typed("float8_e4m3fn", 8, 8)},
                          {"f", typed("float32", 8, 2)},
                          {"u", typed("uint16", 8, 4)}}),
              bytes);
    const PthFile file(folder / "a.pth");
    CHECK(file.shape("c") == Sizes{1});
    CHECK(file.entry("f8").type == ScalarType::float8_e4m3fn);
    float value = 0;
    CHECK_THROWS_WITH_AS(file.read("c", &value), doctest::Contains("tensor c has dtype complex64"), Error);
    CHECK_THROWS_WITH_AS(file.read("f8", &value), doctest::Contains("tensor f8 has dtype float8_e4m3fn"),
                         Error);
    CHECK(read(file, "f") == Floats{1, 2});
    CHECK(read(file, "u") == Floats{0, 0x3f80, 0, 0x4000});
    const OneTensor one;
    CHECK(one.refusal_of(typed("float7", 8, 1), bytes).find("tensor t: a tensor of an unknown dtype") !=
          std::string::npos);
    CHECK(one.refusal_of(typed("float32", 8, 3), bytes).find("do not lie within its storage of 2 elements") !=
          std::string::npos);
    CHECK(one.refusal_of(tensor(storage("OddStorage", "0", 1), 0, {1}, {1}), bytes).find("unknown type") !=
          std::string::npos);
}

TEST_CASE("pth: storages longer than a piece of reading, stored and packed, whole and in part") {
    const TemporaryFolder folder;
    const std::size_t count = 700'001;
    const Floats values = counting(count);
    const std::string all = storage("FloatStorage", "0", count);
    for (const bool packed : {false, true}) {
        write_pth(folder / "a.pth",
                  dictionary({{"all", tensor(all, 0, {static_cast<std::int64_t>(count)}, {1})},
                              {"late", tensor(all, 600'003, {1000}, {1})}}),
                  {{"0", bytes_of(values)}}, packed);
        const PthFile file(folder / "a.pth");
        CHECK(read(file, "all") == values);
        CHECK(read(file, "late") == Floats(values.begin() + 600'003, values.begin() + 601'003));
    }
}

TEST_CASE("pth: tensors that do not lie within their storage are refused") {
    const OneTensor one;
    const std::vector<Storage> six{{"0", bytes_of(counting(6))}};
    const std::string whole = storage("FloatStorage", "0", 6);
    const std::int64_t huge = std::int64_t{1} << 62;
    REQUIRE(one.refusal_of(tensor(whole, 0, {2, 3}, {3, 1}), six) == "");
    for (const std::string& bad :
         {tensor(whole, 1, {2, 3}, {3, 1}),
          tensor(whole, 7, {0}, {1}),
          tensor(whole, 0, {2, 3}, {4, 1}),
          tensor(whole, -1, {2}, {1}),
          tensor(whole, huge, {1}, {1}),
          tensor(whole, 0, {2}, {-1}),
          tensor(whole, 0, {-2}, {1}),
          tensor(whole, 0, {huge}, {1}),
          tensor(whole, 0, {huge, 4}, {1, 1}),
          tensor(whole, 0, {huge, huge}, {0, 0}),
          tensor(whole, 0, {3}, {huge}),
          tensor(whole, 0, {2, 2}, {huge, huge}),
          tensor(whole, 0, {2, 3}, {3}),
          tensor(whole, 0, Sizes(100, 1), Sizes(100, 1)),
          tensor(storage("FloatStorage", "0", huge), 0, {6}, {1}),
          tensor(storage("FloatStorage", "0", -6), 0, {6}, {1}),
          tensor(storage("FloatStorage", "0", 5), 0, {5}, {1}),
          tensor(storage("DoubleStorage", "0", 6), 0, {6}, {1}),
          tensor(storage("FloatStorage", "1", 6), 0, {6}, {1}),
          tensor(storage("FloatStorage", "../data.pkl", 6), 0, {6}, {1}),
          tensor(storage("FloatStorage", "a\nb", 6), 0, {6}, {1}),
          tensor(integer(3) + "Q", 0, {6}, {1}),
          tensor(none(), 0, {6}, {1}),
          tensor(tuple({none()}) + "Q", 0, {6}, {1}),
          call(global("torch._utils", "_rebuild_tensor_v2"), {whole, integer(0)}),
          call(global("torch._utils", "_rebuild_tensor_v2"), {whole, none(), sizes({6}), sizes({1})}),
          call(global("torch._utils", "_rebuild_tensor_v2"), {whole, integer(0), none(), none()}),
          call(global("torch._utils", "_rebuild_tensor_v2"),
               {whole, integer(0), tuple({none()}), sizes({1})})}) {
        const std::string message = one.refusal_of(bad, six);
        CHECK(message != "");
        CAPTURE(message);
    }
    CHECK(one.refusal_of(tensor(whole, 1, {2, 3}, {3, 1}), six)
              .find("tensor t: its elements from 1 on do not lie within its storage of 6 elements") !=
          std::string::npos);
    // Zero elements need no memory, for any other sizes.
    CHECK(one.refusal_of(tensor(whole, 0, {huge, huge, 0}, {huge, 1, 1}), six) == "");
}

TEST_CASE("pth: few numbers strewn over a huge storage take no memory") {
    // A packed entry of 128 MiB of zeros takes a few KiB in the file.
    const TemporaryFolder folder;
    const std::int64_t count = 1 << 25;
    const std::string all = storage("FloatStorage", "0", count);
    write_pth(folder / "bomb.pth",
              dictionary(
                  {{"strewn", tensor(all, 0, {2}, {count - 1})}, {"last", tensor(all, count - 1, {1}, {1})}}),
              {{"0", std::string(4 << 25, '\0')}}, true);
    REQUIRE(std::filesystem::file_size(folder / "bomb.pth") < 1 << 20);
    const PthFile file(folder / "bomb.pth");
    float values[2];
    CHECK_THROWS_WITH_AS(file.read("strewn", values), doctest::Contains("strewn over"), Error);
    const std::size_t before = peak_resident_memory();
    CHECK(read(file, "last") == Floats{0});
    CHECK(peak_resident_memory() - before < std::size_t{16} << 20);
}

TEST_CASE("pth: nothing in a pickle is ever called") {
    const TemporaryFolder folder;
    const std::string trace = (folder / "trace").string();
    const std::string attack = call(global("os", "system"), {text("touch " + trace)});
    CHECK_NOTHROW([&] {
        write_pth(folder / "a.pth", dictionary({{"evil", attack}, {"t", float_tensor("0", {2})}}),
                  {{"0", bytes_of(Floats{1, 2})}});
    }());
    CHECK(PthFile(folder / "a.pth").names() == std::vector<std::string>{"t"});
    write_pth(folder / "a.pth", attack, {});
    CHECK(refusal(folder / "a.pth").find("holds no dictionary of tensors") != std::string::npos);
    CHECK_FALSE(std::filesystem::exists(trace));
}

TEST_CASE("pth: dictionaries that never end, and names that are no names") {
    const TemporaryFolder folder;
    const auto refused = [&](const std::string& object) {
        write_pth(folder / "a.pth", object, {{"0", bytes_of(Floats{1, 2})}});
        return refusal(folder / "a.pth") != "";
    };
    const std::string leaf = float_tensor("0", {2});
    REQUIRE_FALSE(refused(dictionary({{"a", leaf}})));
    CHECK(refused("}q\x01" + text("a") + "h\x01s"));  // in itself
    std::string deep = leaf;
    for (int i = 0; i < 40; ++i) deep = dictionary({{"a", deep}});
    CHECK(refused(deep));
    // 12 levels of 10 times the level below.
    std::string bomb = dictionary({{"t", leaf}}) +
                       "q\x01"
                       "0";
    for (char level = 2; level < 14; ++level) {
        bomb += "}(";
        for (int i = 0; i < 10; ++i) bomb += text(fmt::format("k{}", i)) + "h" + static_cast<char>(level - 1);
        bomb += std::string("uq") + level + "0";
    }
    CHECK(refused(bomb + "h\x0d"));
    // A dictionary with 300,000 entries as the value of 1,000 keys.
    std::string wide = "}(";
    for (int i = 0; i < 300'000; ++i) wide += "NN";
    wide +=
        "uq\x01"
        "0}(";
    for (int i = 0; i < 1000; ++i) wide += text("model") + "h\x01";
    CHECK(refused(wide + "u"));
    CHECK(refused(dictionary({{"two\nlines", leaf}})));
    CHECK(refused(dictionary({{std::string(10'000, 'x'), leaf}})));
    CHECK(refused(dictionary({{"n", integer(1)}})));
    CHECK(refused("}"));
    CHECK(refused("N"));
    CHECK(refused(list({leaf})));
}

TEST_CASE("pth: archives that are not torch's, or big-endian") {
    const TemporaryFolder folder;
    const auto message = [&](const std::vector<Entry>& entries) {
        write_zip(folder / "a.pth", entries);
        return refusal(folder / "a.pth");
    };
    const std::string object = pickle(dictionary({{"t", float_tensor("0", {2})}}));
    const std::string two = bytes_of(Floats{1, 2});
    CHECK(message({{"data.pkl", object}, {"data/0", two}}) == "");
    CHECK(message({{"any name/data.pkl", object}, {"any name/data/0", two}}) == "");
    CHECK(message({{"readme", "hello"}}).find("no entry data.pkl") != std::string::npos);
    CHECK(message({{"notdata.pkl", object}}).find("no entry data.pkl") != std::string::npos);
    CHECK(message({{"a/data.pkl", object}}).find("has no entry a/data/0") != std::string::npos);
    CHECK(message({{"a/data.pkl", object}, {"a/data/0", two}, {"a/byteorder", "big"}}).find("big-endian") !=
          std::string::npos);
    CHECK(
        message({{"a/data.pkl", object}, {"a/data/0", two + two}}).find("storage of 16 bytes, expected 8") !=
        std::string::npos);
    CHECK(message({{"a/data.pkl", ""}, {"a/data/0", two}}).find("malformed at byte 0") != std::string::npos);
    CHECK(message({{"a/data.pkl", std::string((64 << 20) + 1, '\0'), true}}).find("expected at most") !=
          std::string::npos);
}

TEST_CASE("pth: the older form without zip, in every protocol") {
    const TemporaryFolder folder;
    for (const int protocol : {2, 3, 4, 5}) {
        write(folder / "a.pth", older_form(training_object(),
                                           {{"99", std::string(4000, '\0')},
                                            {"2", bytes_of(Floats{6, 5, 4, 3, 2, 1})},
                                            {"0", bytes_of(counting(6))},
                                            {"3", bytes_of(Floats{-1, -2, -3, -4})},
                                            {"1", bytes_of(Floats{1, 2, 3, 4})}},
                                           protocol));
        const PthFile file(folder / "a.pth");
        CHECK(file.names().size() == 4);
        CHECK(read(file, "a.weight") == counting(6));
        CHECK(read(file, "b") == Floats{1, 2, 3, 4});
        CHECK(read(file, "ema.a.weight") == Floats{6, 5, 4, 3, 2, 1});
        CHECK(file.metadata("epoch") == "7");
    }
    const std::string whole =
        older_form(dictionary({{"t", float_tensor("0", {6})}}), {{"0", bytes_of(counting(6))}});
    const auto changed = [&](const std::string& value, const std::string& other) {
        write(folder / "a.pth", std::string(whole).replace(whole.find(value), value.size(), other));
        return refusal(folder / "a.pth");
    };
    CHECK(changed(integer(1001), integer(1002)) ==
          (folder / "a.pth").string() + ": torch's format 1002, expected 1001");
    CHECK(changed(dictionary({{"protocol_version", integer(1001)}, {"little_endian", "\x88"}}), integer(1))
              .find("its third pickle is no dictionary") != std::string::npos);
    CHECK(changed(text("little_endian") + "\x88", text("little_endian") + "\x89").find("big-endian") !=
          std::string::npos);
    CHECK(changed("\x8a\x0a\x6c\xfc", "\x8a\x0a\x6d\xfc").find("not a torch file") != std::string::npos);
    // A storage that is a part of another.
    const std::string part = tuple({text("storage"), global("torch", "FloatStorage"), text("0"), text("cpu"),
                                    integer(6), tuple({text("1"), integer(2), integer(3)})}) +
                             "Q";
    const auto message = [&](const std::string& object) {
        write(folder / "a.pth", older_form(object, {{"0", bytes_of(counting(6))}}));
        return refusal(folder / "a.pth");
    };
    CHECK(message(dictionary({{"t", tensor(part, 1, {2}, {1})}})) == "");
    CHECK(read(PthFile(folder / "a.pth"), "t") == Floats{3, 4});
    CHECK(message(dictionary({{"t", tensor(part, 2, {2}, {1})}})).find("storage of 3 elements") !=
          std::string::npos);
    CHECK(message(dictionary({{"t", float_tensor("7", {2})}})).find("a storage that no tensor uses") !=
          std::string::npos);
    CHECK(message(dictionary({{"t", float_tensor("0", {7})}})).find("has 6 elements, expected 7") !=
          std::string::npos);
}

TEST_CASE("pth: what is neither form is refused by name") {
    const TemporaryFolder folder;
    std::string tar(1024, '\0');
    tar.replace(0, 8, "sys_info");
    tar.replace(257, 5, "ustar");
    write(folder / "a.pth", tar);
    CHECK(refusal(folder / "a.pth").find("a tar archive, as torch wrote before version 0.1.10") !=
          std::string::npos);
    for (const std::string& bytes :
         {std::string(), std::string("PK"), std::string("hello"), std::string(1000, 'x')}) {
        write(folder / "a.pth", bytes);
        CHECK(refusal(folder / "a.pth").find("not a torch file") != std::string::npos);
    }
    CHECK(refusal(folder / "missing.pth").find("cannot be opened") != std::string::npos);
    CHECK(refusal(folder.path()).find("not a file") != std::string::npos);
}

TEST_CASE("pth: a file cut off anywhere is refused, in either form") {
    const TemporaryFolder folder;
    const std::string object =
        dictionary({{"model", ordered_dictionary({{"a", float_tensor("0", {2, 3})}})}});
    const std::vector<Storage> storages{{"0", bytes_of(counting(6))}};
    write_pth(folder / "whole.pth", object, storages);
    for (const std::string& whole : {content_of(folder / "whole.pth"), older_form(object, storages)}) {
        write(folder / "a.pth", whole);
        REQUIRE(refusal(folder / "a.pth") == "");
        for (std::size_t length = 0; length < whole.size(); ++length) {
            write(folder / "a.pth", std::string_view(whole).substr(0, length));
            CHECK_MESSAGE(refusal(folder / "a.pth") != "", length);
        }
    }
}

TEST_CASE("pth: a file with any byte changed opens or is refused, in either form") {
    const TemporaryFolder folder;
    const std::string object =
        dictionary({{"model", ordered_dictionary({{"a", float_tensor("0", {2, 3})}})}});
    const std::vector<Storage> storages{{"0", bytes_of(counting(6))}};
    write_pth(folder / "stored.pth", object, storages);
    write_pth(folder / "packed.pth", object, storages, true);
    for (const std::string& whole : {content_of(folder / "stored.pth"), content_of(folder / "packed.pth"),
                                     older_form(object, storages)}) {
        std::size_t refused = 0;
        for (std::size_t position = 0; position < whole.size(); ++position)
            for (const int change : {0x01, 0x10, 0x80, 0xff}) {
                std::string damaged = whole;
                damaged[position] = static_cast<char>(damaged[position] ^ change);
                write(folder / "a.pth", damaged);
                if (refusal(folder / "a.pth") != "") ++refused;
            }
        CHECK(refused > whole.size());
    }
}

TEST_CASE("pth: damaged numbers are noticed by the archive's CRC-32") {
    const TemporaryFolder folder;
    const std::string numbers = bytes_of(counting(6));
    write_pth(folder / "a.pth", dictionary({{"t", float_tensor("0", {2, 3})}}), {{"0", numbers}});
    std::string whole = content_of(folder / "a.pth");
    const std::size_t place = whole.find(numbers);
    REQUIRE(place != std::string::npos);
    whole[place + 5] ^= 0x40;
    write(folder / "a.pth", whole);
    CHECK(refusal(folder / "a.pth").find("entry archive/data/0 is damaged: CRC error") != std::string::npos);
}
