// A search for a generation strategy at work on a tiny random transformer: its folder, its continuation, its
// figures, bad input refused.
#include <doctest/doctest.h>

#include <fmt/format.h>
#include <algorithm>
#include <csignal>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "data/records/packed.h"
#include "models/nat/search/search_history.h"
#include "models/nat/search/search_space.h"
#include "models/nat/strategy.h"
#include "runtime/files/safetensors.h"
#include "runtime/ranks/comm_mpi.h"
#include "tests/end_to_end/random_nat.h"
#include "tests/end_to_end/refusal.h"
#include "tests/end_to_end/two_ranks.h"
#include "tests/skip.h"

namespace {

struct SearchPlace : RandomNat {
    SearchPlace() {
        REQUIRE(work.run("data", {"fractals", "--out", data, "--size", "16", "--count", "40"}).exit_code ==
                0);
        REQUIRE(work.run("train", {"features", "--preset", "features_16", "--data", data, "--batch", "8",
                                   "--steps", "2", "--out", work.path("features")})
                    .exit_code == 0);
    }
    Words search(const std::string& out, const Words& more = {}) const {
        return with_usual({"strategy", "--checkpoint", work.path("nat.safetensors"), "--tokenizer",
                           work.path("tokenizer.safetensors"), "--out", work.path(out)},
                          {{"--features", network},
                           {"--reference", data},
                           {"--steps", "3"},
                           {"--images", "8"},
                           {"--updates", "3"},
                           {"--method", "spsa"},
                           {"--repeats", "0"}},
                          more);
    }
    // A checkpoint that knows its training, of 4 updates with alpha 12, beta 3, and its tokens.
    void train_base() const {
        work.write("config.json",
                   fmt::format(R"({{"img_size": 4, "codebook_size": {}, "embed_dim": 16, "depth": 2,
            "num_heads": 2, "num_classes": {}}})",
                               codes, PackedFile(data).classes().size() + 1));
        for (const Words& words :
             {Words{"data", "tokens", "--tokenizer", work.path("tokenizer.safetensors"), "--data", data,
                    "--out", work.path("tokens")},
              Words{"train", "nat", "--config", work.path("config.json"), "--tokens", work.path("tokens"),
                    "--batch", "4", "--steps", "4", "--out", work.path("base")}}) {
            const Outcome outcome = work.run(words[0], Words(words.begin() + 1, words.end()));
            REQUIRE_MESSAGE(outcome.exit_code == 0, outcome.errors);
        }
    }
    // Over the base's two halves.
    Words search_base(const std::string& out, const Words& more) const {
        Words words = search(out, {"--repeats", "2", "--baselines", "cosine,halton", "--baseline-guidance",
                                   "0,1", "--baseline-temperatures", "1", "--tokens", work.path("tokens"),
                                   "--alpha", "4,12", "--beta", "2", "--train-steps", "2"});
        std::ranges::replace(words, work.path("nat.safetensors"), work.path("base/last.safetensors"));
        words.insert(words.end(), more.begin(), more.end());
        return words;
    }
    std::string done(const std::string& out, const Words& more = {}) const {
        const Outcome outcome = work.run("train", search(out, more));
        REQUIRE_MESSAGE(outcome.exit_code == 0, outcome.errors);
        return outcome.output;
    }
    std::vector<Evaluation> history(const std::string& out) const {
        return parse_search_history(read_file(work.at(out) / "history.csv"), "history");
    }

    std::string data = work.path("data.bin"), network = work.path("features/last.safetensors");
};

}  // namespace

TEST_CASE_FIXTURE(SearchPlace, "end to end: a search by each method leaves history, best strategy, curves") {
    for (const std::string method : {"finite-differences", "spsa", "cma-es"}) {
        CAPTURE(method);
        const std::string said = done(method, {"--method", method, "--updates", "1", "--repeats", "2",
                                               "--objective", "fd,-0.1*recall", "--no-baselines"});
        CHECK(said.find("10 numbers in 3 steps") != std::string::npos);
        CHECK(said.find("fresh seeds") != std::string::npos);
        CHECK(said.find("\nfound ") != std::string::npos);
        const std::vector<Evaluation> evaluations = history(method);
        REQUIRE(evaluations.size() >= 3);
        CHECK(evaluations.back().pictures == static_cast<std::int64_t>(8 * evaluations.size()));
        CHECK(evaluations.back().phase == "stp_1");
        CHECK(read_strategy(work.at(method) / "best.json").steps() == 3);  // whether the start or another
        CHECK(read_strategy(work.at(method) / "start.json") == autonat_start(3));
        CHECK(std::filesystem::exists(work.at(method) / "curves.png"));
    }
}

TEST_CASE_FIXTURE(SearchPlace, "end to end: candidates of training are scored, and none is trained twice") {
    train_base();
    const Words words = search_base("masks", {"--search", "mask-distribution"});
    const Outcome first = work.run("train", words);
    REQUIRE_MESSAGE(first.exit_code == 0, first.errors);
    for (const char* said : {"alpha 12, beta 3: objective", "alpha 4, beta 3: objective", "mean ratio"})
        CHECK_MESSAGE(first.output.find(said) != std::string::npos, first.output);
    CHECK(std::filesystem::exists(work.at("masks/masks.png")));
    // 12,3 and 4,3, then 4,2 or 12,2, each of two updates on the base's images.
    std::size_t candidates = 0;
    for (const auto& folder : std::filesystem::directory_iterator(work.at("masks/candidates"))) {
        CHECK(read_log(folder.path()).back().at("step") == "2");
        ++candidates;
    }
    CHECK(candidates == 3);
    const std::string measures = read_file(work.at("masks/measures.jsonl"));
    const Outcome second = work.run("train", words);
    CHECK(second.exit_code == 0);
    CHECK(second.output.find("nothing is left to do") != std::string::npos);
    CHECK(second.output.find("step 2/2") == std::string::npos);
    CHECK(read_file(work.at("masks/measures.jsonl")) == measures);
}

TEST_CASE_FIXTURE(SearchPlace,
                  "end to end: both halves by turns end with one table, killed in between or not") {
    train_base();
    const Words more{"--search", "both", "--rounds", "2", "--updates", "2", "--start", "baseline"};
    const Outcome whole = work.run("train", search_base("whole", more));
    REQUIRE_MESSAGE(whole.exit_code == 0, whole.errors);
    CHECK(whole.output.find("start: ") != std::string::npos);
    CHECK(whole.output.find("round 1: alpha") != std::string::npos);
    const nlohmann::json table = nlohmann::json::parse(read_file(work.at("whole/table.json")));
    std::vector<std::string> names;
    for (const auto& row : table["rows"]) {
        names.push_back(row["name"]);
        CHECK(row["figures"]["fd"].size() == 2);
        CHECK(row["operations"] > 0);
        CHECK(row["steps"] == 3);
    }
    std::vector<std::string> expected{"cosine", "halton", "start", "found, generation", "found, both"};
    if (names.size() > expected.size())  // the masks have changed
        expected.insert(expected.begin() + 2, {"cosine, new masks", "halton, new masks"});
    CHECK(names == expected);
    CHECK(read_strategy(work.at("whole/best.json")).steps() == 3);
    CHECK(std::filesystem::exists(std::filesystem::canonical(work.at("whole/model.safetensors"))));
    const Outcome together =
        work.run("sample", {"strategies", work.path("whole"), "--plot", work.path("quality.png")});
    CHECK(together.exit_code == 0);
    for (const std::string& name : names) CHECK(together.output.find("\n" + name) != std::string::npos);
    CHECK(std::filesystem::exists(work.at("quality.png")));
    nlohmann::json many = table;  // as many names as `make autonat`'s table has
    many["rows"].clear();
    for (int i = 0; i < 9; ++i) {
        many["rows"].push_back(table["rows"][0]);
        many["rows"].back()["name"] = fmt::format("strategy {}", i);
    }
    std::filesystem::create_directories(work.at("many"));
    work.write("many/table.json", many.dump());
    CHECK(work.run("sample", {"strategies", work.path("many"), "--plot", work.path("many.png")}).exit_code ==
          0);
    for (const char* moment : {"update 1/2", "training with alpha 4, beta 3"}) {
        Command killed = work.start("train", search_base("parts", more));
        REQUIRE(killed.wait_for_output(moment));
        killed.send(SIGKILL);
        killed.finish();
    }
    const Outcome rest = work.run("train", search_base("parts", more));
    REQUIRE_MESSAGE(rest.exit_code == 0, rest.errors);
    const auto without_folder = [](std::string text) {
        for (std::size_t at; (at = text.find("/parts/")) != std::string::npos;)
            text.replace(at, 7, "/whole/");
        return text;
    };
    CHECK(without_folder(read_file(work.at("parts/table.json"))) == read_file(work.at("whole/table.json")));
}

TEST_CASE_FIXTURE(SearchPlace,
                  "end to end: ranks share the pictures of a search, and its trajectory is that of one") {
    if (!mpi::built()) return skip_test("no Open MPI in this build");
    train_base();
    const Words more{"--search", "both", "--rounds", "1", "--updates", "1", "--method", "finite-differences"};
    for (const bool shared : {false, true}) {
        const Words words = search_base(shared ? "shared" : "alone", more);
        const Outcome outcome = shared ? run_on_two_ranks(work, "train", words) : work.run("train", words);
        REQUIRE_MESSAGE(outcome.exit_code == 0, outcome.errors);
    }
    const std::vector<Evaluation> alone = history("alone/round-1"), shared = history("shared/round-1");
    REQUIRE(shared.size() == alone.size());
    for (std::size_t i = 0; i < alone.size(); ++i) {
        CHECK(shared[i].phase == alone[i].phase);
        CHECK(shared[i].objective == doctest::Approx(alone[i].objective).epsilon(1e-4));
    }
    const auto rows = [&](const std::string& out) {
        return nlohmann::json::parse(read_file(work.at(out) / "table.json"))["rows"];
    };
    REQUIRE(rows("shared").size() == rows("alone").size());
    CHECK(rows("shared").front()["figures"]["fd"][0].get<double>() ==
          doctest::Approx(rows("alone").front()["figures"]["fd"][0].get<double>()).epsilon(1e-4));
}

TEST_CASE_FIXTURE(SearchPlace, "end to end: a search that is killed continues to the same trajectory") {
    done("whole");
    CHECK(read_strategy(work.at("whole/best.json")) != autonat_start(3));
    Command killed = work.start("train", search("parts"));
    REQUIRE(killed.wait_for_output("update 0/3"));
    killed.send(SIGKILL);
    killed.finish();
    const std::string said = done("parts");
    CHECK(said.find("continuing") != std::string::npos);
    CHECK(read_file(work.at("parts/history.csv")) == read_file(work.at("whole/history.csv")));
    CHECK(read_file(work.at("parts/best.json")) == read_file(work.at("whole/best.json")));
}

TEST_CASE_FIXTURE(SearchPlace, "end to end: what a search cannot use is refused in one line") {
    done("there", {"--updates", "1", "--batch", "1"});
    REQUIRE(work.run("data", {"fractals", "--out", work.path("other.bin"), "--size", "16", "--count", "40",
                              "--first", "100"})
                .exit_code == 0);
    REQUIRE(work.run("data", {"fractals", "--out", work.path("large.bin"), "--size", "32", "--count", "5"})
                .exit_code == 0);
    REQUIRE(work.run("data", {"tokens", "--tokenizer", work.path("tokenizer.safetensors"), "--data", data,
                              "--out", work.path("tokens")})
                .exit_code == 0);
    for (const Refusal& refusal : std::vector<Refusal>{
             {"train", search("new", {"--steps", "1"}), 2, {"--steps"}},
             {"train", search("new", {"--steps", "17"}), 2, {"--steps 17", "16 tokens"}},
             {"train",
              search("new", {"--reference", work.path("large.bin")}),
              2,
              {"large.bin", "32x32", "16x16"}},
             {"train", search("new", {"--features", work.path("nat.safetensors")}), 2, {"nat.safetensors"}},
             {"train", search("new", {"--objective", "fid"}), 2, {"--objective fid", "fd"}},
             {"train", search("new", {"--objective", "fd,fd"}), 2, {"--objective"}},
             {"train", search("new", {"--schedules", "ratio"}), 2, {"ratio"}},
             {"train", search("there", {"--images", "9"}), 2, {"search.json", "images", "9"}},
             {"train", search("there", {"--balanced"}), 2, {"search.json", "balanced"}},
             {"train", search("new", {"--start", "baseline"}), 2, {"--repeats 0", "--start baseline"}},
             {"train",
              search("new", {"--start", "baseline", "--repeats", "1", "--no-baselines"}),
              2,
              {"--start baseline", "--no-baselines"}},
             {"train", search("new", {"--search", "both"}), 2, {"--search", "--tokens"}},
             {"train",
              search("new", {"--search", "both", "--tokens", work.path("tokens")}),
              2,
              {"--repeats 0"}},
             {"train",
              search("new",
                     {"--search", "mask-distribution", "--repeats", "1", "--tokens", work.path("tokens")}),
              1,
              {"nat.safetensors", "trained"}},
             {"train",
              search("new", {"--repeats", "1", "--baselines", "cosin", "--updates", "1"}),
              2,
              {"cosin", "cosine"}},
             {"train",
              search("there", {"--reference", work.path("other.bin")}),
              2,
              {"search.json", "reference"}},
         })
        check_refusal(work, refusal);
    std::filesystem::create_directories(work.at("tables"));
    check_refusal(work, {"sample", {"strategies", work.path("tables")}, 1, {"tables/table.json", "missing"}});
    for (const char* text :
         {"[]", "{\"distance\": \"FD\", \"rows\": [{}]}", "{\"distance\": \"FD\", \"rows\": []}"}) {
        work.write("tables/table.json", text);
        const Outcome outcome = work.run("sample", {"strategies", work.path("tables")});
        CHECK(outcome.exit_code != 0);
        CHECK(outcome.errors.find("table.json") != std::string::npos);
    }
    overwrite(work.at("there/history.csv"), read_file(work.at("there/history.csv")).substr(0, 200));
    check_refusal(work, {"train", search("there", {"--updates", "2"}), 1, {"history.csv"}});
}
