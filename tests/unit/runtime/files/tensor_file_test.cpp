#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <span>

#include "runtime/base/error.h"
#include "runtime/files/open_tensor_file.h"
#include "runtime/files/safetensors.h"
#include "tests/unit/runtime/files/pth/pth_writer.h"
#include "tests/unit/runtime/files/read_tensor.h"
#include "tests/unit/temporary_folder.h"

using namespace pth_writer;

TEST_CASE("tensor file: the format is told by the first bytes, not by the name") {
    const TemporaryFolder folder;
    const Floats values{1, 2, 3};
    const std::vector<SafetensorsTensor> tensors{{"t", "F32", {3}, std::as_bytes(std::span(values))}};
    write_safetensors(folder / "a.pth", tensors, {});
    write_pth(folder / "b.safetensors", dictionary({{"t", float_tensor("0", {3})}}),
              {{"0", bytes_of(values)}});
    std::ofstream(folder / "c", std::ios::binary)
        << older_form(dictionary({{"t", float_tensor("0", {3})}}), {{"0", bytes_of(values)}});
    for (const char* name : {"a.pth", "b.safetensors", "c"}) {
        const auto file = open_tensor_file(folder / name);
        CHECK(file->names() == std::vector<std::string>{"t"});
        CHECK(read(*file, "t") == values);
    }
    CHECK_THROWS_WITH_AS(open_tensor_file(folder / "d"), doctest::Contains("cannot be opened"), Error);
}

TEST_CASE("tensor file: half-precision safetensors are read as fp32") {
    const TemporaryFolder folder;
    const std::vector<std::uint16_t> half{0x3c00, 0xc000}, brain{0x3fc0, 0xc000};
    const std::vector<double> doubles{0.1, -3};
    write_safetensors(folder / "a",
                      std::vector<SafetensorsTensor>{{"h", "F16", {2}, std::as_bytes(std::span(half))},
                                                     {"b", "BF16", {2}, std::as_bytes(std::span(brain))},
                                                     {"d", "F64", {2}, std::as_bytes(std::span(doubles))}},
                      {});
    const auto file = open_tensor_file(folder / "a");
    CHECK(read(*file, "h") == Floats{1, -2});
    CHECK(read(*file, "b") == Floats{1.5f, -2});
    CHECK(read(*file, "d") == Floats{0.1f, -3});
}
