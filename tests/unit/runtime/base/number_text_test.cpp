#include "runtime/base/number_text.h"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "runtime/base/json_numbers.h"

TEST_CASE("number text: fp32 numbers have the digits they were given with") {
    CHECK(number_text(static_cast<double>(0.001f)) == "0.001");
    CHECK(number_text(static_cast<double>(1e-5f)) == "1e-05");
    CHECK(number_text(static_cast<double>(0.9999f)) == "0.9999");
    CHECK(number_text(static_cast<double>(-0.1f)) == "-0.1");
    CHECK(number_text(static_cast<double>(std::numeric_limits<float>::max())) == "3.4028235e+38");
    for (const float value : {0.001f, 1.0f / 3, 16777217.0f, 1e-45f})  // and come back as the same number
        CHECK(static_cast<float>(as_given(static_cast<double>(value))) == value);
}

TEST_CASE("number text: doubles keep all their digits") {
    CHECK(number_text(0.1) == "0.1");
    CHECK(number_text(1.0 / 3) == "0.3333333333333333");
    CHECK(number_text(0.5) == "0.5");
    CHECK(number_text(3) == "3");
    CHECK(number_text(1e39) == "1e+39");
    CHECK(number_text(INFINITY) == "inf");
    CHECK(std::isnan(as_given(std::nan(""))));
}

TEST_CASE("number text: all numbers of a JSON value, of lists and objects in it as well") {
    nlohmann::ordered_json json{
        {"lr", 0.01f}, {"steps", 5}, {"list", {0.1f, 0.1}}, {"in", {{"beta2", 0.95f}}}};
    CHECK(json.dump() != R"({"lr":0.01,"steps":5,"list":[0.1,0.1],"in":{"beta2":0.95}})");
    set_numbers_as_given(json);
    CHECK(json.dump() == R"({"lr":0.01,"steps":5,"list":[0.1,0.1],"in":{"beta2":0.95}})");
}
