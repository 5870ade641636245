// A small random text encoder of CLIP against its authors' release, from weights in each of the published forms.
#include <doctest/doctest.h>

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "models/text/text_checkpoint.h"
#include "runtime/base/error.h"
#include "runtime/files/open_tensor_file.h"
#include "runtime/ops/ops.h"
#include "tests/golden/clip_weights.h"
#include "tests/golden/golden_file.h"
#include "tests/golden/relative_difference.h"
#include "tests/skip.h"
#include "tests/test_devices.h"
#include "tests/unit/temporary_folder.h"

namespace {

// A variant of the golden: which padding, and which activation.
struct Variant {
    const char *name, *ids;
    bool quick_gelu;
};
constexpr Variant variants[] = {{"pad_end", "pad_end.ids", true},
                                {"pad_zero", "pad_zero.ids", true},
                                {"pad_zero_gelu", "pad_zero.ids", false}};

TextConfig tiny_config(bool quick_gelu) {
    TextConfig config{1000, 64, 2, 4};
    config.quick_gelu = quick_gelu;
    return config;
}

std::vector<float> outputs(const TextEncoder& encoder, const std::vector<std::int64_t>& wide) {
    const std::vector<std::int32_t> ids(wide.begin(), wide.end());
    std::vector<float> values(ids.size() * static_cast<std::size_t>(encoder.config().width));
    Tape tape(encoder.backend());
    const auto job = [&] {
        const Tensor on_device = device_copy(tape, ids, static_cast<std::int64_t>(ids.size()) / 77);
        copy_from_tensor(tape, values.data(), encoder.forward(tape, on_device),
                         values.size() * sizeof(float));
    };
    run_job(tape, plan_job(tape, job), job);
    return values;
}

std::vector<float> outputs(const std::filesystem::path& weights, const Variant& variant, Backend backend,
                           const SafetensorsFile& golden) {
    const auto file = open_tensor_file(weights);
    const TextConfig config = read_text_metadata(*file, tiny_config(variant.quick_gelu)).config;
    return outputs(*load_text_encoder(*file, config, backend), golden.integers(variant.ids));
}

}  // namespace

DEVICE_TEST("golden: a text encoder's outputs, from both namings, with each padding and activation") {
    const SafetensorsFile golden(GoldenFile("clip_text_tiny.safetensors").path());
    const ClipWeights published;
    for (const std::filesystem::path& weights : published.all())
        for (const Variant& variant : variants) {
            CAPTURE(weights.string());
            CAPTURE(variant.name);
            CHECK(relative_difference(outputs(weights, variant, device, golden),
                                      golden.floats(std::string(variant.name) + ".last_hidden_state")) <
                  1e-5);
        }
}

CUDA_TEST("golden: a text encoder's outputs in bf16") {
    const SafetensorsFile golden(GoldenFile("clip_text_tiny.safetensors").path());
    const Backend backend(Device::cuda, Precision::bf16);
    const ClipWeights published;
    for (const Variant& variant : variants)
        CHECK(relative_difference(outputs(published.transformers(), variant, backend, golden),
                                  golden.floats(std::string(variant.name) + ".last_hidden_state")) < 2e-2);
}

TEST_CASE("text encoder: written and read again, refused where it does not fit") {
    const TemporaryFolder folder;
    const SafetensorsFile golden(GoldenFile("clip_text_tiny.safetensors").path());
    const ClipWeights weights;
    const auto published = open_tensor_file(weights.transformers());
    const auto encoder = load_text_encoder(*published, tiny_config(true), Device::cpu);
    CheckpointWriter writer;
    writer.add_slab(encoder->parameters(), "", encoder->parameters().values());
    write_metadata(writer, TextMetadata{{}, encoder->config()});
    writer.write(folder / "text.safetensors");
    const SafetensorsFile own(folder / "text.safetensors");
    CHECK(read_text_metadata(own).config == encoder->config());
    CHECK(outputs(*load_text_encoder(own, encoder->config(), Device::cpu), golden.integers("pad_end.ids")) ==
          outputs(*encoder, golden.integers("pad_end.ids")));
    CHECK_THROWS_WITH_AS(read_text_metadata(own, tiny_config(false)),
                         doctest::Contains("another text encoder"), UsageError);
    CHECK_THROWS_WITH_AS(read_text_metadata(*published), doctest::Contains("width 64, 2 layers and 1000 ids"),
                         UsageError);
    TextConfig wider = tiny_config(true);
    wider.width = 128;
    CHECK_THROWS_WITH_AS(load_text_encoder(*published, wider, Device::cpu),
                         doctest::Contains("token_embedding.weight"), Error);
    CHECK_THROWS_AS(parse_text_config(R"({"width": 64, "layers": 2, "heads": 3})", "a"), UsageError);
    CHECK(parse_text_config(to_json(wider), "a") == wider);
    CHECK(text_preset("clip_vit_l14").config.quick_gelu);
    CHECK_THROWS_AS(text_preset("clip"), UsageError);
}

TEST_CASE("text encoder: the published sizes have the published numbers of parameters") {
    CHECK(TextEncoder(text_preset("clip_vit_l14").config, Device::cpu).parameters().count() == 123'060'480);
    CHECK(TextEncoder(text_preset("openclip_vit_bigg14").config, Device::cpu).parameters().count() ==
          693'021'440);
}
