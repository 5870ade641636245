#include "runtime/checkpoint/checkpoint.h"

#include <doctest/doctest.h>
#include <unistd.h>
#include <zlib.h>

#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "runtime/base/error.h"
#include "tests/unit/kernels/check_values.h"

using namespace kernel_check;

namespace {

struct TestFile {
    std::filesystem::path path = std::filesystem::temp_directory_path() /
                                 ("checkpoint_test." + std::to_string(::getpid()) + ".safetensors");
    ~TestFile() { std::filesystem::remove(path); }
};

// Parameters a.weight [3, 5] and b.bias [7], drawn from `seed`.
struct Model {
    Parameters parameters;

    explicit Model(std::uint64_t seed) {
        parameters.add("a.weight", {3, 5}, Init::xavier);
        parameters.add("b.bias", {7}, Init::normal);
        parameters.allocate(Device::cpu, false);
        parameters.initialize(seed);
    }
    std::vector<float> values() const {
        return {parameters.values(), parameters.values() + parameters.slab_floats()};
    }
};

// Writes the model's values under "" and the `moments` of the same layout under the first moment's prefix.
void write_checkpoint(const std::filesystem::path& path, const Model& model,
                      const std::vector<float>& moments) {
    CheckpointWriter writer;
    writer.add_slab(model.parameters, "", model.parameters.values());
    writer.add_slab(model.parameters, first_moment_prefix, moments.data());
    writer.set("step", "17");
    writer.write(path);
}

// Changes one byte of the file, counted from its end.
void damage(const std::filesystem::path& path, std::int64_t from_end) {
    std::fstream file(path, std::ios::binary | std::ios::in | std::ios::out);
    file.seekg(-from_end, std::ios::end);
    const auto value = static_cast<char>(file.get() ^ 0x10);
    file.seekp(-from_end, std::ios::end);
    file.put(value);
}

std::string message_of(const std::filesystem::path& path, Parameters& expected) {
    const SafetensorsFile file(path);
    try {
        load_slab(file, expected, "", expected.values());
    } catch (const Error& error) {
        CHECK(std::string(error.what()).find(path.string()) != std::string::npos);
        return error.what();
    }
    return "nothing thrown";
}

// The message when a model with one parameter of this name and shape is loaded from the file.
std::string message_for(const std::filesystem::path& path, const char* name,
                        std::vector<std::int64_t> shape) {
    Parameters expected;
    expected.add(name, std::move(shape), Init::zeros);
    expected.allocate(Device::cpu, false);
    return message_of(path, expected);
}

}  // namespace

TEST_CASE("checkpoint: slabs return bit for bit under their prefixes") {
    const TestFile file;
    const Model model(1);
    const std::vector<float> moments = uniform(static_cast<std::int64_t>(model.parameters.slab_floats()), 2);
    write_checkpoint(file.path, model, moments);
    const SafetensorsFile read(file.path);
    Model other(2);
    CHECK_FALSE(same_bits(other.values(), model.values()));
    load_slab(read, other.parameters, "", other.parameters.values());
    CHECK(same_bits(other.values(), model.values()));
    std::vector<float> loaded(moments.size());
    load_slab(read, model.parameters, first_moment_prefix, loaded.data());
    for (const Parameter& parameter : model.parameters.all())
        for (std::int64_t i = 0; i < parameter.count; ++i) {
            const std::size_t place = parameter.offset + static_cast<std::size_t>(i);
            CHECK(loaded[place] == moments[place]);
        }
    CHECK(loaded[15] == 0.0f);  // padding is not stored
    CHECK(read.metadata("step") == "17");
    CHECK(read.entry("a.weight").shape == std::vector<std::int64_t>{3, 5});
    CHECK(read.contains("optimizer.exp_avg.b.bias"));
}

TEST_CASE("checkpoint: a single parameter loads alone") {
    const TestFile file;
    const Model model(1);
    write_checkpoint(file.path, model, model.values());
    Model other(2);
    const std::vector<float> before = other.values();
    const Parameter& bias = other.parameters.find("b.bias");
    load_parameter(SafetensorsFile(file.path), bias, "", other.parameters.values(), Device::cpu);
    std::vector<float> expected = before;
    std::copy_n(model.parameters.values() + bias.offset, 7,
                expected.begin() + static_cast<std::ptrdiff_t>(bias.offset));
    CHECK(same_bits(other.values(), expected));
}

TEST_CASE("checkpoint: the CRC-32 of every tensor stands in the metadata") {
    const TestFile file;
    const Model model(1);
    write_checkpoint(file.path, model, model.values());
    const SafetensorsFile read(file.path);
    for (const auto& [name, entry] : read.entries()) {
        const auto data = read.bytes(name);
        const auto crc =
            ::crc32(0, reinterpret_cast<const Bytef*>(data.data()), static_cast<uInt>(data.size()));
        CHECK(read.metadata("crc32/" + name) == fmt::format("{:08x}", crc));
    }
    CHECK(read.metadata().size() == 1 + 4);
}

TEST_CASE("checkpoint: a damaged tensor is named") {
    const TestFile file;
    Model model(1);
    // Data in the order of writing: a.weight 60, b.bias 28, their moments 60 and 28 bytes.
    write_checkpoint(file.path, model, model.values());
    damage(file.path, 28 + 60 + 1);
    CHECK(message_of(file.path, model.parameters).find("tensor b.bias is damaged") != std::string::npos);
    write_checkpoint(file.path, model, model.values());
    damage(file.path, 28 + 60 + 28 + 60);
    CHECK(message_of(file.path, model.parameters).find("tensor a.weight is damaged") != std::string::npos);
    write_checkpoint(file.path, model, model.values());
    damage(file.path, 1);
    CHECK(message_of(file.path, model.parameters) == "nothing thrown");
    CHECK_THROWS_WITH_AS(load_slab(SafetensorsFile(file.path), model.parameters, first_moment_prefix,
                                   model.parameters.values()),
                         doctest::Contains("optimizer.exp_avg.b.bias is damaged"), Error);
}

TEST_CASE("checkpoint: every damaged byte of the data is noticed") {
    const TestFile file;
    Model model(1);
    for (std::int64_t from_end = 28 + 60 + 1; from_end <= 28 + 60 + 28 + 60; ++from_end) {
        write_checkpoint(file.path, model, model.values());
        damage(file.path, from_end);
        CHECK(message_of(file.path, model.parameters).find("is damaged") != std::string::npos);
    }
}

TEST_CASE("checkpoint: messages name the tensor, what was found and what was expected") {
    const TestFile file;
    const Model model(1);
    write_checkpoint(file.path, model, model.values());
    CHECK(message_for(file.path, "c.weight", {3, 5}).find("has no tensor c.weight") != std::string::npos);
    CHECK(message_for(file.path, "a.weight", {5, 3})
              .find("tensor a.weight has shape [3, 5], expected [5, 3]") != std::string::npos);
    CHECK(message_for(file.path, "a.weight", {15}).find("has shape [3, 5], expected [15]") !=
          std::string::npos);
    CHECK(message_for(file.path, "b.bias", {7}) == "nothing thrown");
    const std::vector<std::int32_t> numbers(7);
    const std::vector<SafetensorsTensor> tensors = {
        {"b.bias", "I32", {7}, std::as_bytes(std::span(numbers))}};
    write_safetensors(file.path, tensors, {});
    CHECK(message_for(file.path, "b.bias", {7}).find("tensor b.bias has dtype I32, expected F32") !=
          std::string::npos);
}

TEST_CASE("checkpoint: numbers that are not finite are refused, with their tensor and place") {
    const TestFile file;
    for (const float value : {std::nanf(""), HUGE_VALF, -HUGE_VALF}) {
        std::vector<float> numbers(7);
        numbers[5] = value;
        const std::vector<SafetensorsTensor> tensors = {
            {"b.bias", "F32", {7}, std::as_bytes(std::span(numbers))}};
        write_safetensors(file.path, tensors, {});
        CHECK(message_for(file.path, "b.bias", {7})
                  .ends_with(
                      fmt::format("tensor b.bias holds {} at element 5, expected finite numbers", value)));
    }
}

TEST_CASE("checkpoint: a file without checksums, as others write it, loads even unaligned") {
    const TestFile file;
    const std::vector<float> values = uniform(7, 3);
    const std::byte odd{1};
    const std::vector<SafetensorsTensor> tensors = {{"flag", "U8", {1}, {&odd, 1}},
                                                    {"b.bias", "F32", {7}, std::as_bytes(std::span(values))}};
    write_safetensors(file.path, tensors, {});
    Parameters parameters;
    const Parameter& bias = parameters.add("b.bias", {7}, Init::zeros);
    parameters.allocate(Device::cpu, false);
    load_slab(SafetensorsFile(file.path), parameters, "", parameters.values());
    CHECK(same_bits({bias.value, bias.value + 7}, values));
}
