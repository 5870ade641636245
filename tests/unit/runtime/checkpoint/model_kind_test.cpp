#include "runtime/checkpoint/model_kind.h"

#include <doctest/doctest.h>

#include <map>
#include <string>
#include <vector>

#include "models/fractal/checkpoint.h"
#include "models/nat/checkpoint.h"
#include "models/nat/perceptual.h"
#include "models/nat/tokenizer_checkpoint.h"
#include "runtime/base/error.h"
#include "runtime/files/safetensors.h"
#include "tests/unit/temporary_folder.h"

namespace {

// A file with one number under each name.
struct Named {
    Named(const std::vector<std::string>& names, const std::map<std::string, std::string>& metadata = {}) {
        static const std::vector<float> number(1);
        std::vector<SafetensorsTensor> tensors;
        for (const std::string& name : names)
            tensors.push_back({name, "F32", {1}, std::as_bytes(std::span(number))});
        write_safetensors(path, tensors, metadata);
        file = std::make_unique<SafetensorsFile>(path);
    }
    TemporaryFolder folder;
    std::filesystem::path path = folder / "a.safetensors";
    std::unique_ptr<SafetensorsFile> file;
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

const std::vector<std::string> fractal{"fake_latent", "generator.blocks.0.w"},
    nat{"token_emb.word_embeddings.weight", "context_embed.word_embeddings.weight",
        "mid_block.mlp.fc1.weight"},
    tokenizer{"quantize.embedding.weight", "encoder.conv_in.weight"};

}  // namespace

TEST_CASE("model kind: by the metadata of this project's files, else by tensors") {
    CHECK(model_kind(*Named(fractal).file) == fractal_kind);
    CHECK(model_kind(*Named(nat).file) == nat_kind);
    CHECK(model_kind(*Named(tokenizer).file) == tokenizer_kind);
    CHECK(model_kind(*Named({"features.0.weight", "features.28.weight"}).file) == vgg_kind);
    CHECK(model_kind(*Named({"lin0.model.1.weight", "lin4.model.1.weight"}).file) == lpips_kind);
    CHECK(model_kind(*Named({"a"}).file) == "");
    CHECK(model_kind(*Named({"ema.fake_latent"}).file) == fractal_kind);
    CHECK(model_kind(*Named({"module.fake_latent", "module.b"}).file) == fractal_kind);
    // Other programs' "format" says nothing; ours does, whatever the tensors are.
    CHECK(model_kind(*Named(nat, {{"format", "pt"}}).file) == nat_kind);
    CHECK(model_kind(*Named({"a"}, {{"format", "fractal.cu tokenizer"}}).file) == tokenizer_kind);
    CHECK(model_kind(*Named({"a"}, {{"format", "fractal.cu optimizer shard"}}).file) == shard_kind);
    CHECK(has_format(*Named({"a"}, {{"format", "fractal.cu tokenizer"}}).file, tokenizer_kind));
    CHECK_FALSE(has_format(*Named(tokenizer).file, tokenizer_kind));
}

TEST_CASE("model kind: every reader names the kind that it found and the kind that it needs") {
    const Named a_fractal(fractal), a_nat(nat), a_tokenizer(tokenizer), unknown({"a"});
    const FractalConfig config = fractal_preset("fractalar_16").config;
    const auto fractal_says = [&](const Named& named) {
        return message_of([&] { read_metadata(*named.file, config); });
    };
    CHECK(fractal_says(a_nat) ==
          a_nat.path.string() + ": holds a masked-token transformer, expected a fractal model");
    CHECK(fractal_says(a_tokenizer) ==
          a_tokenizer.path.string() + ": holds a tokenizer, expected a fractal model");
    CHECK(fractal_says(a_fractal) == "");
    CHECK(fractal_says(unknown) == "");
    const auto nat_says = [](const Named& named) {
        return message_of([&] { read_nat_metadata(*named.file); });
    };
    CHECK(nat_says(a_fractal).ends_with("holds a fractal model, expected a masked-token transformer"));
    CHECK(nat_says(a_tokenizer).ends_with("holds a tokenizer, expected a masked-token transformer"));
    CHECK(nat_says(unknown).ends_with("not a masked-token transformer"));
    const auto tokenizer_says = [](const Named& named) {
        return message_of([&] { read_tokenizer_metadata(*named.file); });
    };
    CHECK(tokenizer_says(a_fractal).ends_with("holds a fractal model, expected a tokenizer"));
    CHECK(tokenizer_says(a_nat).ends_with("holds a masked-token transformer, expected a tokenizer"));
    const std::vector<std::string> perceptual{a_tokenizer.path.string()};
    CHECK(message_of([&] {
              load_perceptual_loss(perceptual, Device::cpu);
          }).ends_with("holds a tokenizer, expected a VGG16 network"));
    const Named shard({"optimizer.exp_avg.a/0"}, {{"format", "fractal.cu optimizer shard"}});
    CHECK(
        fractal_says(shard).ends_with("holds an optimizer shard, expected a fractal model: give the "
                                      "checkpoint that the shard lies beside"));
    CHECK_THROWS_AS(require_kind(*a_nat.file, fractal_kind), UsageError);
    CHECK_NOTHROW(require_kind(*unknown.file, fractal_kind));
}
