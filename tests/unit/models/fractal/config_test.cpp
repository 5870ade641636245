#include "models/fractal/config.h"

#include <doctest/doctest.h>

#include <functional>
#include <nlohmann/json.hpp>

#include "models/fractal/fractal.h"
#include "runtime/base/error.h"

namespace {

FractalConfig small() {
    return {{8, 4, 1}, {16, 12, 8}, {2, 1, 1}, {2, 3, 2}, {"ar", "ar", "ar"}, 1, false, 10, 3};
}

FractalConfig codes() {
    FractalConfig config = small();
    config.channels = 1;
    config.vocabulary = 300;
    return config;
}

// The message with which the configuration is refused after `change`.
std::string refusal(const std::function<void(FractalConfig&)>& change) {
    FractalConfig config = small();
    change(config);
    try {
        config.validate("here");
    } catch (const UsageError& error) {
        CHECK(std::string(error.what()).starts_with("here: "));
        return error.what();
    }
    return "accepted";
}

std::string parse_refusal(const std::string& text) {
    try {
        parse_fractal_config(text, "there");
    } catch (const UsageError& error) {
        CHECK(std::string(error.what()).starts_with("there: "));
        return error.what();
    }
    return "accepted";
}

void says(const std::string& message, const std::string& part) {
    CAPTURE(message);
    CAPTURE(part);
    const bool found = message.find(part) != std::string::npos;
    CHECK(found);
}

// The JSON of small() with one key changed.
std::string with_key(const char* key, const nlohmann::json& value) {
    nlohmann::json json = nlohmann::json::parse(to_json(small()));
    json[key] = value;
    return json.dump();
}

}  // namespace

TEST_CASE("fractal config: JSON and back") {
    FractalConfig grey = small();
    grey.channels = 1;
    grey.class_num = 0;
    for (const FractalConfig& config : {small(), grey, codes(), fractal_preset("fractalar_in64").config})
        CHECK(parse_fractal_config(to_json(config), "test") == config);
    CHECK_FALSE(grey == small());
}

TEST_CASE("fractal config: codes in place of channels") {
    CHECK(to_json(codes()).find("channels") == std::string::npos);
    CHECK(to_json(small()).find("vocabulary") == std::string::npos);
    CHECK(codes().values() == 300);
    CHECK(small().values() == 256);
    says(parse_refusal(with_key("vocabulary", 300)), "channels and vocabulary are given");
    nlohmann::json json = nlohmann::json::parse(to_json(codes()));
    for (const std::int64_t wrong : {-1, 0, 4097}) {
        json["vocabulary"] = wrong;
        says(parse_refusal(json.dump()), "vocabulary is " + std::to_string(wrong) + ", expected 1 to 4096");
    }
    json["vocabulary"] = 4096;
    CHECK(parse_refusal(json.dump()) == "accepted");
    json["guiding_pixel"] = true;
    json["generator_type_list"] = {"mar", "mar", "ar"};
    says(parse_refusal(json.dump()), "codes have no mean");
}

TEST_CASE("fractal config: what may be left out, and what may not") {
    const char* keys[] = {"img_size_list",  "embed_dim_list",      "num_blocks_list",
                          "num_heads_list", "generator_type_list", "num_conds",
                          "guiding_pixel",  "class_num",           "channels"};
    for (const std::string key : keys) {
        nlohmann::json json = nlohmann::json::parse(to_json(small()));
        json.erase(key);
        CAPTURE(key);
        if (key.ends_with("_list"))
            says(parse_refusal(json.dump()), "the key " + key + " is missing");
        else
            CHECK(parse_refusal(json.dump()) == "accepted");
    }
    nlohmann::json json = nlohmann::json::parse(to_json(small()));
    json.erase("channels");
    json.erase("class_num");
    const FractalConfig config = parse_fractal_config(json.dump(), "test");
    CHECK(config.channels == 3);
    CHECK(config.class_num == 1000);
}

TEST_CASE("fractal config: unknown and malformed keys are named") {
    says(parse_refusal(with_key("img_sizes", 3)), "the key img_sizes is not known");
    for (const char* text : {"[]", "7"}) says(parse_refusal(text), "not a JSON object");
    for (const char* text : {"", "{", "{\"a\":}", "nonsense", "{}{}"}) {
        CAPTURE(text);
        says(parse_refusal(text), "not JSON at line 1, column ");
    }
    says(parse_refusal(R"({"class_num": 1e400})"), "beyond the range of double");
    says(parse_refusal("{\"num_conds\": 1,\n \"channels\": 3,\n}"), "not JSON at line 3, column 1");
    says(parse_refusal(with_key("img_size_list", "8,4,1")), "img_size_list is \"8,4,1\"");
    says(parse_refusal(with_key("img_size_list", {8, "4", 1})), "img_size_list");
    says(parse_refusal(with_key("embed_dim_list", nullptr)), "embed_dim_list is null");
    says(parse_refusal(with_key("generator_type_list", {1, 2, 3})), "generator_type_list");
    says(parse_refusal(with_key("class_num", "many")), "class_num is \"many\"");
    says(parse_refusal(with_key("guiding_pixel", 0)), "guiding_pixel is 0");
    says(parse_refusal(with_key("channels", nlohmann::json::array({3}))), "channels is [3]");
    says(parse_refusal(with_key("channels", 2)), "channels is 2");
    // So deep that recursion over it overflows the stack.
    const std::string deep = std::string(1'000'000, '[') + std::string(1'000'000, ']');
    says(parse_refusal(R"({"img_size_list": )" + deep + "}"), "img_size_list is nested");
    says(parse_refusal(deep), "not a JSON object");
    says(parse_refusal(with_key("class_num", 18446744073709551615u)), "class_num");
}

TEST_CASE("fractal config: everything that is refused") {
    CHECK(refusal([](FractalConfig&) {}) == "accepted");
    says(refusal([](FractalConfig& c) { c.img_size_list = {1}; }), "img_size_list has 1 entries");
    says(refusal([](FractalConfig& c) { c = {}; }), "img_size_list has 0 entries");
    says(refusal([](FractalConfig& c) { c.embed_dim_list.pop_back(); }), "differ in length");
    says(refusal([](FractalConfig& c) { c.num_blocks_list.push_back(1); }), "differ in length");
    says(refusal([](FractalConfig& c) { c.num_heads_list.pop_back(); }), "differ in length");
    says(refusal([](FractalConfig& c) { c.generator_type_list.pop_back(); }), "3 heads, 2 types");
    says(refusal([](FractalConfig& c) { c.img_size_list = {8, 4, 2}; }), "ends in 2, expected 1");
    says(refusal([](FractalConfig& c) { c.img_size_list = {8192, 4, 1}; }), "img_size_list[0] is 8192");
    says(refusal([](FractalConfig& c) { c.img_size_list = {0, 4, 1}; }), "img_size_list[0] is 0");
    says(refusal([](FractalConfig& c) { c.img_size_list = {-8, 4, 1}; }), "img_size_list[0] is -8");
    says(refusal([](FractalConfig& c) {
             c.img_size_list = {8, 3, 1};
         }),
         "image size 8 is not a larger multiple");
    says(refusal([](FractalConfig& c) {
             c.img_size_list = {8, 8, 1};
         }),
         "image size 8 is not a larger multiple");
    says(refusal([](FractalConfig& c) {
             c.img_size_list = {8, 1, 1};
         }),
         "image size 1 is not a larger multiple");
    says(refusal([](FractalConfig& c) { c.img_size_list = {8, -4, 1}; }), "-4");
    says(refusal([](FractalConfig& c) { c.embed_dim_list[1] = 0; }), "embed_dim_list[1] is 0");
    says(refusal([](FractalConfig& c) { c.embed_dim_list[2] = 8200; }), "embed_dim_list[2] is 8200");
    says(refusal([](FractalConfig& c) { c.num_heads_list[0] = 3; }), "num_heads_list[0] is 3");
    says(refusal([](FractalConfig& c) { c.num_heads_list[2] = 0; }), "num_heads_list[2] is 0");
    says(refusal([](FractalConfig& c) { c.num_heads_list[2] = -8; }), "num_heads_list[2] is -8");
    says(refusal([](FractalConfig& c) {
             c.embed_dim_list[0] = 520;
             c.num_heads_list[0] = 2;
         }),
         "heads of size 260");
    says(refusal([](FractalConfig& c) { c.num_blocks_list[1] = -1; }), "num_blocks_list[1] is -1");
    says(refusal([](FractalConfig& c) { c.num_blocks_list[1] = 1025; }), "num_blocks_list[1] is 1025");
    says(refusal([](FractalConfig& c) { c.generator_type_list[1] = "diffusion"; }),
         "generator_type_list[1] is \"diffusion\"");
    says(refusal([](FractalConfig& c) { c.generator_type_list[2] = "mar"; }), "for the pixel level");
    says(refusal([](FractalConfig& c) { c.num_heads_list[1] = 2; }), "level 1 has heads of size 6");
    says(refusal([](FractalConfig& c) { c.num_conds = 6; }), "num_conds is 6");
    says(refusal([](FractalConfig& c) { c.num_conds = 0; }), "num_conds is 0");
    says(refusal([](FractalConfig& c) { c.guiding_pixel = true; }),
         "guiding_pixel is true, which level 1 of type \"ar\" cannot use");
    says(refusal([](FractalConfig& c) { c.class_num = -1; }), "class_num is -1");
    says(refusal([](FractalConfig& c) { c.class_num = 1'000'001; }), "class_num is 1000001");
    says(refusal([](FractalConfig& c) { c.channels = 4; }), "channels is 4");
    CHECK(refusal([](FractalConfig& c) { c.num_heads_list[2] = 4; }) ==
          "accepted");  // no rotation at the pixel level
}

TEST_CASE("fractal config: a size of zero inside the list is refused") {
    CHECK(refusal([](FractalConfig& c) { c.img_size_list = {8, 0, 1}; }) != "accepted");
}

TEST_CASE("fractal config: numbers that are not whole are refused") {
    says(parse_refusal(with_key("class_num", 2.5)), "class_num");
    says(parse_refusal(with_key("img_size_list", {8, 4.5, 1})), "img_size_list");
}

TEST_CASE("fractal config: tokens, patches and conditions of the levels") {
    const FractalConfig config = small();
    CHECK(config.generators() == 2);
    CHECK(config.image_size() == 8);
    CHECK(config.tokens(0) == 4);
    CHECK(config.tokens(1) == 16);
    CHECK(config.patch_size(0) == 4);
    CHECK(config.patch_size(1) == 1);
    CHECK(config.condition_width(0) == 16);
    CHECK(config.condition_width(1) == 16);
    CHECK(config.condition_width(2) == 12);
    CHECK(config.pixel_mean().size() == 3);
    FractalConfig grey = small();
    grey.channels = 1;
    CHECK(grey.pixel_mean()[0] == 0.449f);
    CHECK(grey.pixel_deviation()[0] == 0.226f);
}

TEST_CASE("fractal config: conditions that each level receives") {
    FractalConfig config = small();
    config.num_conds = 5;
    CHECK(config.conditions(0) == 1);
    config.generator_type_list = {"ar", "mar", "ar"};
    CHECK(config.conditions(0) == 1);
    CHECK(config.conditions(1) == 1);
    config.generator_type_list = {"mar", "mar", "ar"};
    CHECK(config.conditions(0) == 5);
    CHECK(config.conditions(1) == 5);
    CHECK(config.conditions(2) == 1);
    config.guiding_pixel = true;
    CHECK_FALSE(config.guides(0));
    CHECK(config.guides(1));
    CHECK_FALSE(config.guides(2));
}

TEST_CASE("fractal presets are valid and have the published number of parameters") {
    for (const FractalPreset& preset : fractal_presets()) CHECK_NOTHROW(preset.config.validate(preset.name));
    const FractalModel paper(fractal_preset("fractalar_in64").config, Device::cpu);
    CHECK(paper.parameters().count() == 442'068'224);
    CHECK_THROWS_WITH_AS(fractal_preset("fractal"), doctest::Contains("fractalar_in64"), UsageError);
}
