#include "runtime/base/command_line.h"

#include <doctest/doctest.h>

#include <cstdint>
#include <string>
#include <vector>

#include "runtime/base/error.h"

namespace {

struct Parsed {
    int exit_code = 0;
    std::string error;
    std::uint64_t seed = 7;
};

// A program with the jobs draw, edit, and measure all, run with these words.
Parsed run(const std::vector<std::string>& words) {
    CommandLine program("A program.");
    Parsed parsed;
    std::string file, picture;
    int count = 0;
    bool exact = false;
    CommandLine* draw = program.add_subcommand("draw", "Draws");
    draw->add_option("--checkpoint", file, "A file")->required();
    draw->add_option("--count", count, "How many");
    draw->add_option("--seed", parsed.seed, "Of what is random")->check(any_seed());
    program.add_subcommand("edit", "Edits")->add_option("--image", picture, "A file")->required();
    CommandLine* measure = program.add_subcommand("measure", "Measures");
    measure->add_subcommand("all", "All of it")->add_flag("--exact", exact, "Exactly");
    std::vector<char*> arguments{const_cast<char*>("program")};
    for (const std::string& word : words) arguments.push_back(const_cast<char*>(word.c_str()));
    parsed.exit_code = run_program(program, static_cast<int>(arguments.size()), arguments.data(),
                                   [&](const std::exception& error) { parsed.error = error.what(); });
    return parsed;
}

std::string error(const std::vector<std::string>& words) {
    const Parsed parsed = run(words);
    CHECK(parsed.exit_code == (parsed.error.empty() ? 0 : 2));
    return parsed.error;
}

}  // namespace

TEST_CASE("command line: a misspelt flag is named, whatever else is missing") {
    CHECK(error({"draw", "--checkpont", "x"}) == "--checkpont: no such flag; did you mean --checkpoint?");
    CHECK(error({"draw", "--checkpont=x"}) == "--checkpont: no such flag; did you mean --checkpoint?");
    CHECK(error({"draw", "-checkpoint", "x"}) == "-checkpoint: no such flag; did you mean --checkpoint?");
    CHECK(error({"draw", "--count", "2", "--cuont", "3", "--more"}) ==
          "--cuont: no such flag; did you mean --count?");
    CHECK(error({"draw", "--checkpoint", "x", "--zzz"}) == "--zzz: no such flag; --help lists them");
    CHECK(error({"draw", "–checkpoint", "x"}) == "–checkpoint: no such flag; did you mean --checkpoint?");
    CHECK(error({"draw", "--cuont", "3", "--count", "many"}) ==
          "--cuont: no such flag; did you mean --count?");
}

TEST_CASE("command line: a flag of another job, one before the job, and a word that follows none") {
    CHECK(error({"draw", "--image", "x"}) == "--image: no flag of draw, but of edit");
    CHECK(error({"draw", "--exact"}) == "--exact: no flag of draw, but of measure all");
    CHECK(error({"--count", "3", "draw"}) == "--count: stands before the job; write it after draw");
    CHECK(error({"draw", "--checkpoint", "x", "y"}) == "y: not expected: it follows no flag that takes it");
    CHECK(error({"draw", "checkpoint", "x"}) == "checkpoint: not expected; did you mean --checkpoint?");
    CHECK(error({"draw", "--checkpoint", "x", "edit"}) != "");
}

TEST_CASE("command line: a misspelt job is named, at any depth, and where help is asked for") {
    CHECK(error({"drwa", "--checkpoint", "x"}) == "no job drwa; did you mean draw?");
    CHECK(error({"drwa", "--help"}) == "no job drwa; did you mean draw?");
    CHECK(error({"paint"}) == "no job paint; expected draw, edit, measure");
    CHECK(error({"measure", "al"}) == "no job al; did you mean all?");
    CHECK(error({"--count", "3"}) == "--count: expected a job before it: draw, edit, measure");
}

TEST_CASE("command line: nothing is said of one in which all words are known") {
    CHECK(error({"draw", "--checkpoint", "x"}) == "");
    CHECK(error({"measure", "all", "--exact"}) == "");
    CHECK(error({"draw"}) == "--checkpoint is required");
}

TEST_CASE("command line: a seed is any number of 64 bits, and nothing else") {
    const auto with_seed = [](const std::string& seed) {
        return run({"draw", "--checkpoint", "x", "--seed=" + seed});
    };
    CHECK(with_seed("0").seed == 0);
    CHECK(with_seed("18446744073709551615").seed == 18446744073709551615u);
    CHECK(with_seed("0x10").seed == 16);
    for (const std::string seed : {"-1", "-0", "18446744073709551616", "-18446744073709551615", "1.5", "1e3",
                                   "nan", "one", "99999999999999999999999"}) {
        CAPTURE(seed);
        CHECK(with_seed(seed).exit_code == 2);
        CHECK(with_seed(seed).error ==
              "--seed: " + seed + ": expected a whole number from 0 to 18446744073709551615");
    }
}

TEST_CASE("command line: flags taken from a request") {
    std::vector<std::string> texts{"before"};
    std::vector<std::int64_t> steps;
    std::int64_t count = 1;
    bool exact = false;
    CommandLine request("A request.");
    request.add_option("--text", texts, "Texts")->takes_text();
    request.add_option("--steps", steps, "Steps")->delimiter(',');
    request.add_option("--count", count, "How many")->check(at_least(1));
    request.add_flag("--exact", exact, "Exactly");
    const auto refusal = [&](const FlagValues& given) -> std::string {
        try {
            request.take({&given, 1});
        } catch (const UsageError& error) {
            return error.what();
        }
        return "";
    };
    CHECK(refusal({"text", {"", "[a,b]", "--count=7", "-x"}, true}) == "");
    CHECK(texts == std::vector<std::string>{" ", "[a,b]", "--count=7", "-x"});
    CHECK(refusal({"text", {"one"}}) == "");
    CHECK(texts == std::vector<std::string>{"one"});
    CHECK(refusal({"steps", {"4", "2"}, true}) == "");
    CHECK(steps == std::vector<std::int64_t>{4, 2});
    CHECK(refusal({"steps", {"8,4"}}) == "");
    CHECK(steps == std::vector<std::int64_t>{8, 4});
    CHECK(refusal({"exact", {"true"}}) == "");
    CHECK(exact);
    CHECK(refusal({"exact", {"false"}}) == "");
    CHECK_FALSE(exact);
    CHECK(refusal({"count", {"3"}}) == "");
    CHECK(count == 3);

    CHECK(refusal({"count", {"3", "4"}, true}) == "count: a list, expected one value");
    CHECK(refusal({"count", {"3"}, true}) == "count: a list, expected one value");
    CHECK(refusal({"count", {""}}) == "count: empty, expected a value");
    CHECK(refusal({"count", {"0"}}).find("0: expected a whole number") != std::string::npos);
    CHECK(refusal({"exact", {"maybe"}}).find("--exact") != std::string::npos);
    CHECK(refusal({"cuont", {"3"}}) == "cuont: no such key; did you mean count?");
    CHECK(refusal({"zzz", {"3"}}) == "zzz: no such key");
    CHECK(refusal({"help", {"true"}}) == "help: no such key");
    CHECK(refusal({"count --text", {"3"}}) == "count --text: no such key");
    CHECK(count == 3);
}
