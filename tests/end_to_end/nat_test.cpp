// Masked-token transformers, trained and described as a user does it.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include "data/records/tokens.h"
#include "models/nat/checkpoint.h"
#include "models/nat/masks.h"
#include "models/nat/tokenizer_checkpoint.h"
#include "runtime/files/open_tensor_file.h"
#include "runtime/ops/ops.h"
#include "tests/end_to_end/killed_run.h"
#include "tests/end_to_end/test_directory.h"
#include "tests/golden/golden_file.h"
#include "train/run_lock.h"

namespace {

constexpr const char* model_json = R"({"img_size": 4, "codebook_size": 20, "embed_dim": 32, "depth": 2,
    "num_heads": 2, "num_classes": 3})";

// Mean cross-entropy at the hidden tokens of all held-out images at once, in double from the logits of the
// checkpoint's model.
double validation_loss(const std::string& checkpoint, const std::filesystem::path& held_out) {
    const auto file = open_tensor_file(checkpoint);
    const NatConfig config = read_nat_metadata(*file).config;
    const auto model = load_nat(*file, config, Device::cpu);
    const TokenFile tokens(held_out);
    TokenBatch batch;
    read_batch(tokens, 0, tokens.count(), batch);
    std::vector<std::int64_t> samples(static_cast<std::size_t>(tokens.count()));
    std::iota(samples.begin(), samples.end(), 0);
    const NatMasks masks = draw_masks(config, {}, samples, 0, 0);
    std::vector<std::int32_t> ids = batch.tokens;
    for (std::size_t i = 0; i < ids.size(); ++i)
        if (masks.mask[i] == 1) ids[i] = config.mask_id();

    const auto codes = static_cast<std::size_t>(config.codebook_size);
    std::vector<float> logits(ids.size() * codes);
    Tape tape(Device::cpu);
    const auto job = [&] {
        const Tensor input = tape.create(tokens.count(), config.tokens(), false, Element::i32),
                     contexts = model->embed_contexts(tape, {batch.labels}, tokens.count());
        copy_to_tensor(tape, input, ids.data(), ids.size() * sizeof(std::int32_t));
        copy_from_tensor(tape, logits.data(), model->forward(tape, input, contexts, {}),
                         logits.size() * sizeof(float));
    };
    run_job(tape, plan_job(tape, job), job);
    double loss = 0;
    for (std::size_t i = 0; i < ids.size(); ++i) {
        if (masks.mask[i] == 0) continue;
        const float* const row = &logits[i * codes];
        double sum = 0;
        for (std::size_t code = 0; code < codes; ++code) sum += std::exp(static_cast<double>(row[code]));
        loss += std::log(sum) - static_cast<double>(row[batch.tokens[i]]);
    }
    return loss / static_cast<double>(masks.hidden);
}

struct Bench {
    Bench() {
        work.write("model.json", model_json);
        write_tokens("tokens.bin", 40, {4, 20, 4, 7});
        write_tokens("held_out.bin", 12, {4, 20, 4, 7});
    }

    // Images of one token each, that of their class and number, except for a few positions. The pictures of a
    // cat and of a dog in turn, whatever `classes` they are said to have.
    void write_tokens(const char* name, int count, const TokenFormat& format,
                      const std::vector<std::string>& classes = {"cat", "dog"}) const {
        TokenWriter writer(work.at(name), format, classes);
        const int cat = classes[0] == "dog" ? 1 : 0;
        std::mt19937 engine(1);
        for (int i = 0; i < count; ++i) {
            std::vector<std::int32_t> tokens(static_cast<std::size_t>(format.tokens()), 10 * (i % 2) + i % 5);
            tokens[engine() % tokens.size()] = 19;
            writer.add(tokens.data(), std::vector<std::int32_t>(tokens.rbegin(), tokens.rend()).data(),
                       (i + cat) % 2);
        }
        writer.commit();
    }

    Words training(const std::string& run, int steps, const Words& more = {}) const {
        return Words{"nat",
                     "--tokens",
                     work.path("tokens.bin"),
                     "--config",
                     work.path("model.json"),
                     "--out",
                     work.path(run),
                     "--steps",
                     std::to_string(steps),
                     "--batch",
                     "4",
                     "--lr",
                     "3e-3",
                     "--schedule",
                     "constant",
                     "--warmup-steps",
                     "1",
                     "--log-every",
                     "1",
                     "--dropout",
                     "0.1",
                     "--ema",
                     "0.9",
                     "--device",
                     "cpu"} +
               more;
    }

    void train(const std::string& run, int steps, const Words& more = {}) const {
        const Outcome outcome = work.run("train", training(run, steps, more));
        REQUIRE_MESSAGE(outcome.exit_code == 0, outcome.errors);
    }

    std::string checkpoint(const std::string& run, int step) const {
        return work.path(fmt::format("{}/checkpoint-{:08}.safetensors", run, step));
    }

    // One line that names the fault; no files are created.
    void refused(const Words& arguments, int exit_code, const std::string& what) const {
        const auto before = work.listing();
        const Outcome outcome = work.run("train", arguments);
        CAPTURE(outcome.errors);
        CHECK(outcome.exit_code == exit_code);
        CHECK(is_one_line(outcome.errors));
        CHECK(outcome.errors.find(what) != std::string::npos);
        CHECK(work.listing() == before);
    }

    TestDirectory work;
};

}  // namespace

TEST_CASE_FIXTURE(Bench,
                  "end to end: a masked-token run that stopped and one that did not end with the same bits") {
    const Words more{"--validation", work.path("held_out.bin"), "--evaluate-every", "2"};
    train("run", 2, more);
    train("run", 5, more);
    train("reference", 5, more);
    CHECK(differences(checkpoint("run", 5), checkpoint("reference", 5)) == "");
    CHECK(read_reproducible_log(work.at("run")) == read_reproducible_log(work.at("reference")));
    const LogTable log = read_log(work.at("run"));
    REQUIRE(log.size() == 5);
    CHECK(std::stod(log[4].at("validation_loss")) ==
          doctest::Approx(validation_loss(checkpoint("run", 5), work.at("held_out.bin"))).epsilon(1e-5));

    // Other chunks and accumulated batches are the same update up to rounding.
    train("split", 5, more + Words{"--chunk", "1", "--recompute"});
    CHECK(std::stod(read_log(work.at("split"))[4].at("loss")) ==
          doctest::Approx(std::stod(log[4].at("loss"))).epsilon(1e-4));

    const Outcome info = work.run("sample", {"info", checkpoint("run", 5)});
    REQUIRE_MESSAGE(info.exit_code == 0, info.errors);
    for (const char* part :
         {"masked-token transformer of 4x4 tokens, 20 codes", "5 updates", "width 32, 1 + 1 + 1",
          "tokenizer 00000007", "2 classes: 0 cat, 1 dog", "their average (decay 0.9)"})
        CHECK(info.output.find(part) != std::string::npos);
    const Outcome converted = work.run("sample", {"convert", "--checkpoint", checkpoint("run", 5), "--out",
                                                  work.path("weights.safetensors")});
    REQUIRE_MESSAGE(converted.exit_code == 0, converted.errors);
    CHECK(work.run("sample", {"info", work.path("weights.safetensors")}).output.find("holds the weights\n") !=
          std::string::npos);
}

TEST_CASE_FIXTURE(Bench,
                  "end to end: a masked-token run killed at any moment loses no checkpoint, nor its bits") {
    const Words more{"--validation", work.path("held_out.bin"), "--evaluate-every", "4", "--save-every", "1"};
    const std::int64_t step = survive_kills(
        {work.at("run"), work.program("train"), training("run", 100'000, more)}, number_of_kills(3, 5));
    train("run", static_cast<int>(step) + 2, more);
    train("reference", static_cast<int>(step) + 2, more);
    check_same_end(work.at("run"), work.at("reference"), step + 2);
}

TEST_CASE_FIXTURE(Bench, "end to end: a masked-token transformer learns, and starts from another's weights") {
    train("run", 60);
    const LogTable log = read_log(work.at("run"));
    CHECK(std::stod(log.back().at("loss")) < 0.8 * std::stod(log.front().at("loss")));
    train("second", 1, {"--init-from", work.path("run/last.safetensors")});
    CHECK(std::stod(read_log(work.at("second")).front().at("loss")) <
          0.8 * std::stod(log.front().at("loss")));
}

TEST_CASE_FIXTURE(Bench, "end to end: masked-token training refuses bad input in one line") {
    train("run", 1);
    {
        const RunLock lock(work.at("run"));
        refused(training("run", 2), 1, "another run is writing there");
    }
    write_tokens("other.bin", 8, {4, 20, 4, 8});
    write_tokens("wide.bin", 8, {5, 20, 4, 7});
    write_tokens("codes.bin", 8, {4, 21, 4, 7});
    const auto tokens = [&](const char* name, const Words& more = {}) {
        Words arguments = training("run", 2, more);
        arguments[2] = work.path(name);
        return arguments;
    };
    refused(tokens("other.bin"), 2, "tokens of another tokenizer");
    refused(tokens("wide.bin"), 2, "5x5 tokens, the model takes 4x4");
    refused(tokens("codes.bin"), 2, "21 codes, the model has 20");
    refused(tokens("none.bin"), 1, "none.bin: cannot be opened");
    refused(tokens("model.json"), 1, "not a token file");
    refused(training("run", 2, {"--validation", work.path("other.bin")}), 1,
            "made by the tokenizer 00000008");
    refused(training("run", 2, {"--mask-beta", "12,0"}), 2, "--mask-beta 0");
    refused(training("run", 2, {"--label-smoothing", "0.2"}), 2, "label-smoothing");
    refused(training("run", 2, {"--preset", "nat_mini"}), 2, "either --preset or --config");
    std::string damaged = read_file(work.at("tokens.bin"));
    damaged[70] = static_cast<char>(damaged[70] ^ 1);
    overwrite(work.at("damaged.bin"), damaged);
    refused(tokens("damaged.bin"), 1, "differs from its checksum");
}

TEST_CASE_FIXTURE(Bench,
                  "end to end: evaluations draw samples with the tokens' tokenizer, and with no other") {
    TokenizerConfig config;
    config.ch = 32;
    config.ch_mult = {1, 1, 1};
    config.num_res_blocks = 1;
    config.z_channels = config.embed_dim = 4;
    config.n_embed = 20;
    Tokenizer tokenizer(config, Device::cpu);
    tokenizer.parameters().allocate(Device::cpu, false);
    tokenizer.parameters().initialize(3);
    CheckpointWriter writer;
    writer.add_slab(tokenizer.parameters(), "", tokenizer.parameters().values());
    write_metadata(writer, TokenizerMetadata{{}, config, 16});
    writer.write(work.at("tokenizer.safetensors"));
    const Words more{
        "--tokenizer", work.path("tokenizer.safetensors"), "--sheet-rows", "1", "--sheet-steps", "2"};
    refused(training("run", 1, more), 1, "expected");
    write_tokens("tokens.bin", 8, {4, 20, 4, tokenizer_fingerprint(codebook_values(tokenizer), 20)});
    const Outcome outcome = work.run("train", training("run", 2, more));
    REQUIRE_MESSAGE(outcome.exit_code == 0, outcome.errors);
    std::size_t sheets = 0;
    for (const auto& [name, size] : work.listing())
        sheets += name.find("samples-") != std::string::npos && size > 100 ? 1 : 0;
    CHECK(sheets == 2);  // after each step: an eighth of two is one at least
}

TEST_CASE("end to end: info and convert know a published tokenizer") {
    const TestDirectory work;
    const GoldenFile weights("vqgan_tiny.pth");
    const std::string published = weights.path().string(), ours = work.path("tokenizer.safetensors");
    const Outcome info = work.run("sample", {"info", published});
    REQUIRE_MESSAGE(info.exit_code == 0, info.errors);
    CHECK(info.output.find("tokenizer of ") != std::string::npos);
    const Outcome converted = work.run("sample", {"convert", "--checkpoint", published, "--out", ours});
    REQUIRE_MESSAGE(converted.exit_code == 0, converted.errors);
    const Outcome again = work.run("sample", {"info", ours});
    REQUIRE_MESSAGE(again.exit_code == 0, again.errors);
    const auto config = [](const std::string& text) { return text.substr(text.find("  config: ")); };
    CHECK(config(again.output) == config(info.output));
}

TEST_CASE_FIXTURE(Bench,
                  "end to end: classes of tokens are matched by name, those of a run that began are kept") {
    train("run", 2);
    write_tokens("backwards.bin", 40, {4, 20, 4, 7}, {"dog", "cat"});
    write_tokens("other.bin", 40, {4, 20, 4, 7}, {"cat", "cow"});
    const auto tokens = [&](const char* name, const std::string& run, int steps, const Words& more = {}) {
        Words arguments = training(run, steps, more);
        arguments[2] = work.path(name);
        return arguments;
    };
    refused(tokens("other.bin", "run", 3), 2, "class 1 is called cow");
    refused(tokens("backwards.bin", "run", 3), 2, "in another order");
    refused(training("new", 1, {"--validation", work.path("other.bin")}), 2, "class 1 is called cow");

    // Held-out tokens whose classes are numbered otherwise have the same loss.
    write_tokens("held_out.backwards.bin", 12, {4, 20, 4, 7}, {"dog", "cat"});
    const Words still{"--lr", "1e-30", "--evaluate-every", "1"};
    const auto validation_loss = [&](const char* run, const char* file, const Words& more = {}) {
        train(run, 1, still + Words{"--validation", work.path(file)} + more);
        return read_log(work.at(run)).back().at("validation_loss");
    };
    const std::string loss =
        validation_loss("a", "held_out.bin", {"--init-from", work.path("run/last.safetensors")});
    CHECK(validation_loss("b", "held_out.backwards.bin",
                          {"--init-from", work.path("run/last.safetensors")}) == loss);
    CHECK(validation_loss("c", "held_out.backwards.bin",
                          {"--init-from", work.path("run/last.safetensors"), "--ignore-class-names"}) !=
          loss);

    const Words start = still + Words{"--init-from", work.path("run/last.safetensors")};
    refused(tokens("other.bin", "new", 1, start), 2, "class 1 is called cow");
    const Outcome started = work.run("train", tokens("backwards.bin", "new", 1, start));
    REQUIRE_MESSAGE(started.exit_code == 0, started.errors);
    const SafetensorsFile before(work.at("run/last.safetensors")), after(work.at("new/last.safetensors"));
    const std::string table = "context_embed.word_embeddings.weight";
    const auto old_rows = before.floats(table), rows = after.floats(table);
    const std::size_t width = rows.size() / 3;
    CHECK(std::ranges::equal(rows.subspan(0, width), old_rows.subspan(width, width)));
    CHECK(std::ranges::equal(rows.subspan(width, width), old_rows.subspan(0, width)));
    CHECK(std::ranges::equal(rows.subspan(2 * width), old_rows.subspan(2 * width)));  // no class

    // The same command goes on, another file is refused.
    Words longer = tokens("backwards.bin", "new", 2, start);
    CHECK(work.run("train", longer).exit_code == 0);
    refused(tokens("backwards.bin", "new", 3, still + Words{"--init-from", checkpoint("new", 2)}), 2,
            "--init-from " + checkpoint("new", 2));
    refused(training("run", 3, {"--init-from", checkpoint("new", 2)}), 2, "began without it");
}
