// A tokenizer's file at work: pictures reconstructed, data sets turned into tokens, bad input refused.
#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "data/images/image_file.h"
#include "data/records/packed.h"
#include "data/records/tokens.h"
#include "models/nat/image_codec.h"
#include "models/nat/tokenizer_checkpoint.h"
#include "tests/end_to_end/refusal.h"

namespace {

// A random tokenizer of two levels, 16 x 16 fractals in data.bin, and the names of both.
struct TokenizerPlace {
    TokenizerPlace() {
        write_tokenizer("tokenizer.safetensors", 3);
        REQUIRE(work.run("data", {"fractals", "--out", data, "--size", "16", "--count", "5"}).exit_code == 0);
    }
    void write_tokenizer(std::string_view name, std::int64_t channels) const {
        TokenizerConfig config;
        config.in_channels = config.out_ch = channels;
        config.ch = 32;
        config.ch_mult = {1, 2};
        config.num_res_blocks = 1;
        config.z_channels = config.embed_dim = 8;
        config.n_embed = 300;
        Tokenizer random(config, Device::cpu);
        random.parameters().allocate(Device::cpu, false);
        random.parameters().initialize(4);
        CheckpointWriter writer;
        writer.add_slab(random.parameters(), "", random.parameters().values());
        write_metadata(writer, TokenizerMetadata{{}, config, 16});
        writer.write(work.at(name));
    }
    Words tokens(const Words& more = {}) const {
        return Words{"tokens", "--tokenizer", tokenizer, "--data", data, "--out", work.path("data.tokens")} +
               more;
    }
    Words reconstruct(const Words& more) const {
        return Words{"reconstruct", "--tokenizer", tokenizer, "--out", work.path("sheet.png")} + more;
    }

    TestDirectory work;
    std::string tokenizer = work.path("tokenizer.safetensors"), data = work.path("data.bin");
};

std::vector<std::uint8_t> mirrored(const std::uint8_t* image, int rows, int size) {
    std::vector<std::uint8_t> result;
    for (int row = 0; row < rows; ++row)
        for (int x = size; x-- > 0;) result.push_back(image[row * size + x]);
    return result;
}

}  // namespace

TEST_CASE_FIXTURE(TokenizerPlace, "end to end: tokens of a data set, of images and their mirror images") {
    const Outcome outcome = work.run("data", tokens({"--batch", "2"}));
    CAPTURE(outcome.errors);
    REQUIRE(outcome.exit_code == 0);
    CHECK(outcome.output.find("5 images") != std::string::npos);
    CHECK(outcome.output.find("64 tokens") != std::string::npos);

    const TokenFile file(work.at("data.tokens"));
    file.verify();
    const PackedFile images(data);
    CHECK(file.count() == 5);
    CHECK(file.classes() == images.classes());
    const auto own = load_tokenizer(SafetensorsFile(tokenizer), Device::cpu);
    CHECK(file.format() ==
          TokenFormat{8, 300, 2, tokenizer_fingerprint(codebook_values(*own), own->config().n_embed)});
    ImageCodec codec(*own, 16, 1, "images");
    std::vector<std::int32_t> read(64);
    for (std::int64_t i = 0; i < file.count(); ++i) {
        CHECK(file.label(i) == images.label(i));
        file.read(i, false, read.data());
        CHECK(read == codec.encode({images.pixels(i), static_cast<std::size_t>(images.record_bytes())}));
        file.read(i, true, read.data());
        CHECK(read == codec.encode(mirrored(images.pixels(i), 3 * 16, 16)));
    }
}

TEST_CASE_FIXTURE(TokenizerPlace, "end to end: pictures beside their tokens and reconstructions") {
    const Outcome packed = work.run("sample", reconstruct({"--data", data, "--first", "3", "--count", "9"}));
    CAPTURE(packed.errors);
    REQUIRE(packed.exit_code == 0);
    for (const char* word : {"2 pictures of 16x16", "64 tokens each", "perplexity", "PSNR", "SSIM"})
        CHECK_MESSAGE(packed.output.find(word) != std::string::npos, word);
    const Image sheet = read_image(work.at("sheet.png"), 3);
    CHECK(sheet.width == 3 * 66 + 2);
    CHECK(sheet.height == 2 * 66 + 2);
    const std::string seventy = work.path("seventy.bin");
    REQUIRE(work.run("data", {"fractals", "--out", seventy, "--size", "16", "--count", "70"}).exit_code == 0);
    const Outcome many = work.run("sample", reconstruct({"--data", seventy, "--count", "70"}));
    REQUIRE(many.exit_code == 0);
    const Image wide = read_image(work.at("sheet.png"), 3);
    CHECK(wide.width == 12 * 66 + 2);
    CHECK(wide.height == 16 * 66 + 2);

    std::filesystem::rename(work.at("sheet.png"), work.at("picture.png"));
    const Outcome again =
        work.run("sample", reconstruct({"--image", work.path("picture.png"), "--size", "32"}));
    CAPTURE(again.errors);
    CHECK(again.exit_code == 0);
    CHECK(again.output.find("1 picture of 32x32, 256 tokens each") != std::string::npos);
}

TEST_CASE_FIXTURE(TokenizerPlace, "end to end: what a tokenizer cannot take is refused in one line") {
    REQUIRE(work.run("data", {"fractals", "--out", work.path("odd.bin"), "--size", "15", "--count", "1"})
                .exit_code == 0);
    write_tokenizer("grey.safetensors", 1);
    work.write("text.safetensors", "no tensors here");
    const std::string odd = work.path("odd.bin"), grey = work.path("grey.safetensors"),
                      text = work.path("text.safetensors"), out = work.path("out");
    for (const Refusal& refusal : std::vector<Refusal>{
             {"data",
              {"tokens", "--tokenizer", tokenizer, "--data", odd, "--out", out},
              1,
              {odd, "15x15", "2"}},
             {"data",
              {"tokens", "--tokenizer", grey, "--data", data, "--out", out},
              1,
              {data, "3", "1", grey}},
             {"data", {"tokens", "--tokenizer", text, "--data", data, "--out", out}, 1, {text}},
             {"data", {"tokens", "--tokenizer", data, "--data", data, "--out", out}, 1, {data}},
             {"data",
              {"tokens", "--tokenizer", tokenizer, "--data", tokenizer, "--out", out},
              1,
              {tokenizer}},
             {"data", {"tokens", "--data", data, "--out", out}, 2, {"--tokenizer"}},
             {"sample", {"reconstruct", "--tokenizer", tokenizer, "--out", out}, 2, {"--image", "--data"}},
             {"sample",
              {"reconstruct", "--tokenizer", tokenizer, "--out", out, "--data", odd},
              1,
              {odd, "15x15"}},
             {"sample",
              {"reconstruct", "--tokenizer", tokenizer, "--out", out, "--data", data, "--first", "5"},
              2,
              {"--first 5", "5 images"}},
             {"sample",
              {"reconstruct", "--tokenizer", grey, "--out", out, "--data", data},
              1,
              {data, "3", grey}}})
        check_refusal(work, refusal);
}
