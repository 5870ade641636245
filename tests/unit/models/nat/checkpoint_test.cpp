#include "models/nat/checkpoint.h"
#include "models/nat/tokenizer_checkpoint.h"

#include <doctest/doctest.h>

#include <algorithm>

#include "runtime/base/error.h"
#include "tests/golden/golden_file.h"
#include "tests/unit/temporary_folder.h"

namespace {

// A published file's names and shapes, without its numbers.
class Shapes : public TensorFile {
  public:
    explicit Shapes(const NatConfig& config) : TensorFile("published.pth") {
        const NatTransformer model(config, Device::cpu);
        for (const Parameter& parameter : model.parameters().all()) shapes_[parameter.name] = parameter.shape;
    }
    std::vector<std::string> names() const override {
        std::vector<std::string> names;
        for (const auto& [name, shape] : shapes_) names.push_back(name);
        return names;
    }
    bool contains(std::string_view name) const override { return shapes_.contains(name); }
    const std::vector<std::int64_t>& shape(std::string_view name) const override {
        const auto found = shapes_.find(name);
        if (found == shapes_.end()) fail("{}: no tensor {}", path().string(), name);
        return found->second;
    }
    void read(std::string_view name, float* destination) const override {
        std::int64_t count = 1;
        for (const std::int64_t size : shape(name)) count *= size;
        std::fill_n(destination, count, 0.0f);
    }

  private:
    std::map<std::string, std::vector<std::int64_t>, std::less<>> shapes_;
};

template <class Action>
std::string message_of(Action action) {
    try {
        action();
    } catch (const Error& error) {
        return error.what();
    }
    return "";
}

const NatConfig tiny{4, 12, 16, 2, 2, 4, false, 3, true, 1};

void write_model(const std::filesystem::path& path, const NatMetadata& metadata) {
    NatTransformer model(metadata.config, Device::cpu);
    model.parameters().allocate(Device::cpu, false);
    model.parameters().initialize(1);
    CheckpointWriter writer;
    writer.add_slab(model.parameters(), "", model.parameters().values());
    write_metadata(writer, metadata);
    writer.write(path);
}

}  // namespace

TEST_CASE("nat checkpoint: a published file's shapes and the presets say which model it is") {
    for (const NatPreset& preset : nat_presets()) {
        CAPTURE(preset.name);
        NatConfig config = preset.config;
        if (!config.takes_texts()) config.num_classes = 7;
        const Shapes file(config);
        CHECK(holds_nat(file));
        CHECK(read_nat_metadata(file).config == config);
        CHECK(nat_preset_for(file, preset.name) == config);
    }
    const Shapes unknown(tiny);
    const std::string message = message_of([&] { read_nat_metadata(unknown); });
    CHECK(message.find("width 16, depth 2, 12 codes, 4x4 tokens") != std::string::npos);
    CHECK(message.find("--config") != std::string::npos);
    CHECK(read_nat_metadata(unknown, tiny).config == tiny);
    CHECK_NOTHROW(load_nat(unknown, tiny, Device::cpu));
    NatConfig other = tiny;
    other.embed_dim = 32;
    CHECK_THROWS_AS(load_nat(unknown, other, Device::cpu), Error);
}

TEST_CASE("nat checkpoint: what is written is read; another tokenizer is refused") {
    const TemporaryFolder folder;
    const auto path = folder / "model.safetensors";
    write_model(path, {{{"cat", "dog"}, 12, 0.5f}, tiny, 0xABCDu});
    const SafetensorsFile file(path);
    CHECK(holds_nat(file));
    const NatMetadata metadata = read_nat_metadata(file);
    CHECK(metadata.config == tiny);
    CHECK(metadata.classes == std::vector<std::string>{"cat", "dog"});
    CHECK(metadata.tokenizer == 0xABCDu);
    CHECK(metadata.step == 12);
    CHECK(metadata.ema_decay == 0.5f);
    CHECK_NOTHROW(require_tokenizer(path.string(), metadata.tokenizer, 0xABCD, "vq.pth"));
    const std::string message =
        message_of([&] { require_tokenizer(path.string(), metadata.tokenizer, 1, "vq.pth"); });
    CHECK(message.find("model.safetensors") != std::string::npos);
    CHECK(message.find("vq.pth") != std::string::npos);
    NatConfig other = tiny;
    other.num_heads = 4;
    CHECK_THROWS_AS(read_nat_metadata(file, other), UsageError);

    NatTransformer expected(tiny, Device::cpu);
    expected.parameters().allocate(Device::cpu, false);
    expected.parameters().initialize(1);
    const auto loaded = load_nat(file, tiny, Device::cpu);
    CHECK(std::equal(expected.parameters().values(),
                     expected.parameters().values() + expected.parameters().slab_floats(),
                     loaded->parameters().values()));
}

TEST_CASE("nat checkpoint: malformed metadata and other models are refused by name") {
    const TemporaryFolder folder;
    const auto path = folder / "model.safetensors";
    for (const auto& [key, value] :
         {std::pair{"config", "{}"}, {"classes", "7"}, {"step", "x"}, {"tokenizer", "zz"}}) {
        CAPTURE(key);
        NatTransformer model(tiny, Device::cpu);
        model.parameters().allocate(Device::cpu, false);
        CheckpointWriter writer;
        writer.add_slab(model.parameters(), "", model.parameters().values());
        write_metadata(writer, NatMetadata{{{}, 1, 0}, tiny, 1u});
        writer.set(key, value);
        writer.write(path);
        CHECK(message_of([&] { read_nat_metadata(SafetensorsFile(path)); }).find("model.safetensors") !=
              std::string::npos);
    }
    const GoldenFile weights("fractalar_two_level_tiny.weights.safetensors");
    const SafetensorsFile fractal(weights.path());
    CHECK_FALSE(holds_nat(fractal));
    CHECK_THROWS_AS(read_nat_metadata(fractal), Error);
}
