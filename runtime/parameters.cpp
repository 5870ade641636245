#include "runtime/parameters.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <numeric>
#include <stdexcept>
#include <utility>

#include "runtime/error.h"
#include "runtime/random.h"

Parameter& Parameters::add(std::string name, std::vector<std::int64_t> shape, Init init, bool adjacent) {
    for (const Parameter& other : parameters_)
        if (other.name == name) throw std::logic_error("parameter registered twice: " + name);
    constexpr std::size_t alignment = 16;
    if (!adjacent) slab_floats_ = (slab_floats_ + alignment - 1) / alignment * alignment;
    Parameter parameter;
    parameter.name = std::move(name);
    parameter.shape = std::move(shape);
    parameter.init = init;
    parameter.count =
        std::accumulate(parameter.shape.begin(), parameter.shape.end(), std::int64_t{1}, std::multiplies<>());
    parameter.offset = slab_floats_;
    slab_floats_ += static_cast<std::size_t>(parameter.count);
    return parameters_.emplace_back(std::move(parameter));
}

void Parameters::allocate(Device device, bool with_gradients) {
    values_ = Memory(device, slab_floats_ * sizeof(float));
    if (with_gradients) gradients_ = Memory(device, slab_floats_ * sizeof(float));
    for (Parameter& parameter : parameters_) {
        parameter.value = values() + parameter.offset;
        parameter.gradient = with_gradients ? gradients() + parameter.offset : nullptr;
    }
}

void Parameters::initialize(std::uint64_t seed) {
    for (Parameter& parameter : parameters_) {
        const PhiloxKey key = random_key(seed, "init/" + parameter.name);
        switch (parameter.init) {
            case Init::zeros:
                std::fill_n(parameter.value, parameter.count, 0.0f);
                break;
            case Init::ones:
                std::fill_n(parameter.value, parameter.count, 1.0f);
                break;
            case Init::normal:
                random_normal(parameter.value, parameter.count, key, 0.02f);
                break;
            case Init::xavier: {
                const auto fans = static_cast<float>(parameter.shape[0] + parameter.shape[1]);
                random_symmetric(parameter.value, parameter.count, key, std::sqrt(6.0f / fans));
                break;
            }
        }
    }
}

void Parameters::zero_gradients() {
    const auto count = static_cast<std::int64_t>(slab_floats_);
#pragma omp parallel for schedule(static)
    for (std::int64_t i = 0; i < count; ++i) gradients()[i] = 0.0f;
}

void Parameters::use_values(float* slab) {
    for (Parameter& parameter : parameters_) parameter.value = slab + parameter.offset;
}

Parameter& Parameters::find(std::string_view name) {
    for (Parameter& parameter : parameters_)
        if (parameter.name == name) return parameter;
    fail("the model has no tensor {}", name);
}

std::int64_t Parameters::count() const {
    return std::accumulate(
        parameters_.begin(), parameters_.end(), std::int64_t{0},
        [](std::int64_t sum, const Parameter& parameter) { return sum + parameter.count; });
}
