// The tokenizer's configuration, its files, and pictures through it.
#include <doctest/doctest.h>

#include <algorithm>
#include <functional>
#include <string>
#include <vector>

#include "models/nat/image_codec.h"
#include "models/nat/tokenizer_checkpoint.h"
#include "runtime/base/error.h"
#include "runtime/ops/ops.h"
#include "tests/test_devices.h"
#include "tests/unit/kernels/check_values.h"
#include "tests/unit/temporary_folder.h"

namespace {

const std::string tiny_json =
    R"({"ch": 32, "ch_mult": [1, 2], "num_res_blocks": 1, "z_channels": 8, "n_embed": 16})";

TokenizerConfig tiny() {
    return parse_tokenizer_config(tiny_json, "tiny");
}

std::string message_of(const std::function<void()>& action) {
    try {
        action();
    } catch (const Error& error) {
        return error.what();
    }
    return "nothing was thrown";
}

// A random tokenizer in a file; `change` may modify its contents.
struct Saved {
    explicit Saved(const TokenizerConfig& config,
                   const std::function<void(CheckpointWriter&, const Tokenizer&)>& change = {}) {
        Tokenizer tokenizer(config, Device::cpu);
        tokenizer.parameters().allocate(Device::cpu, false);
        tokenizer.parameters().initialize(1);
        CheckpointWriter writer;
        if (change) {
            change(writer, tokenizer);
        } else {
            writer.add_slab(tokenizer.parameters(), "", tokenizer.parameters().values());
            write_metadata(writer, TokenizerMetadata{{{}, 7, 0}, config, 16});
        }
        writer.write(path);
    }
    TemporaryFolder folder;
    std::filesystem::path path = folder.path() / "tokenizer.safetensors";
};

}  // namespace

TEST_CASE("a tokenizer's configuration survives its JSON; leftovers of the original's are passed over") {
    const TokenizerConfig config = tiny();
    CHECK(config.in_channels == 3);
    CHECK(config.out_ch == 3);
    CHECK(config.embed_dim == 8);
    CHECK(config.beta == 0.25);
    CHECK(config.groups == 32);
    CHECK(config.downsampling() == 2);
    CHECK(parse_tokenizer_config(to_json(config), "again") == config);
    std::string text = tiny_json;
    text.insert(1, R"("attn_resolutions": [16], "double_z": false, "resolution": 256, "dropout": 0.0, )");
    CHECK(parse_tokenizer_config(text, "with leftovers") == config);
    for (const TokenizerPreset& preset : tokenizer_presets()) {
        CAPTURE(preset.name);
        preset.config.validate(preset.name);
        CHECK(parse_tokenizer_config(to_json(preset.config), "preset") == preset.config);
        CHECK(&tokenizer_preset(preset.name) == &preset);
    }
    CHECK(tokenizer_preset("vqgan_f16").config.downsampling() == 16);
    CHECK_THROWS_AS(tokenizer_preset("vqgan"), UsageError);
}

TEST_CASE("a tokenizer's configuration that cannot be is refused in one line") {
    struct Refusal {
        std::string from, to, named;
    };
    for (const auto& [from, to, named] :
         std::vector<Refusal>{{R"("ch": 32)", R"("ch": 40)", "level 0 has 40 channels"},
                              {R"("ch": 32)", R"("ch": 32.5)", "ch is 32.5"},
                              {R"("ch": 32)", R"("ch": 0)", "ch is 0"},
                              {R"("ch": 32, )", "", "the key ch is missing"},
                              {"[1, 2]", "[]", "ch_mult has 0 entries"},
                              {"[1, 2]", "[1, -2]", "ch_mult[1] is -2"},
                              {"[1, 2]", "[1, 2.0]", "ch_mult"},
                              {"[1, 2]", "[1, 2, 2, 2, 2, 2, 2, 2, 2]", "ch_mult has 9 entries"},
                              {R"("num_res_blocks": 1)", R"("num_res_blocks": 0)", "num_res_blocks is 0"},
                              {R"("n_embed": 16)", R"("n_embed": 1)", "n_embed is 1"},
                              {R"("n_embed": 16)", R"("n_embed": 16, "embed_dim": 9)", "embed_dim is 9"},
                              {R"("n_embed": 16)", R"("n_embed": 16, "in_channels": 2)", "in_channels is 2"},
                              {R"("n_embed": 16)", R"("n_embed": 16, "out_ch": 1)", "out_ch is 1"},
                              {R"("n_embed": 16)", R"("n_embed": 16, "beta": -1)", "beta is -1"},
                              {R"("n_embed": 16)", R"("n_embed": 16, "groups": 0)", "groups is 0"},
                              {R"("n_embed": 16)", R"("n_embed": 16, "groups": 12)",
                               "level 0 has 32 channels (ch * ch_mult), expected a multiple of 12"},
                              {R"("n_embed": 16)", R"("n_embed": 16, "colour": 1)", "colour is not known"}}) {
        std::string text = tiny_json;
        text.replace(text.find(from), from.size(), to);
        CAPTURE(text);
        const std::string message = message_of([&] { parse_tokenizer_config(text, "file.json"); });
        CAPTURE(message);
        CHECK(message.starts_with("file.json: "));
        CHECK(message.find(named) != std::string::npos);
    }
    CHECK(message_of([] { parse_tokenizer_config("[1]", "file.json"); }) == "file.json: not a JSON object");
}

TEST_CASE("a tokenizer's file says what it is") {
    const Saved saved(tiny());
    const SafetensorsFile file(saved.path);
    const TokenizerMetadata metadata = read_tokenizer_metadata(file);
    CHECK(metadata.config == tiny());
    CHECK(metadata.image_size == 16);
    CHECK(metadata.step == 7);
    const auto tokenizer = load_tokenizer(file, Device::cpu);
    CHECK(codebook_values(*tokenizer).size() == 16 * 8);
}

TEST_CASE(
    "averaged weights are taken where there are any, and what a training run keeps beside is not read") {
    const std::vector<float> other(100, 2.0f);
    std::vector<float> average;
    const Saved saved(tiny(), [&](CheckpointWriter& writer, const Tokenizer& tokenizer) {
        average.assign(tokenizer.parameters().slab_floats(), 0.5f);
        writer.add_slab(tokenizer.parameters(), "", tokenizer.parameters().values());
        writer.add_slab(tokenizer.parameters(), average_prefix, average.data());
        writer.add("loss.discriminator.main.0.weight", {10, 10}, other.data(), Device::cpu);
        writer.add("discriminator.main.0.bias", {10}, other.data(), Device::cpu);
        write_metadata(writer, TokenizerMetadata{{{}, 0, 0.999f}, tokenizer.config(), 0});
    });
    const auto tokenizer = load_tokenizer(SafetensorsFile(saved.path), Device::cpu);
    CHECK(std::ranges::count(codebook_values(*tokenizer), 0.5f) == 16 * 8);
}

TEST_CASE("a tokenizer's file that does not fit is refused in one line") {
    static const std::vector<float> zeros(100'000, 0.0f);
    const auto all_but = [](const std::string& name, const std::string& instead,
                            std::vector<std::int64_t> shape, bool says_config) {
        return [=](CheckpointWriter& writer, const Tokenizer& tokenizer) {
            for (const Parameter& parameter : tokenizer.parameters().all())
                if (parameter.name != name)
                    writer.add(parameter.name, parameter.shape, parameter.value, Device::cpu);
            if (!instead.empty()) writer.add(instead, shape, zeros.data(), Device::cpu);
            if (says_config) write_metadata(writer, TokenizerMetadata{{}, tokenizer.config(), 0});
        };
    };
    const std::string codebook = "quantize.embedding.weight";
    struct Refusal {
        std::string name, instead;
        std::vector<std::int64_t> shape;
        bool says_config;
        std::string named;
    };
    for (const Refusal& refusal : std::vector<Refusal>{
             {codebook, "", {}, false, "not a tokenizer"},
             {codebook, "", {}, true, codebook},
             {codebook, codebook, {16, 9}, false, "embed_dim is 9"},
             {codebook, codebook, {16, 9}, true, "[16, 9], expected [16, 8]"},
             {codebook, codebook, {16, 8, 1}, false, "3 dimensions, expected 2"},
             {"", "quant_conv.weight", {8, 8, 1, 1}, false, "quant_conv.weight, which this tokenizer lacks"},
             {"", "encoder.mid.attn_1.q.weight", {8, 8}, true, "encoder.mid.attn_1.q.weight"},
             {"", "encoder.down.0.block.1.conv1.weight", {32, 32, 3, 3}, false, "encoder.down.0.block.1"},
             {"decoder.conv_out.bias", "", {}, false, "decoder.conv_out.bias"},
             {"encoder.conv_in.weight", "encoder.conv_in.weight", {20, 3, 3, 3}, false, "encoder.down.0"}}) {
        const Saved saved(tiny(), all_but(refusal.name, refusal.instead, refusal.shape, refusal.says_config));
        CAPTURE(refusal.named);
        const std::string message =
            message_of([&] { load_tokenizer(SafetensorsFile(saved.path), Device::cpu); });
        CAPTURE(message);
        CHECK(message.starts_with(saved.path.string() + ": "));
        CHECK(message.find(refusal.named) != std::string::npos);
        CHECK(message.find('\n') == std::string::npos);
    }
}

// On a GPU up to rounding: the order of a product's sums may depend on its number of rows, so a code may be
// another where two are equally near.
DEVICE_TEST("pictures have the same codes and come back the same whatever the batch") {
    Tokenizer tokenizer(tiny(), device);
    tokenizer.parameters().allocate(device, false);
    tokenizer.parameters().initialize(2);
    std::vector<std::uint8_t> images;
    for (const std::int32_t byte : kernel_check::integers(3 * 3 * 8 * 8, 3, 256))
        images.push_back(static_cast<std::uint8_t>(byte));
    ImageCodec together(tokenizer, 8, 3, "pictures"), apart(tokenizer, 8, 2, "pictures");
    CHECK(together.side() == 4);
    const std::vector<std::int32_t> codes = together.encode(images);
    CHECK(codes.size() == 3 * 16);
    CHECK(std::ranges::all_of(codes, [](std::int32_t code) { return code >= 0 && code < 16; }));
    const auto differences = [](const auto& a, const auto& b, int tolerance) {
        REQUIRE(a.size() == b.size());
        int count = 0;
        for (std::size_t i = 0; i < a.size(); ++i) count += std::abs(a[i] - b[i]) > tolerance;
        return count;
    };
    const bool exact = device == Device::cpu;
    CHECK(differences(apart.encode(images), codes, 0) <= (exact ? 0 : 2));
    const std::vector<std::uint8_t> drawn = together.decode(codes);
    CHECK(drawn.size() == images.size());
    CHECK(differences(apart.decode(codes), drawn, exact ? 0 : 1) == 0);
    CHECK(message_of([&] { together.decode(std::vector<std::int32_t>(16, 16)); }) ==
          "code 16: not in the codebook of 16 entries");
}

DEVICE_TEST("encoder and decoder normalise in as many groups as the configuration says") {
    std::vector<std::uint8_t> images;
    for (const std::int32_t byte : kernel_check::integers(4 * 3 * 8 * 8, 4, 256))
        images.push_back(static_cast<std::uint8_t>(byte));
    std::vector<std::int32_t> fixed(4 * 16);
    for (std::size_t i = 0; i < fixed.size(); ++i) fixed[i] = static_cast<std::int32_t>(i % 16);
    std::vector<std::vector<std::int32_t>> codes;
    std::vector<std::vector<std::uint8_t>> drawn;
    for (const std::int64_t groups : {1, 8, 32}) {
        TokenizerConfig config = tiny();
        config.groups = groups;
        Tokenizer tokenizer(config, device);
        tokenizer.parameters().allocate(device, false);
        tokenizer.parameters().initialize(2);
        ImageCodec codec(tokenizer, 8, 4, "pictures");
        codes.push_back(codec.encode(images));
        drawn.push_back(codec.decode(fixed));
    }
    for (const std::size_t other : {1u, 2u}) {
        CHECK(codes[0] != codes[other]);
        CHECK(drawn[0] != drawn[other]);
    }
    CHECK(codes[1] != codes[2]);
    CHECK(drawn[1] != drawn[2]);
}

TEST_CASE("pictures whose sides f does not divide are refused") {
    const Tokenizer tokenizer(tiny(), Device::cpu);
    CHECK(tokenizer.grid({8, 6}, "pictures") == MapSize{4, 3});
    CHECK(message_of([&] {
              tokenizer.grid({8, 7}, "data.bin");
          }) ==
          "data.bin: pictures of 7x8 pixels, expected sides divisible by 2, of which the tokenizer makes a "
          "token");
}
