// Fractal models of a tokenizer's codes, as a user trains, resumes, samples, measures and edits with them.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <iterator>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "data/images/image_file.h"
#include "data/records/tokens.h"
#include "runtime/ranks/comm_mpi.h"
#include "tests/end_to_end/random_nat.h"
#include "tests/end_to_end/refusal.h"
#include "tests/end_to_end/two_ranks.h"
#include "tests/skip.h"
#include "tests/test_devices.h"

namespace {

// 4 x 4 tokens of 12 codes of pictures of 16 x 16 pixels.
struct Codes : RandomNat {
    Codes() {
        use_model("ar");
        succeed("data", {"fractals", "--out", work.path("pictures.bin"), "--size", "16", "--count", "40"});
        tokenize("pictures.bin", "tokens.bin", "tokenizer.safetensors");
    }

    void use_model(const std::string& type) const {
        work.write("model.json", fmt::format(R"({{"img_size_list": [4, 2, 1], "embed_dim_list": [16, 16, 16],
            "num_blocks_list": [1, 1, 1], "num_heads_list": [2, 2, 2], "generator_type_list": ["{}", "{}", "ar"],
            "num_conds": 5, "class_num": 10, "vocabulary": 12}})",
                                             type, type));
    }
    std::string succeed(const std::string& program, const Words& words) const {
        const Outcome outcome = work.run(program, words);
        REQUIRE_MESSAGE(outcome.exit_code == 0, outcome.errors);
        return outcome.output;
    }
    void tokenize(const char* pictures, const char* tokens, const char* tokenizer) const {
        succeed("data", {"tokens", "--tokenizer", work.path(tokenizer), "--data", work.path(pictures),
                         "--out", work.path(tokens)});
    }

    Words training(const std::string& run, int steps, const Words& more = {}) const {
        return with_usual({"fractal", "--out", work.path(run), "--steps", std::to_string(steps)},
                          {{"--config", work.path("model.json")},
                           {"--tokens", work.path("tokens.bin")},
                           {"--batch", "4"},
                           {"--lr", "1e-3"},
                           {"--schedule", "constant"},
                           {"--log-every", "1"},
                           {"--device", "cpu"}},
                          more);
    }
    std::string train(const std::string& run, int steps, const Words& more = {}) const {
        return succeed("train", training(run, steps, more));
    }
    std::string checkpoint() const { return work.path("run/last.safetensors"); }
    Words sampling(const std::string& job, const Words& more) const {
        return Words{job, "--checkpoint", checkpoint(), "--tokenizer", work.path("tokenizer.safetensors")} +
               more;
    }
    nlohmann::json likelihood(const Words& more) const {
        return nlohmann::json::parse(succeed("sample", Words{"evaluate", "nll", "--checkpoint", checkpoint(),
                                                             "--tokens", work.path("tokens.bin"), "--json"} +
                                                           more));
    }
};

}  // namespace

TEST_CASE_FIXTURE(Codes, "end to end: a resumed run over codes ends in the same bits") {
    for (const std::string type : {"ar", "mar"}) {
        use_model(type);
        const Words more{"--dropout", "0.1", "--ema", "0.9", "--accumulation", "2"};
        train(type, 2, more);
        train(type, 4, more);
        train(type + "-whole", 4, more);
        CHECK(differences(work.at(type + "/last.safetensors"), work.at(type + "-whole/last.safetensors")) ==
              "");
        CHECK(read_reproducible_log(work.at(type)) == read_reproducible_log(work.at(type + "-whole")));
    }
}

TEST_CASE_FIXTURE(Codes, "end to end: bits per token and per pixel, sheets, a description") {
    const std::string said =
        train("run", 4,
              {"--validation", work.path("tokens.bin"), "--tokenizer", work.path("tokenizer.safetensors"),
               "--sheet-columns", "3", "--evaluate-every", "2"});
    CHECK(said.find("bits/token, ") != std::string::npos);
    CHECK(said.find("PNG") == std::string::npos);
    const Image sheet = read_image(work.at("run/samples-00000004.png"), 3);
    CHECK(sheet.width == 2 + 3 * 66);  // of 16 pixels, four times as large
    const LogTable log = read_log(work.at("run"));
    const nlohmann::json bits = likelihood({});
    CHECK(bits["bits_per_dim"].get<double>() ==
          doctest::Approx(std::stod(log.back().at("validation_bits_per_dim"))).epsilon(1e-6));
    CHECK(bits["bits_per_dim"].get<double>() < std::log2(12.0) + 0.5);
    CHECK(bits["bits_per_pixel"].get<double>() == doctest::Approx(bits["bits_per_dim"].get<double>() / 16));
    CHECK(bits["exact"] == true);
    const std::string described = succeed("sample", {"info", checkpoint()});
    CHECK(described.find("fractal model of 4x4 tokens, 12 codes, ") != std::string::npos);
    CHECK(described.find("  of the tokenizer ") != std::string::npos);
    CHECK(described.find("\"vocabulary\":12") != std::string::npos);
    const std::string config = read_file(work.at("run/config.json"));
    CHECK(config.find("\"tokens\": {") != std::string::npos);
    CHECK(succeed("sample", {"cost", "--config", work.path("model.json")}).find("4x4 tokens, 12 codes, ") !=
          std::string::npos);
    CHECK(succeed("train", training("planned", 1, {"--plan"})).find(" tokens\n") != std::string::npos);
    CHECK(!std::filesystem::exists(work.at("planned")));
}

TEST_CASE_FIXTURE(Codes, "end to end: pictures of a model of codes depend on seed and number alone") {
    train("run", 3);
    const auto draw = [&](const std::string& name, const Words& more) {
        succeed("sample", sampling("fractal", Words{"--count", "5", "--out", work.path(name)} + more));
        return read_file(work.at(name));
    };
    const std::string pictures = draw("a.png", {});
    CHECK(draw("b.png", {"--batch", "2"}) == pictures);
    CHECK(draw("c.png", {"--seed", "1"}) != pictures);
    CHECK(draw("d.png", {"--cfg", "4"}) != pictures);
    CHECK(draw("e.png", {"--temperature", "0.2"}) != pictures);
    CHECK(draw("f.png", {"--greedy"}) != pictures);
    CHECK(draw("g.png", {"--trace", work.path("steps")}) == pictures);
    // Two by two patches: nothing, and after each of them.
    CHECK(read_file(work.at("steps/0004.png")) == pictures);
    CHECK(read_image(work.at("steps/0000.png"), 3).pixels[3 * (3 * 300 + 3)] == 128);
    CHECK(!std::filesystem::exists(work.at("steps/0005.png")));
    if (has_cuda_backend())
        CHECK(draw("h.png", {"--device", "cuda"}) == draw("i.png", {"--device", "cuda", "--batch", "5"}));
}

TEST_CASE_FIXTURE(Codes, "end to end: edits through the tokenizer") {
    use_model("mar");
    train("run", 3);
    succeed("sample", sampling("fractal", {"--count", "1", "--classes", "3", "--each", work.path("drawn")}));
    const std::string picture = work.path("drawn/000000-class-3.png");
    const std::string said = succeed(
        "sample", sampling("edit", {"--image", picture, "--box", "5,5,3,3", "--count", "3", "--iters", "2,2",
                                    "--out", work.path("edit.png"), "--each", work.path("edited")}));
    CHECK(said.starts_with("1 of 16 tokens redrawn 3 times"));
    CHECK(read_image(work.at("edited/000002.png"), 3).width == 16);
    use_model("ar");
    succeed("train", training("ar", 1));
    check_refusal(work, {"sample",
                         {"edit", "--checkpoint", work.path("ar/last.safetensors"), "--tokenizer",
                          work.path("tokenizer.safetensors"), "--image", picture, "--box", "5,5,3,3", "--out",
                          work.path("ar.png")},
                         2,
                         {"AR level"}});
}

TEST_CASE_FIXTURE(Codes, "end to end: the quality of what a model of codes draws") {
    succeed("train", {"features", "--data", work.path("pictures.bin"), "--preset", "features_16", "--steps",
                      "2", "--batch", "4", "--out", work.path("features"), "--device", "cpu"});
    train("run", 2,
          {"--tokenizer", work.path("tokenizer.safetensors"), "--quality-features",
           work.path("features/last.safetensors"), "--quality-reference", work.path("pictures.bin"),
           "--quality-images", "8", "--sheet-columns", "2"});
    CHECK(std::stod(read_log(work.at("run")).back().at("validation_fd")) > 0);
    const std::string said = succeed(
        "sample", Words{"evaluate", "quality", "--checkpoint", checkpoint(), "--tokenizer",
                        work.path("tokenizer.safetensors"), "--count", "8", "--reference",
                        work.path("pictures.bin"), "--features", work.path("features/last.safetensors")});
    CHECK(said.find("FD") != std::string::npos);
}

TEST_CASE_FIXTURE(Codes, "end to end: two ranks train a model of codes as one does") {
    if (!mpi::built()) return skip_test("built without Open MPI");
    for (const std::string type : {"ar", "mar"}) {
        use_model(type);
        train(type + "-one", 3, {"--batch", "4"});
        const Outcome outcome = run_on_two_ranks(work, "train", training(type + "-two", 3, {"--batch", "2"}));
        REQUIRE_MESSAGE(outcome.exit_code == 0, outcome.errors);
        const LogTable one = read_log(work.at(type + "-one")), two = read_log(work.at(type + "-two"));
        REQUIRE(one.size() == two.size());
        for (std::size_t i = 0; i < one.size(); ++i)
            for (const char* column : {"loss", "bits_per_dim", "gradient_norm"})
                CHECK(std::stod(two[i].at(column)) ==
                      doctest::Approx(std::stod(one[i].at(column))).epsilon(1e-5));
    }
}

CUDA_TEST("end to end: a model of codes is trained on the device as on the CPU") {
    const Codes codes;
    for (const std::string type : {"ar", "mar"}) {
        codes.use_model(type);
        codes.train(type + "-cpu", 3);
        codes.train(type + "-gpu", 3, {"--device", "cuda", "--precision", "fp32"});
        codes.train(type + "-bf16", 3, {"--device", "cuda"});
        const LogTable cpu = read_log(codes.work.at(type + "-cpu")),
                       gpu = read_log(codes.work.at(type + "-gpu")),
                       bf16 = read_log(codes.work.at(type + "-bf16"));
        for (std::size_t i = 0; i < cpu.size(); ++i) {
            CHECK(std::stod(gpu[i].at("loss")) ==
                  doctest::Approx(std::stod(cpu[i].at("loss"))).epsilon(1e-4));
            CHECK(std::stod(bf16[i].at("loss")) ==
                  doctest::Approx(std::stod(cpu[i].at("loss"))).epsilon(0.01));
        }
    }
}

TEST_CASE_FIXTURE(Codes, "end to end: what fits no model of codes is refused in a line") {
    train("run", 1);
    const std::string tokens = work.path("tokens.bin"), pictures = work.path("pictures.bin"),
                      tokenizer = work.path("tokenizer.safetensors"), run = checkpoint();
    write_tokenizer("other.safetensors", 4, 16);
    tokenize("pictures.bin", "other.bin", "other.safetensors");
    const auto write_tokens = [&](const char* name, std::int64_t side, std::int64_t K) {
        TokenWriter writer(work.at(name), {side, K, 4, 7}, {});
        const std::vector<std::int32_t> codes_of_image(static_cast<std::size_t>(side * side));
        writer.add(codes_of_image.data(), codes_of_image.data(), -1);
        writer.commit();
    };
    write_tokens("wide.bin", 8, 12);
    write_tokens("many.bin", 4, 13);
    write_tokens("too_many.bin", 8, 5000);
    work.write("pixels.json", R"({"img_size_list": [16, 4, 1], "embed_dim_list": [16, 16, 16],
        "num_blocks_list": [1, 1, 1], "num_heads_list": [2, 2, 2], "generator_type_list": ["ar", "ar", "ar"],
        "class_num": 10})");
    succeed("train", {"fractal", "--config", work.path("pixels.json"), "--data", pictures, "--steps", "1",
                      "--batch", "2", "--out", work.path("pixels"), "--device", "cpu"});
    const std::string of_pixels = work.path("pixels/last.safetensors");
    const auto refused = [&](const std::string& program, const Words& words, int code, const Words& named) {
        check_refusal(work, {program, words, code, named});
    };
    const Words config{"--config", work.path("model.json")},
        new_run{"--out", work.path("new"), "--steps", "1"};
    const auto training_on = [&](const Words& words) { return Words{"fractal"} + words + new_run; };
    refused("train", training_on(config + Words{"--data", pictures}), 2,
            {"pictures.bin", "expected --tokens"});
    refused("train", training_on(config), 2, {"--tokens is required"});
    refused("train", training_on({"--config", work.path("pixels.json"), "--tokens", tokens}), 2,
            {"tokens.bin", "expected --data"});
    refused("train", training_on(config + Words{"--tokens", tokens, "--data", pictures}), 2, {"--tokens"});
    refused("train", training_on(config + Words{"--tokens", pictures}), 1, {"pictures.bin", "token file"});
    refused("train", training_on(config + Words{"--tokens", tokens, "--red-weight", "2"}), 2,
            {"--red-weight 2", "one channel"});
    refused("train", training_on(config + Words{"--tokens", work.path("wide.bin")}), 2,
            {"wide.bin", "8x8 tokens, the model takes 4x4"});
    refused("train", training_on(config + Words{"--tokens", work.path("many.bin")}), 2,
            {"many.bin", "13 codes, the model has 12"});
    refused("train", training_on({"--preset", "fractalar_codes_8", "--tokens", work.path("too_many.bin")}), 2,
            {"too_many.bin", "vocabulary is 5000, expected 1 to 4096"});
    refused("train", training_on(config + Words{"--tokens", tokens, "--validation", work.path("other.bin")}),
            1, {"other.bin", "tokens.bin"});
    refused("train", training_on(config + Words{"--tokens", tokens, "--validation", pictures}), 1,
            {"pictures.bin", "token file"});
    refused("train",
            training_on(config + Words{"--tokens", tokens, "--tokenizer", work.path("other.safetensors")}), 1,
            {"tokens.bin", "other.safetensors"});
    refused("train",
            training_on(
                Words{"--config", work.path("pixels.json"), "--data", pictures, "--tokenizer", tokenizer}),
            2, {"--tokenizer", "expected --tokens"});
    refused("train",
            training_on(config + Words{"--tokens", tokens, "--quality-features", run, "--quality-reference",
                                       pictures}),
            2, {"--tokenizer"});
    refused("train", training("run", 2, {"--tokens", work.path("other.bin")}), 2,
            {"another tokenizer", "other.bin"});
    refused("train", training("run", 2, {"--config", work.path("pixels.json")}), 2, {"expected --data"});
    refused("train", training_on(config + Words{"--tokens", tokens, "--init-from", of_pixels}), 1,
            {"pixels"});

    const Words out{"--out", work.path("sheet.png")};
    refused("sample", Words{"fractal", "--checkpoint", run} + out, 2, {run, "expected their tokenizer"});
    refused("sample", Words{"fractal", "--checkpoint", of_pixels, "--tokenizer", tokenizer} + out, 2,
            {"tokenizer.safetensors", "draws pixels"});
    refused("sample",
            Words{"fractal", "--checkpoint", run, "--tokenizer", work.path("other.safetensors")} + out, 1,
            {run, "other.safetensors"});
    write_tokenizer("larger.safetensors", 3, 32);
    refused("sample",
            Words{"fractal", "--checkpoint", run, "--tokenizer", work.path("larger.safetensors")} + out, 1,
            {"4x4 tokens", "8x8"});
    refused("sample", Words{"fractal", "--checkpoint", run, "--tokenizer", run} + out, 2,
            {"expected a tokenizer"});
    refused("sample", Words{"edit", "--checkpoint", run, "--image", "none.png", "--box", "1,1,2,2"} + out, 2,
            {"expected their tokenizer"});
    const Words nll{"evaluate", "nll", "--checkpoint"};
    refused("sample", nll + Words{run}, 2, {"expected --tokens"});
    refused("sample", nll + Words{run, "--data", pictures}, 2, {"draws codes", "--tokens"});
    refused("sample", nll + Words{of_pixels, "--tokens", tokens}, 2, {"draws pixels", "--data"});
    refused("sample", nll + Words{run, "--tokens", work.path("other.bin")}, 1, {"other.bin", run});
    refused("sample", nll + Words{run, "--tokens", work.path("wide.bin")}, 2, {"8x8 tokens"});
}

TEST_CASE_FIXTURE(Codes, "end to end: models of both families side by side, in a table and on a sheet") {
    train("codes", 3);
    work.write("nat.json", R"({"img_size": 4, "codebook_size": 12, "embed_dim": 16, "depth": 2,
        "num_heads": 2, "num_classes": 11})");
    succeed("train", {"nat", "--config", work.path("nat.json"), "--tokens", work.path("tokens.bin"), "--out",
                      work.path("masked"), "--batch", "8", "--steps", "2", "--log-every", "1"});
    succeed("train", {"features", "--preset", "features_16", "--data", work.path("pictures.bin"), "--out",
                      work.path("features"), "--steps", "1"});
    const Words families{"families", work.path("codes"), work.path("masked"), "--sheet",
                         work.path("sheet.png")};
    check_refusal(work, {"sample", families, 1, {"codes/quality.json: missing"}});
    const auto measure = [&](const std::string& run, const char* count) {
        const Words model{"--checkpoint", work.path(run + "/last.safetensors"), "--tokenizer",
                          work.path("tokenizer.safetensors")};
        work.write(
            run + "/quality.json",
            succeed("sample", Words{"evaluate", "quality", "--features",
                                    work.path("features/last.safetensors"), "--reference",
                                    work.path("pictures.bin"), "--repeats", "2", "--count", count, "--json"} +
                                  model));
        succeed("sample",
                Words{run == "masked" ? "nat" : "fractal", "--count", "10", "--out", work.path("drawn.png"),
                      "--each", work.path(run + "/pictures"), "--overwrite"} +
                    model);
    };
    measure("codes", "8");
    measure("masked", "10");
    check_refusal(work, {"sample", families, 1, {"masked/quality.json: generated is 10, expected 8 as in"}});
    measure("masked", "8");
    const std::string table = succeed("sample", families);
    const auto cells = [&](const std::string& run) {
        std::istringstream line(table.substr(table.find(work.path(run)) + work.path(run).size()));
        return std::vector<std::string>(std::istream_iterator<std::string>(line), {});
    };
    const nlohmann::json cost = nlohmann::json::parse(
                             succeed("sample", {"cost", "--config", work.path("model.json"), "--json"})),
                         quality = nlohmann::json::parse(read_file(work.at("codes/quality.json")));
    CHECK(cells("codes")[0] == fmt::format("{}", cost.at("parameters").get<int>()));
    CHECK(cells("codes")[1] ==
          fmt::format("{:.2f}", 3 * 4 * cost.at("training_operations").get<double>() / 1e12));
    CHECK(cells("codes")[3] == fmt::format("{:.3f}", quality.at("fd").get<double>()));
    CHECK(quality.at("seconds_per_picture") > 0);
    CHECK(quality.at("operations_per_picture") > cost.at("sampling_operations"));  // the decoder's
    const Image sheet = read_image(work.at("sheet.png"), 3);
    CHECK(sheet.width > 10 * 64);
    CHECK(sheet.height > 2 * 64);
}
