#include "runtime/tensor/parameters.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <stdexcept>

#include "runtime/base/error.h"
#include "tests/unit/kernels/check_values.h"

using namespace kernel_check;

namespace {

std::vector<float> values_of(const Parameter& parameter) {
    return {parameter.value, parameter.value + parameter.count};
}

}  // namespace

TEST_CASE("parameters: layout of the slabs") {
    Parameters parameters;
    const Parameter& first = parameters.add("first", {5, 3}, Init::zeros);
    const Parameter& behind = parameters.add("behind", {5, 3}, Init::zeros, true);
    const Parameter& apart = parameters.add("apart", {2, 2, 2}, Init::zeros);
    CHECK(first.count == 15);
    CHECK(apart.count == 8);
    CHECK(first.offset == 0);
    CHECK(behind.offset == 15);
    CHECK(apart.offset == 32);
    CHECK(parameters.slab_floats() == 40);
    CHECK(parameters.count() == 38);
    CHECK(first.value == nullptr);
    CHECK(&parameters.find("behind") == &behind);
    for (int i = 0; i < 100; ++i) parameters.add("more" + std::to_string(i), {1}, Init::ones);
    CHECK(&parameters.find("first") == &first);
}

TEST_CASE("parameters: names are unique, and unknown ones are refused by name") {
    Parameters parameters;
    parameters.add("a.weight", {2}, Init::zeros);
    CHECK_THROWS_AS(parameters.add("a.weight", {3}, Init::zeros), std::logic_error);
    CHECK(parameters.count() == 2);
    CHECK_THROWS_WITH_AS(parameters.find("b.weight"), doctest::Contains("b.weight"), Error);
}

TEST_CASE("parameters: allocation reserves zeros, gradients only on demand") {
    Parameters parameters;
    const Parameter& a = parameters.add("a", {3, 5}, Init::ones);
    const Parameter& b = parameters.add("b", {7}, Init::ones);
    parameters.allocate(Device::cpu, false);
    CHECK(a.gradient == nullptr);
    CHECK(parameters.gradients() == nullptr);
    parameters.allocate(Device::cpu, true);
    CHECK(b.value == parameters.values() + b.offset);
    CHECK(b.gradient == parameters.gradients() + b.offset);
    CHECK(reinterpret_cast<std::uintptr_t>(b.value) % 64 == 0);
    CHECK(std::all_of(parameters.values(), parameters.values() + parameters.slab_floats(),
                      [](float value) { return value == 0.0f; }));
    std::fill_n(parameters.gradients(), parameters.slab_floats(), 3.0f);
    parameters.zero_gradients();
    CHECK(std::all_of(parameters.gradients(), parameters.gradients() + parameters.slab_floats(),
                      [](float value) { return value == 0.0f; }));
}

TEST_CASE("parameters: initial values by rule") {
    Parameters parameters;
    const Parameter& zeros = parameters.add("zeros", {100}, Init::zeros);
    const Parameter& ones = parameters.add("ones", {100}, Init::ones);
    const Parameter& normal = parameters.add("normal", {1, 300, 100}, Init::normal);
    const Parameter& unit_normal = parameters.add("unit_normal", {300, 100}, Init::unit_normal);
    const Parameter& xavier = parameters.add("xavier", {300, 100}, Init::xavier);
    parameters.allocate(Device::cpu, false);
    std::fill_n(parameters.values(), parameters.slab_floats(), 9.0f);
    parameters.initialize(1);
    CHECK(values_of(zeros) == std::vector<float>(100, 0.0f));
    CHECK(values_of(ones) == std::vector<float>(100, 1.0f));
    const auto deviation = [](const Parameter& parameter) {
        double squares = 0;
        for (const float value : values_of(parameter))
            squares += static_cast<double>(value) * static_cast<double>(value);
        return std::sqrt(squares / static_cast<double>(parameter.count));
    };
    const auto largest = [](const Parameter& parameter) {
        float magnitude = 0;
        for (const float value : values_of(parameter)) magnitude = std::max(magnitude, std::abs(value));
        return magnitude;
    };
    // Within four deviations of the estimate over 30,000 draws.
    CHECK(std::abs(deviation(normal) / 0.02 - 1) < 0.017);
    CHECK(std::abs(deviation(unit_normal) - 1) < 0.017);
    CHECK(largest(normal) > 0.06f);
    const float limit = std::sqrt(6.0f / 400);
    CHECK(std::abs(deviation(xavier) * std::sqrt(3.0) / static_cast<double>(limit) - 1) < 0.011);
    CHECK(largest(xavier) <= limit);
    CHECK(largest(xavier) > 0.999f * limit);
}

TEST_CASE("parameters: initial values depend on seed and name, not on the order of registration") {
    const auto draw = [](std::uint64_t seed, const std::vector<std::string>& names,
                         const std::string& wanted) {
        Parameters parameters;
        for (const std::string& name : names) parameters.add(name, {9, 7}, Init::xavier);
        parameters.allocate(Device::cpu, false);
        parameters.initialize(seed);
        return values_of(parameters.find(wanted));
    };
    const std::vector<float> reference = draw(1, {"a", "b", "c"}, "b");
    CHECK(same_bits(draw(1, {"b"}, "b"), reference));
    CHECK(same_bits(draw(1, {"c", "x", "b", "a"}, "b"), reference));
    CHECK_FALSE(same_bits(draw(2, {"a", "b", "c"}, "b"), reference));
    CHECK_FALSE(same_bits(draw(1, {"a", "b", "c"}, "a"), reference));
}

TEST_CASE("parameters: use_values reads another slab and returns") {
    Parameters parameters;
    const Parameter& a = parameters.add("a", {3}, Init::ones);
    const Parameter& b = parameters.add("b", {5}, Init::ones);
    parameters.allocate(Device::cpu, true);
    parameters.initialize(1);
    float* const gradient = b.gradient;
    std::vector<float> average(parameters.slab_floats(), 0.5f);
    parameters.use_values(average.data());
    CHECK(a.value == average.data() + a.offset);
    CHECK(values_of(b) == std::vector<float>(5, 0.5f));
    CHECK(b.gradient == gradient);
    parameters.use_values(parameters.values());
    CHECK(values_of(b) == std::vector<float>(5, 1.0f));
}

TEST_CASE("parameters: decay applies to matrices that are no bias") {
    const auto decays = [](const char* name, std::vector<std::int64_t> shape) {
        Parameters parameters;
        return parameters.add(name, std::move(shape), Init::zeros).decays();
    };
    CHECK(decays("layer.weight", {4, 3}));
    CHECK(decays("fake_latent", {1, 3}));
    CHECK_FALSE(decays("norm.weight", {3}));
    CHECK_FALSE(decays("layer.bias", {3}));
    CHECK_FALSE(decays("r_mlm.bias", {1, 256}));
    CHECK(decays("bias_table", {2, 3}));
}
