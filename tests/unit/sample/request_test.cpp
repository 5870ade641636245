#include "sample/request.h"

#include <doctest/doctest.h>

#include <fstream>

#include "runtime/base/error.h"
#include "sample/request_lines.h"
#include "tests/unit/temporary_folder.h"

namespace {

std::vector<std::string> lines_of(const std::string& text) {
    const TemporaryFolder work;
    std::ofstream(work / "requests") << text;
    RequestLines lines(work / "requests");
    std::vector<std::string> all;
    while (const auto line = lines.next()) all.push_back(std::to_string(lines.number()) + ":" + *line);
    return all;
}

}  // namespace

TEST_CASE("request: values as words of a command line") {
    const Request request = parse_request(
        R"({"id": "a", "classes": [1, "fox"], "seed": 18446744073709551615, "cfg": 2.5, "greedy": true})");
    CHECK(request.error == "");
    CHECK(request.id == "\"a\"");
    REQUIRE(request.flags.size() == 4);
    const auto check = [&](std::size_t i, const char* name, const std::vector<std::string>& words,
                           bool list) {
        CHECK(request.flags[i].name == name);
        CHECK(request.flags[i].words == words);
        CHECK(request.flags[i].list == list);
    };
    check(0, "cfg", {"2.5"}, false);
    check(1, "classes", {"1", "fox"}, true);
    check(2, "greedy", {"true"}, false);
    check(3, "seed", {"18446744073709551615"}, false);
    CHECK(parse_request("{}").error == "");
    CHECK(parse_request(R"({"id": -3})").id == "-3");
}

TEST_CASE("request: what is none says why, with its id if it has one") {
    const auto refused = [](const std::string& line, const std::string& error, const std::string& id = "") {
        CAPTURE(line);
        const Request request = parse_request(line);
        CHECK(request.error.find(error) != std::string::npos);
        CHECK(request.error != "");
        CHECK(request.id == id);
    };
    refused("", "not JSON");
    refused("{", "not JSON");
    refused("{} {}", "not JSON");
    refused("3", "not a JSON object");
    refused("{\"a\": 1e999}", "beyond the range");
    refused("{\"a\": \"\xff\"}", "not JSON");
    refused(R"({"id": 1, "out": null})", "out: null", "1");
    refused(R"({"id": 1, "out": {}})", "out: {}", "1");
    refused(R"({"id": 1, "out": [[1]]})", "out: [1]", "1");
    refused(R"({"id": 1, "out": []})", "out: an empty list", "1");
    refused(R"({"id": [1]})", "id: [1]");
    refused(R"({"id": null})", "id: null");
    refused(R"({"id": 1, "id": 2})", "given twice");
    refused(std::string(longest_request + 1, ' '), "longer than");
}

TEST_CASE("request: lines of a file") {
    using Lines = std::vector<std::string>;
    CHECK(lines_of("") == Lines{});
    CHECK(lines_of("\n \n") == Lines{});
    CHECK(lines_of("a\n\nb\r\nc") == Lines{"1:a", "3:b\r", "4:c"});
    const std::string most(longest_request, 'x');
    CHECK(lines_of(most + "\nb") == Lines{"1:" + most, "2:b"});
    CHECK(lines_of(most + "yz\nb") == Lines{"1:" + most + "y", "2:b"});
    CHECK_THROWS_AS(RequestLines("/no/such/file"), Error);
}
