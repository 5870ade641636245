#include "models/nat/strategy.h"

#include <doctest/doctest.h>

#include <cmath>
#include <random>

#include "models/nat/number_lists.h"
#include "runtime/base/error.h"
#include "tests/unit/temporary_folder.h"

namespace {

const Strategy two_steps{{0.5}, {1.25}, {1, 0.7}, {0, 1.5}};
constexpr std::string_view two_steps_json =
    R"({"ratios": [0.5], "remask_temperatures": [1.25], "sampling_temperatures": [1, 0.7],
        "guidance_scales": [0, 1.5]})";
constexpr std::string_view two_steps_yaml = R"(---
# as it is published
manual_ratios: [0.5]
manual_temp: [ 1.25 ]  # of re-masking
manual_samp_temp:
  - 1
  - 0.7
manual_cfg: [0.0,
             1.5]
)";

std::string refusal(std::string_view text) {
    try {
        parse_strategy(text, "s.yaml");
    } catch (const UsageError& error) {
        return error.what();
    }
    return "accepted";
}

// The JSON with one part replaced.
std::string with(std::string_view part, std::string_view other) {
    std::string text(two_steps_json);
    return text.replace(text.find(part), part.size(), other);
}

}  // namespace

TEST_CASE("strategy: both forms of file are read") {
    CHECK(parse_strategy(two_steps_json, "s.json") == two_steps);
    CHECK(parse_strategy(two_steps_yaml, "s.yaml") == two_steps);
    std::string crlf(two_steps_yaml);
    for (std::size_t at = 0; (at = crlf.find('\n', at)) != std::string::npos; at += 2) crlf.insert(at, "\r");
    CHECK(parse_strategy(crlf, "s.yaml") == two_steps);
    CHECK(parse_strategy(to_json(two_steps), "s.json") == two_steps);
    const Strategy one = parse_strategy(
        "manual_ratios: []\nmanual_temp:\nmanual_samp_temp: [1]\nmanual_cfg:\n- 2e0\n", "s.yaml");
    CHECK(one == Strategy{{}, {}, {1}, {2}});
}

TEST_CASE("strategy: order, confidence and counts are read and written where they are not the usual ones") {
    CHECK(to_json(two_steps).find("order") == std::string::npos);
    CHECK(parse_strategy(
              with("{", R"({"order": "confidence", "confidence": "log-probability", "counts": "floor",)"),
              "s.json") == two_steps);
    Strategy other = two_steps;
    other.order = TokenOrder::halton;
    CHECK(parse_strategy(with("{", R"({"order": "halton", )"), "s.json") == other);
    other.counts = CountRule::ceiling;
    CHECK(parse_strategy(to_json(other), "s.json") == other);
    other.counts = CountRule::exact;
    other.confidence = Confidence::logit;
    CHECK(parse_strategy(with("{", R"({"order": "halton", "confidence": "logit", "counts": "exact",)"),
                         "s.json") == other);
    CHECK(parse_strategy(to_json(other), "s.json") == other);
    CHECK(refusal(with("{", R"({"order": "haltn", )")) ==
          "s.yaml: order is \"haltn\", expected \"confidence\" or \"halton\"");
    CHECK(refusal(with("{", R"({"counts": [1], )")).find("expected \"floor\" or \"ceiling\" or \"exact\"") !=
          std::string::npos);
    CHECK(refusal(with("{", R"({"confidence": null, )")).find("confidence is null, expected") !=
          std::string::npos);
    CHECK(refusal("order: halton\n").find("line 1: order is \"halton\"") != std::string::npos);
}

TEST_CASE("strategy: the released one for eight steps") {
    const Strategy strategy = read_strategy("models/nat/autonat_l_8.json");
    CHECK(strategy.steps() == 8);
    CHECK(strategy.ratios.front() == 0.9532);
    CHECK(strategy.remask_temperatures.back() == 0.7844);
    CHECK(strategy.sampling_temperatures.front() == 2.8999);
    CHECK(strategy.guidance_scales.back() == 1.2268);
}

TEST_CASE("strategy: what does not fit is refused in one line that says what and where") {
    CHECK(refusal(with("[0.5]", "[0.5, 0.4]")) == "s.yaml: ratios has 2 values, expected 1 for 2 steps");
    CHECK(refusal(with("[0, 1.5]", "[0]")) == "s.yaml: guidance_scales has 1 values, expected 2 for 2 steps");
    CHECK(refusal(with("[0.5]", "[1]")) == "s.yaml: ratios[0] is 1, expected 0 to below 1");
    CHECK(refusal(with("[0.5]", "[-0.1]")) == "s.yaml: ratios[0] is -0.1, expected 0 to below 1");
    CHECK(refusal(with("1.25", "-1")) == "s.yaml: remask_temperatures[0] is -1, expected at least 0");
    CHECK(refusal(with("0.7", "-2")) == "s.yaml: sampling_temperatures[1] is -2, expected at least 0");
    CHECK(refusal(with("1.5", "1e39")) == "s.yaml: guidance_scales[1] is 1e+39, expected a finite number");
    CHECK(refusal(with("1.5", "\"1\"")) == "s.yaml: guidance_scales is not a list of numbers");
    CHECK(refusal(with("ratios", "ratio")) == "s.yaml: the key ratios is missing");
    CHECK(refusal(with("{", "{\"steps\": [2], ")) == "s.yaml: the key steps is not known");
    CHECK(refusal("{\"ratios\": [1,") == "s.yaml: not JSON at line 1, column 15");
    CHECK(refusal("") == "s.yaml: the key manual_ratios is missing");
    CHECK(refusal(
              R"({"ratios":[],"remask_temperatures":[],"sampling_temperatures":[],"guidance_scales":[]})") ==
          "s.yaml: 0 steps, expected 1 to 4096");
}

TEST_CASE("strategy: YAML beyond lists of numbers is refused") {
    const auto yaml = [](std::string_view line) { return refusal("manual_cfg: [1]\n" + std::string(line)); };
    CHECK(yaml("manual_temp: [.nan]") ==
          "s.yaml: line 2: \".nan\" in the list of manual_temp, expected a number");
    CHECK(yaml("manual_temp: [nan]\nmanual_ratios: [0]\nmanual_samp_temp: [1, 1]").find("remask_temper") !=
          std::string::npos);
    CHECK(yaml("manual_temp: [1 2]") == "s.yaml: line 2: \"2]\", expected a comma or a bracket");
    CHECK(yaml("manual_temp: [1,, 2]").find("\"\" in the list") != std::string::npos);
    CHECK(yaml("manual_temp: [1,\n 2") == "s.yaml: line 3: the list of manual_temp has no closing bracket");
    CHECK(yaml("manual_temp: [1] 2") == "s.yaml: line 2: \"2\" behind the list of manual_temp");
    CHECK(yaml("manual_temp: 1") == "s.yaml: line 2: manual_temp is \"1\", expected a list of numbers");
    CHECK(yaml("manual_cfg: [1]") == "s.yaml: line 2: manual_cfg is given twice");
    CHECK(yaml("- 1") == "s.yaml: line 2: a list item outside of a list");
    CHECK(yaml("  a: [1]").find("is indented") != std::string::npos);
    CHECK(yaml("\"a\": [1]").find("is no name") != std::string::npos);
    CHECK(yaml("words") == "s.yaml: line 2: \"words\", expected \"name: [numbers]\"");
    CHECK(yaml("a: &x [1]").find("expected a list of numbers") != std::string::npos);
    CHECK(yaml("a: [[1]]").find("expected a number") != std::string::npos);
    CHECK(yaml("a: [1]") == "s.yaml: the key manual_ratios is missing");
}

TEST_CASE("strategy: cut off and damaged files are read or refused, nothing else") {
    std::mt19937 engine(1);
    for (const std::string_view text : {two_steps_json, two_steps_yaml}) {
        for (std::size_t length = 0; length < text.size(); ++length) {
            const std::string said = refusal(text.substr(0, length));
            CHECK(said.find('\n') == std::string::npos);
        }
        for (int time = 0; time < 2000; ++time) {
            std::string damaged(text);
            for (int flips = 0; flips < 3; ++flips)
                damaged[engine() % damaged.size()] ^= static_cast<char>(1 << engine() % 8);
            const std::string said = refusal(damaged);
            CHECK(said.find('\n') == std::string::npos);
        }
    }
    std::string absurd = "manual_cfg: [";
    for (int i = 0; i < 100000; ++i) absurd += "1,";
    CHECK(refusal(absurd + "]").find("missing") != std::string::npos);
    CHECK(refusal(std::string(1 << 20, '[')).size() < 200);
    CHECK(refusal(std::string(1 << 20, '{')) == "s.yaml: not JSON at line 1, column 2");
    CHECK_THROWS_WITH_AS(read_strategy("no/such/file"),
                         "no/such/file: cannot be opened: No such file or directory", UsageError);
}
