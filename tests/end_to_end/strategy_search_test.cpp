// A search for a generation strategy at work on a tiny random transformer: its folder, its continuation, its
// figures, bad input refused.
#include <doctest/doctest.h>

#include <csignal>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "models/nat/search/search_history.h"
#include "models/nat/strategy.h"
#include "runtime/files/safetensors.h"
#include "tests/end_to_end/random_nat.h"
#include "tests/end_to_end/refusal.h"

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
                                               "--objective", "fd,-0.1*recall"});
        CHECK(said.find("10 numbers in 3 steps") != std::string::npos);
        CHECK(said.find("fresh seeds") != std::string::npos);
        CHECK(said.find("\nfound ") != std::string::npos);
        const std::vector<Evaluation> evaluations = history(method);
        REQUIRE(evaluations.size() >= 3);
        CHECK(evaluations.back().pictures == static_cast<std::int64_t>(8 * evaluations.size()));
        CHECK(evaluations.back().phase == "stp_1");
        const Strategy best = read_strategy(work.at(method) / "best.json");
        CHECK(best.steps() == 3);
        CHECK(best != read_strategy(work.at(method) / "start.json"));
        CHECK(std::filesystem::exists(work.at(method) / "curves.png"));
    }
}

TEST_CASE_FIXTURE(SearchPlace, "end to end: a search that is killed continues to the same trajectory") {
    done("whole");
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
             {"train",
              search("there", {"--reference", work.path("other.bin")}),
              2,
              {"search.json", "reference"}},
         })
        check_refusal(work, refusal);
    overwrite(work.at("there/history.csv"), read_file(work.at("there/history.csv")).substr(0, 200));
    check_refusal(work, {"train", search("there", {"--updates", "2"}), 1, {"history.csv"}});
}
