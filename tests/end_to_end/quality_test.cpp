// Measuring pictures: features trained on data, figures of given and of drawn pictures, statistics files, the
// quality along a run, bad input.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "runtime/files/safetensors.h"
#include "runtime/ranks/comm_mpi.h"
#include "tests/end_to_end/refusal.h"
#include "tests/end_to_end/two_ranks.h"
#include "tests/skip.h"

namespace {

// 16 x 16 fractals: data.bin to train on, other.bin to compare with; a feature network of a few updates.
struct QualityPlace {
    QualityPlace() {
        fractals("data.bin", 0);
        fractals("other.bin", 1000);
        REQUIRE(work.run("train", features("features", 3)).exit_code == 0);
    }
    void fractals(const std::string& name, int first) const {
        REQUIRE(work.run("data", {"fractals", "--out", work.path(name), "--size", "16", "--count", "40",
                                  "--first", std::to_string(first)})
                    .exit_code == 0);
    }
    Words features(const std::string& run, int steps, const Words& more = {}) const {
        return Words{"features",
                     "--preset",
                     "features_16",
                     "--data",
                     data,
                     "--validation",
                     other,
                     "--batch",
                     "8",
                     "--steps",
                     std::to_string(steps),
                     "--log-every",
                     "1",
                     "--schedule",
                     "constant",
                     "--out",
                     work.path(run)} +
               more;
    }
    Words quality(const Words& more) const {
        return Words{"evaluate", "quality", "--features", network} + more;
    }
    nlohmann::json measured(const Words& more) const {
        const Outcome outcome = work.run("sample", quality(more + Words{"--json"}));
        REQUIRE_MESSAGE(outcome.exit_code == 0, outcome.errors);
        return nlohmann::json::parse(outcome.output);
    }

    TestDirectory work;
    std::string data = work.path("data.bin"), other = work.path("other.bin"),
                network = work.path("features/last.safetensors");
};

// A fractal model of 16 x 16 pictures, of one update.
void train_fractal(const QualityPlace& place, const Words& more = {}) {
    place.work.write(
        "model.json",
        R"({"img_size_list": [16, 4, 1], "embed_dim_list": [16, 16, 16], "num_blocks_list": [1, 1, 1],
                         "num_heads_list": [2, 2, 2], "generator_type_list": ["ar", "ar", "ar"], "num_conds": 1,
                         "guiding_pixel": false, "class_num": 10})");
    const Outcome outcome = place.work.run(
        "train", Words{"fractal", "--config", place.work.path("model.json"), "--data", place.data, "--steps",
                       "2", "--batch", "4", "--sheet-columns", "2", "--sheet-rows", "1", "--evaluate-every",
                       "1", "--out", place.work.path("run")} +
                     more);
    REQUIRE_MESSAGE(outcome.exit_code == 0, outcome.errors);
}

}  // namespace

TEST_CASE_FIXTURE(QualityPlace, "end to end: a feature network's run continues as if it had not stopped") {
    REQUIRE(work.run("train", features("whole", 6)).exit_code == 0);
    REQUIRE(work.run("train", features("parts", 6, {"--save-every", "1", "--keep", "9"})).exit_code == 0);
    for (const char* later : {"4", "5", "6"})
        std::filesystem::remove(work.at("parts") / fmt::format("checkpoint-0000000{}.safetensors", later));
    REQUIRE(work.run("train", features("parts", 6, {"--save-every", "1", "--keep", "9"})).exit_code == 0);
    CHECK(differences(work.at("whole/last.safetensors"), work.at("parts/last.safetensors")) == "");
    const LogTable log = read_log(work.at("whole"));
    REQUIRE(log.size() == 6);
    CHECK(std::stod(log.back().at("validation_accuracy")) >= 0);
    CHECK(std::stod(log.back().at("validation_loss")) > 0);
    CHECK(std::filesystem::exists(work.at("whole/curves.png")));
    const Outcome info = work.run("sample", {"info", work.path("whole/last.safetensors")});
    CHECK(info.output.find("feature network of 16x16 images, 3 channels, 128 features") != std::string::npos);
    CHECK(info.output.find("10 classes: 0 mandelbrot") != std::string::npos);
}

TEST_CASE_FIXTURE(QualityPlace, "end to end: pictures without classes train features by rotations") {
    train_fractal(*this);
    REQUIRE(work.run("sample", {"fractal", "--checkpoint", work.path("run/last.safetensors"), "--count", "12",
                                "--each", work.path("each")})
                .exit_code == 0);
    REQUIRE(work.run("data",
                     {"pack", "--images", work.path("each"), "--size", "16", "--out", work.path("plain.bin")})
                .exit_code == 0);
    const Words on_plain = {"features",
                            "--preset",
                            "features_16",
                            "--data",
                            work.path("plain.bin"),
                            "--validation",
                            work.path("plain.bin"),
                            "--batch",
                            "4",
                            "--steps",
                            "2",
                            "--out",
                            work.path("turned")};
    REQUIRE(work.run("train", on_plain).exit_code == 0);
    network = work.path("turned/last.safetensors");
    CHECK(measured({"--generated", data, "--reference", other}).at("fd") > 0);
    const SafetensorsFile file(work.at("turned/last.safetensors"));
    CHECK(file.shape("classifier.weight") == std::vector<std::int64_t>{4, 128});
}

TEST_CASE_FIXTURE(QualityPlace, "end to end: figures of given pictures, by keys") {
    const nlohmann::json same = measured({"--generated", data, "--reference", data});
    CHECK(std::fabs(same.at("fd").get<double>()) < 1e-6);
    CHECK(same.at("precision") == 1);
    CHECK(same.at("recall") == 1);
    const nlohmann::json apart = measured({"--generated", data, "--reference", other, "--extrapolate"});
    for (const char* key : {"fd", "fd_extrapolated", "kid", "kid_standard_error", "precision", "recall"}) {
        CAPTURE(key);
        CHECK(apart.at(key).is_number());
    }
    CHECK(apart.at("fd") > same.at("fd"));
    CHECK(apart.at("fd_extrapolated") < apart.at("fd"));
    CHECK(apart.at("inception_score").is_null());
    CHECK(apart.at("convention").is_null());
    CHECK(apart.at("generated") == 40);
    CHECK(apart.at("reference") == 40);
    CHECK(apart.at("features") == network);
    CHECK(measured({"--generated", data, "--reference", other, "--count", "20"}).at("generated") == 20);
    const Outcome words = work.run("sample", quality({"--generated", data, "--reference", other}));
    CHECK(words.output.find("FD ") != std::string::npos);
    CHECK(words.output.find("FID") == std::string::npos);
    CHECK(words.output.find("biased upwards: 40 pictures for 128 features") != std::string::npos);
}

TEST_CASE_FIXTURE(QualityPlace, "end to end: statistics stand for the pictures they are of") {
    const Words given = {"--generated", data, "--reference"};
    const nlohmann::json direct = measured(given + Words{other, "--save-statistics", work.path("saved.npz")});
    REQUIRE(work.run("data", {"statistics", "--data", other, "--features", network, "--out",
                              work.path("statistics.npz")})
                .exit_code == 0);
    CHECK(read_file(work.at("saved.npz")) == read_file(work.at("statistics.npz")));
    CHECK(measured(given + Words{work.path("saved.npz")}) == direct);

    REQUIRE(work.run("data", {"statistics", "--data", other, "--features", network, "--out",
                              work.path("moments.npz"), "--moments-alone"})
                .exit_code == 0);
    const nlohmann::json moments = measured(given + Words{work.path("moments.npz")});
    CHECK(moments.at("fd") == direct.at("fd"));
    CHECK(moments.at("kid").is_null());
    CHECK(moments.at("precision").is_null());
    CHECK(work.run("sample", quality(given + Words{work.path("moments.npz")})).output.find("hold none") !=
          std::string::npos);

    REQUIRE(work.run("train", features("others", 1)).exit_code == 0);
    check_refusal(work, {"sample",
                         {"evaluate", "quality", "--features", work.path("others/last.safetensors"),
                          "--generated", data, "--reference", work.path("saved.npz")},
                         2,
                         {"saved.npz", "another network"}});
}

TEST_CASE_FIXTURE(QualityPlace,
                  "end to end: a model's pictures, drawn and measured, are those that it writes") {
    train_fractal(*this);
    const Words drawing = {
        "--checkpoint", work.path("run/last.safetensors"), "--count", "25", "--batch", "10"};
    const nlohmann::json drawn = measured(drawing + Words{"--reference", other});
    REQUIRE(
        work.run("sample",
                 Words{"fractal", "--each", work.path("each"), "--classes", "0,1,2,3,4,5,6,7,8,9"} + drawing)
            .exit_code == 0);
    const nlohmann::json read = measured({"--generated", work.path("each"), "--reference", other});
    for (const char* key : {"fd", "kid", "precision", "recall"}) {
        CAPTURE(key);
        CHECK(drawn.at(key).get<double>() == doctest::Approx(read.at(key).get<double>()).epsilon(1e-6));
    }
    const nlohmann::json repeated = measured(drawing + Words{"--reference", other, "--repeats", "2"});
    CHECK(repeated.at("repeats") == 2);
    CHECK(repeated.at("standard_errors").at("fd") > 0);
    CHECK(repeated.at("fd") != drawn.at("fd"));
}

TEST_CASE_FIXTURE(QualityPlace,
                  "end to end: the quality along a run, and the checkpoint that is best by it") {
    train_fractal(*this, {"--quality-features", network, "--quality-reference", other, "--quality-images",
                          "20", "--best-by", "frechet"});
    const LogTable log = read_log(work.at("run"));
    double best = INFINITY;
    for (const auto& row : log) {
        if (row.at("validation_fd").empty()) continue;
        best = std::min(best, std::stod(row.at("validation_fd")));
        CHECK(!row.at("validation_kid").empty());
        CHECK(row.at("validation_bits_per_dim").empty());  // without held-out data
    }
    CHECK(std::isfinite(best));
    const SafetensorsFile checkpoint(work.at("run/best.safetensors"));
    CHECK(std::stod(checkpoint.metadata("validation_fd")) == doctest::Approx(best).epsilon(1e-5));
}

TEST_CASE_FIXTURE(QualityPlace, "end to end: ranks share the pictures and give one rank's figures") {
    if (!mpi::built()) return skip_test("no Open MPI in this build");
    const Words given = {"--generated", data, "--reference", other, "--count", "39"};
    const nlohmann::json alone = measured(given);
    const Outcome outcome = run_on_two_ranks(work, "sample", quality(given + Words{"--json"}));
    REQUIRE_MESSAGE(outcome.exit_code == 0, outcome.errors);
    const nlohmann::json shared = nlohmann::json::parse(outcome.output);
    for (const char* key : {"fd", "kid", "precision", "recall", "generated"}) {
        CAPTURE(key);
        CHECK(shared.at(key).get<double>() == doctest::Approx(alone.at(key).get<double>()).epsilon(1e-6));
    }
}

TEST_CASE_FIXTURE(QualityPlace, "end to end: what cannot be measured is refused in one line") {
    work.write("text.npz", "no archive");
    std::filesystem::create_directories(work.at("empty"));
    REQUIRE(work.run("data", {"fractals", "--out", work.path("large.bin"), "--size", "32", "--count", "5"})
                .exit_code == 0);
    const Words given = {"--generated", data, "--reference"};
    for (const Refusal& refusal : std::vector<Refusal>{
             {"sample", quality(given + Words{work.path("missing")}), 1, {"missing"}},
             {"sample", quality(given + Words{work.path("text.npz")}), 1, {"text.npz"}},
             {"sample", quality(given + Words{work.path("empty")}), 1, {"empty"}},
             {"sample", quality(given + Words{work.path("large.bin")}), 2, {"large.bin", "32x32", "16x16"}},
             {"sample",
              quality(given + Words{other, "--convention", "pytorch-fid"}),
              2,
              {"--convention", "own"}},
             {"sample", quality(given + Words{other, "--repeats", "2"}), 2, {"--repeats"}},
             {"sample", quality(given + Words{other, "--count", "41"}), 2, {"--count 41", "40 pictures"}},
             {"sample", quality({"--reference", other}), 2, {"--generated", "--checkpoint"}},
             {"sample", quality(given + Words{other, "--save-statistics", data}), 2, {".npz"}},
             {"sample",
              {"evaluate", "quality", "--features", data, "--generated", data, "--reference", other},
              1,
              {"data.bin"}},
             {"train",
              features("run", 1, {"--preset", "features_32"}),
              2,
              {"data.bin", "size 16", "size 32"}},
             {"data", {"statistics", "--data", data, "--features", network, "--out", data}, 2, {".npz"}},
         })
        check_refusal(work, refusal);
}
