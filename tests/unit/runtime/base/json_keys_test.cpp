#include "runtime/base/json_keys.h"

#include <doctest/doctest.h>

#include <string>

#include "models/fractal/config.h"
#include "models/nat/config.h"
#include "models/nat/strategy_heuristics.h"
#include "models/nat/tokenizer_config.h"

namespace {

template <class Action>
std::string message_of(Action action) {
    try {
        action();
    } catch (const Error& error) {
        return error.what();
    }
    return "";
}

}  // namespace

TEST_CASE("json: a key twice in one object is refused by name, at any depth") {
    struct Text {
        std::string json, key;
    };
    for (const Text& text :
         {Text{R"({"a": 1, "a": 2})", "a"}, Text{R"({"a": 1, "b": 2, "a": 1})", "a"},
          Text{R"({"x": {"b": [1], "b": [1]}})", "b"}, Text{R"([{"c": 1}, {"c": 1, "c": null}])", "c"},
          Text{R"({"a": {"d": {}}, "e": {"d": {}, "d": {}}})", "d"},
          Text{"{\"\\u0061\": 1, \"a\": 2}", "a"}}) {
        const std::string expected = "f.json: the key " + text.key + " is given twice";
        CHECK(message_of([&] { parse_json(text.json, "f.json"); }) == expected);
        CHECK_THROWS_AS(parse_json(text.json, "f.json"), UsageError);
        CHECK(message_of([&] { parse_json_or_discard(text.json, "f.json"); }) == expected);
        CHECK_FALSE(parse_data_or_discard(text.json).is_discarded());
        nlohmann::json value;
        CHECK(message_of([&] { parse_value(text.json, value, "f.json"); }) == expected);
    }
    // The same key in objects of their own.
    const std::string distinct = R"({"a": {"a": 1, "b": {"a": 2}}, "b": [{"a": 1}, {"a": 2}], "A": 0})";
    CHECK(parse_json(distinct, "f.json") == nlohmann::json::parse(distinct));
    CHECK(parse_json_or_discard(distinct, "f.json") == nlohmann::json::parse(distinct));
    CHECK(parse_json_or_discard("{\"a\": 1", "f.json").is_discarded());
    CHECK(parse_json_or_discard(std::string(100'000, '['), "f.json").is_discarded());
}

TEST_CASE("json: configurations and strategies with a key twice are refused") {
    const std::string twice = " is given twice";
    const auto doubled = [](std::string json, const std::string& key) {
        return json.insert(1, "\"" + key + "\": 3, ");
    };
    CHECK(message_of([&] {
              parse_fractal_config(doubled(to_json(fractal_preset("fractalar_16").config), "class_num"), "c");
          }) == "c: the key class_num" + twice);
    CHECK(message_of([&] {
              parse_nat_config(doubled(to_json(nat_presets().front().config), "depth"), "c");
          }) == "c: the key depth" + twice);
    CHECK(message_of([&] {
              parse_tokenizer_config(doubled(to_json(tokenizer_presets().front().config), "n_embed"), "c");
          }) == "c: the key n_embed" + twice);
    CHECK(message_of([&] {
              parse_strategy(doubled(to_json(named_strategy("cosine", 4, 1)), "ratios"), "s");
          }) == "s: the key ratios" + twice);
    CHECK(message_of([&] { parse_strategy("manual_ratios: [0.5]\nmanual_ratios: [0.5]\n", "s"); }) ==
          "s: line 2: manual_ratios" + twice);
}
