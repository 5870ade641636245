// --requests of the jobs that draw: the pictures of the equivalent command lines, an answer to every line, and
// a clean end.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "runtime/device/device.h"
#include "tests/end_to_end/random_nat.h"
#include "tests/end_to_end/test_directory.h"
#include "tests/test_devices.h"

namespace {

using Json = nlohmann::json;

std::vector<Json> answers_of(const std::string& output) {
    std::vector<Json> answers;
    std::istringstream lines(output);
    for (std::string line; std::getline(lines, line);) answers.push_back(Json::parse(line));
    return answers;
}

Words on(Device device) {
    return {"--device", device == Device::cpu ? "cpu" : "cuda"};
}

struct Served {
    // A job that draws, and what it draws from.
    Served() {
        work.write("model.json", R"({"img_size_list": [4, 2, 1], "embed_dim_list": [16, 16, 16],
            "num_blocks_list": [1, 1, 1], "num_heads_list": [2, 2, 2], "class_num": 10,
            "generator_type_list": ["mar", "mar", "ar"]})");
        REQUIRE(work.run("data", {"fractals", "--out", work.path("data.bin"), "--size", "4", "--count", "8"})
                    .exit_code == 0);
        REQUIRE(work.run("train", work.training("run", 1)).exit_code == 0);
    }

    Words job(const Words& more) const {
        return Words{"fractal", "--checkpoint", work.path("run/last.safetensors")} + more;
    }
    Outcome serve(const std::string& requests, const Words& more = {}) const {
        work.write("requests.jsonl", requests);
        return work.run("sample", job(Words{"--requests", work.path("requests.jsonl")} + more));
    }
    std::string draw(const Words& words) const {
        const Outcome outcome = work.run("sample", job(Words{"--out", work.path("line.png")} + words));
        REQUIRE_MESSAGE(outcome.exit_code == 0, outcome.errors);
        return read_file(work.at("line.png"));
    }

    TestDirectory work;
};

// A pipe in a folder, of which this program has the writing end.
struct RequestPipe {
    explicit RequestPipe(const std::string& path) {
        REQUIRE(::mkfifo(path.c_str(), 0600) == 0);
        descriptor = ::open(path.c_str(), O_RDWR);
        REQUIRE(descriptor >= 0);
    }
    ~RequestPipe() { close(); }
    RequestPipe(const RequestPipe&) = delete;
    RequestPipe& operator=(const RequestPipe&) = delete;
    void write(const std::string& text) const {
        REQUIRE(::write(descriptor, text.data(), text.size()) == static_cast<ssize_t>(text.size()));
    }
    void close() {
        if (descriptor >= 0) ::close(std::exchange(descriptor, -1));
    }
    int descriptor = -1;
};

}  // namespace

DEVICE_TEST("end to end: a request draws what the equivalent command line draws") {
    const Served served;
    const auto at = [&](const char* name) { return served.work.path(name); };
    // In turn other numbers of images, guided and not, with other steps.
    const std::vector<std::pair<std::string, Words>> requests{
        {R"("classes": [1, "7"], "count": 3, "seed": 3)",
         {"--classes", "1,7", "--count", "3", "--seed", "3"}},
        {R"("count": 5, "cfg": 2.5, "cfg-schedule": "constant", "seed": 18446744073709551615)",
         {"--count", "5", "--cfg", "2.5", "--cfg-schedule", "constant", "--seed", "18446744073709551615"}},
        {R"("classes": 4, "count": 2, "temperature": 3, "first": 7)",
         {"--classes", "4", "--count", "2", "--temperature", "3", "--first", "7"}},
        {R"("count": 3, "cfg": 2, "filter-threshold": 0.1, "iters": [2, 3], "batch": 2)",
         {"--count", "3", "--cfg", "2", "--filter-threshold", "0.1", "--iters", "2,3", "--batch", "2"}},
        {R"("count": 2, "greedy": true)", {"--count", "2", "--greedy"}}};
    std::string lines;
    for (std::size_t i = 0; i < requests.size(); ++i)
        lines += fmt::format("{{\"id\": \"n{}\", \"out\": \"{}\", {}}}\n", i,
                             at(fmt::format("{}.png", i).c_str()), requests[i].first);
    const Outcome outcome = served.serve(lines, on(device));
    CHECK(outcome.exit_code == 0);
    CHECK(outcome.errors == "");
    const std::vector<Json> answers = answers_of(outcome.output);
    REQUIRE(answers.size() == requests.size());
    for (std::size_t i = 0; i < requests.size(); ++i) {
        CAPTURE(requests[i].first);
        REQUIRE_MESSAGE(!answers[i].contains("error"), answers[i].dump());
        CHECK(answers[i]["line"] == i + 1);
        CHECK(answers[i]["id"] == fmt::format("n{}", i));
        CHECK(answers[i]["out"] == at(fmt::format("{}.png", i).c_str()));
        CHECK(answers[i]["milliseconds"] > 0);
        CHECK(read_file(served.work.at(fmt::format("{}.png", i))) ==
              served.draw(requests[i].second + on(device)));
    }
    CHECK(answers[0]["images"] == 3);
    CHECK(answers[1]["seed"] == 18446744073709551615u);
}

TEST_CASE_FIXTURE(Served, "end to end: a request that is wrong is answered, and the next one is drawn") {
    const std::string out = work.path("a.png");
    struct Wrong {
        std::string line, error;
    };
    const std::vector<Wrong> wrong{
        {"rubbish", "not JSON"},
        {"[1]", "not a JSON object"},
        {R"({"out": "x.png", "out": "y.png"})", "the key out is given twice"},
        {R"({"clases": 1})", "clases: no such key; did you mean classes?"},
        {R"({"checkpoint": "x"})", "checkpoint: no such key"},
        {R"({"help": true})", "help: no such key"},
        {R"({"count": 2})", "expected --out, --each or both"},
        {R"({"out": "OUT", "classes": 10})", "the classes 0 to 9"},
        {R"({"out": "OUT", "count": 0})", "expected a whole number from 1"},
        {R"({"out": "OUT", "count": 2.5})", "expected a whole number from 1"},
        {R"({"out": "OUT", "count": [1, 2]})", "count: a list, expected one value"},
        {R"({"out": "OUT", "seed": -1})", "expected a whole number from 0"},
        {R"({"out": "OUT", "temperature": 0})", "--temperature 0: expected a positive number"},
        {R"({"out": "OUT", "iters": [1]})", "--iters: 1 numbers"},
        {R"({"out": "OUT/no/folder.png"})", "cannot be written"},
        {R"({"out": ""})", "out: empty"},
        {fmt::format(R"({{"out": "{}"}})", work.path("run/last.safetensors")),
         "the same file as --checkpoint"},
        {fmt::format(R"({{"out": "{}"}})", work.path("requests.jsonl")), "the same file as --requests"}};
    std::string lines;
    for (const Wrong& each : wrong) {
        std::string line = each.line;
        if (const auto place = line.find("OUT"); place != std::string::npos) line.replace(place, 3, out);
        lines += line + "\n";
    }
    lines += std::string(2'000'000, ' ') + "{}\n\n";
    lines += fmt::format(R"({{"id": 9, "out": "{}", "count": 3, "columns": 0}})", out) + "\r\n";
    work.write("requests.jsonl", lines);
    const auto before = work.listing();
    const Outcome refused = serve(lines);
    CHECK(refused.exit_code == 0);
    const std::vector<Json> answers = answers_of(refused.output);
    REQUIRE(answers.size() == wrong.size() + 2);
    for (std::size_t i = 0; i < wrong.size(); ++i) {
        CAPTURE(wrong[i].line);
        CHECK(answers[i]["line"] == i + 1);
        CHECK_MESSAGE(answers[i]["error"].get<std::string>().find(wrong[i].error) != std::string::npos,
                      answers[i].dump());
    }
    CHECK(answers[wrong.size()]["error"].get<std::string>().starts_with("longer than"));
    CHECK(answers.back()["id"] == 9);
    CHECK(answers.back()["line"] == wrong.size() + 3);  // behind an empty one
    CHECK(answers.back().contains("error"));
    CHECK(work.listing() == before);

    // The last line needs no end, and an error before it changes nothing.
    const Outcome drawn = serve("rubbish\n" + fmt::format(R"({{"out": "{}", "count": 3}})", out));
    REQUIRE(answers_of(drawn.output).size() == 2);
    CHECK(read_file(out) == draw({"--count", "3"}));
}

TEST_CASE_FIXTURE(Served, "end to end: requests come from standard input; flags are their defaults") {
    const std::string line = fmt::format(
        "echo '{{\"count\": 2}}' | {} fractal --checkpoint {} --requests - --out {} --count 5 --seed 4",
        work.program("sample").string(), work.path("run/last.safetensors"), work.path("a.png"));
    const Outcome outcome = Command("/bin/sh", {"-c", line}).finish();
    CHECK(outcome.exit_code == 0);
    const std::vector<Json> answers = answers_of(outcome.output);
    REQUIRE(answers.size() == 1);
    CHECK(answers[0]["images"] == 2);
    CHECK(answers[0]["seed"] == 4);
    CHECK(read_file(work.at("a.png")) == draw({"--count", "2", "--seed", "4"}));
}

TEST_CASE_FIXTURE(Served, "end to end: requests are answered as they come, until a signal ends the job") {
    RequestPipe pipe(work.path("pipe"));
    const auto start = [&] { return work.start("sample", job({"--requests", work.path("pipe")})); };
    for (const int signal : {SIGTERM, SIGINT}) {
        CAPTURE(signal);
        Command command = start();
        pipe.write(fmt::format("{{\"out\": \"{}\", \"count\": 2}}\n", work.path("a.png")));
        REQUIRE(command.wait_for_output("\"line\":1"));
        pipe.write("rubbish\n");
        REQUIRE(command.wait_for_output("\"line\":2"));
        command.send(signal);
        const Outcome waiting = command.finish();
        CHECK(waiting.exit_code == 0);
        CHECK(answers_of(waiting.output).size() == 2);
    }

    // While it draws: the pictures that are there are whole, and the request is answered.
    Command command = start();
    pipe.write(fmt::format("{{\"each\": \"{}\", \"count\": 1000000, \"batch\": 2}}\n", work.path("each")));
    const auto first = work.at("each") / "000000-class-0.png";
    for (int i = 0; i < 10'000 && !std::filesystem::exists(first); ++i)
        std::this_thread::sleep_for(std::chrono::milliseconds(2));
    command.send(SIGINT);
    const Outcome drawing = command.finish();
    CHECK(drawing.exit_code == 0);
    const std::vector<Json> answers = answers_of(drawing.output);
    REQUIRE(answers.size() == 1);
    CHECK(answers[0]["error"].get<std::string>().starts_with("interrupted after"));
    for (const auto& entry : std::filesystem::directory_iterator(work.at("each")))
        CHECK(entry.path().extension() == ".png");
}

TEST_CASE_FIXTURE(Served, "end to end: what keeps requests from being served ends the job at once") {
    const auto refused = [&](const Words& words, int exit_code, const std::string& named) {
        const Outcome outcome = work.run("sample", job(words));
        CHECK(outcome.exit_code == exit_code);
        CHECK(outcome.output == "");
        CHECK(is_one_line(outcome.errors));
        CHECK(outcome.errors.find(named) != std::string::npos);
    };
    refused({"--requests", work.path("missing")}, 1, "missing: No such file");
    refused({"--requests", work.path("run")}, 1, "Is a directory");
    refused({"--requests", work.path("data.bin"), "--temperature", "0"}, 2, "--temperature 0");
}

DEVICE_TEST("end to end: requests of a masked-token transformer") {
    const RandomNat models;
    const TestDirectory& work = models.work;
    const Words job = Words{"nat", "--checkpoint", work.path("nat.safetensors"), "--tokenizer",
                            work.path("tokenizer.safetensors")} +
                      on(device);
    const std::vector<std::pair<std::string, Words>> requests{
        {R"("classes": "dog", "count": 3, "steps": 3, "seed": 3)",
         {"--classes", "dog", "--count", "3", "--steps", "3", "--seed", "3"}},
        {R"("count": 5, "steps": 2, "strategy": "halton", "cfg-max": 0)",
         {"--count", "5", "--steps", "2", "--strategy", "halton", "--cfg-max", "0"}},
        {R"("classes": [0, "fox"], "count": 4, "steps": 3, "cfg-max": 4, "batch": 3)",
         {"--classes", "0,fox", "--count", "4", "--steps", "3", "--cfg-max", "4", "--batch", "3"}}};
    std::string lines;
    for (std::size_t i = 0; i < requests.size(); ++i)
        lines +=
            fmt::format("{{\"out\": \"{}\", {}}}\n", work.path(fmt::format("{}.png", i)), requests[i].first);
    lines += R"({"prompt": "a dog", "out": "x.png"})";
    work.write("requests.jsonl", lines);
    const Outcome outcome = work.run("sample", job + Words{"--requests", work.path("requests.jsonl")});
    REQUIRE_MESSAGE(outcome.exit_code == 0, outcome.errors);
    const std::vector<Json> answers = answers_of(outcome.output);
    REQUIRE(answers.size() == requests.size() + 1);
    CHECK(answers.back()["error"].get<std::string>().find("draws from classes") != std::string::npos);
    for (std::size_t i = 0; i < requests.size(); ++i) {
        CAPTURE(requests[i].first);
        const Outcome line =
            work.run("sample", job + Words{"--out", work.path("line.png")} + requests[i].second);
        REQUIRE_MESSAGE(line.exit_code == 0, line.errors);
        CHECK(read_file(work.at(fmt::format("{}.png", i))) == read_file(work.at("line.png")));
    }
}
