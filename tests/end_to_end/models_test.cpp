// The models to start from (data/models): they are what their configurations say, and draw.
#include <doctest/doctest.h>

#include <cstdint>
#include <filesystem>
#include <string>

#include <nlohmann/json.hpp>

#include "tests/end_to_end/test_directory.h"

namespace {

const std::string models = "data/models/";

std::string weights(const std::string& name) {
    return models + name + ".safetensors";
}

// `arguments` and an --out; what it draws is there.
void draws(const TestDirectory& work, Words arguments, const std::string& out) {
    const Outcome drawn = work.run("sample", arguments + Words{"--out", work.path(out)});
    CAPTURE(drawn.errors);
    REQUIRE(drawn.exit_code == 0);
    CHECK(std::filesystem::file_size(work.at(out)) > 100);
}

}  // namespace

TEST_CASE_FIXTURE(TestDirectory,
                  "data/models: every model has its configuration and its page, 12 MB in all") {
    std::uintmax_t bytes = 0;
    for (const std::string name : {"pixels", "edits", "tokenizer", "classes", "words", "codes"}) {
        CAPTURE(name);
        const Outcome info = run("sample", {"info", weights(name)});
        REQUIRE(info.exit_code == 0);
        const std::string line = "  config: ";
        const auto given = nlohmann::json::parse(read_file(models + name + ".json")),
                   stored = nlohmann::json::parse(info.output.substr(info.output.find(line) + line.size()));
        for (const auto& [key, value] : given.items()) CHECK(stored.at(key) == value);
        CHECK(std::filesystem::exists(models + name + ".md"));
        bytes += std::filesystem::file_size(weights(name));
    }
    CHECK(bytes < 12'000'000);
}

TEST_CASE_FIXTURE(TestDirectory,
                  "data/models: pixels are drawn and edited, pictures of classes and of words") {
    draws(*this, {"fractal", "--checkpoint", weights("pixels"), "--count", "1", "--each", path("pictures")},
          "pixels.png");
    draws(*this,
          {"edit", "--checkpoint", weights("edits"), "--image", path("pictures/000000-class-0.png"), "--box",
           "12", "12", "8", "8", "--count", "1"},
          "edits.png");
    const Words tokens{"nat", "--tokenizer", weights("tokenizer"), "--steps", "2", "--checkpoint"};
    draws(*this, tokens + Words{weights("classes"), "--count", "1"}, "classes.png");
    draws(*this,
          {"fractal", "--checkpoint", weights("codes"), "--tokenizer", weights("tokenizer"), "--count", "1"},
          "codes.png");
    draws(*this, tokens + Words{weights("words"), "--prompt", "a blue fern", "--count", "1"}, "words.png");
}
