#include "runtime/tensor/parameters.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>
#include <stdexcept>
#include <utility>

#include "kernels/common/partition.h"
#include "kernels/pointwise/convert.h"
#include "runtime/base/error.h"
#include "runtime/device/launch.h"
#include "runtime/tensor/random.h"

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

void Parameters::pad_slab(std::size_t multiple) {
    slab_floats_ = (slab_floats_ + multiple - 1) / multiple * multiple;
}

void Parameters::allocate(Backend backend, bool with_gradients) {
    device_ = backend.device;
    values_ = Memory(device_, slab_floats_ * sizeof(float));
    if (with_gradients) gradients_ = Memory(device_, slab_floats_ * sizeof(float));
    if (backend.precision == Precision::bf16) rounded_ = Memory(device_, slab_floats_ * sizeof(bf16));
    for (Parameter& parameter : parameters_) {
        parameter.value = values() + parameter.offset;
        parameter.gradient = with_gradients ? gradients() + parameter.offset : nullptr;
        if (rounded_.size() > 0)
            parameter.rounded = reinterpret_cast<bf16*>(rounded_.data()) + parameter.offset;
        if (!counting_work()) continue;
        const auto count = static_cast<std::size_t>(parameter.count);
        note_counted_memory(parameter.value, count * sizeof(float));
        if (parameter.rounded != nullptr) note_counted_memory(parameter.rounded, count * sizeof(bf16));
    }
    if (device_ == Device::cpu && rounded_.size() > 0) reserve_packed();
}

// Weights lie side by side in each order, as in the slab: two adjacent ones can be packed as one.
void Parameters::reserve_packed() {
    const auto elements = [](const Parameter& weight) {
        return weight.shape.size() > 1 ? PackedWeight::elements(weight.shape[0], weight.inner()) : 0;
    };
    std::int64_t total = 0;
    for (const Parameter& parameter : parameters_) total += elements(parameter);
    packed_ = Memory(device_, static_cast<std::size_t>(2 * total) * sizeof(bf16));
    auto* next = reinterpret_cast<bf16*>(packed_.data());
    packed_weights_.clear();
    for (Parameter& parameter : parameters_) {
        if (elements(parameter) == 0) continue;
        parameter.packed = &packed_weights_.emplace_back(next, next + total);
        next += elements(parameter);
    }
}

void Parameters::initialize(std::uint64_t seed) {
    std::vector<float> values;
    for (Parameter& parameter : parameters_) {
        const PhiloxKey key = random_key(seed, "init/" + parameter.name);
        values.assign(static_cast<std::size_t>(parameter.count), parameter.init == Init::ones ? 1.0f : 0.0f);
        if (parameter.init == Init::normal) random_normal(values.data(), parameter.count, key, 0.02f);
        if (parameter.init == Init::unit_normal) random_normal(values.data(), parameter.count, key, 1.0f);
        if (parameter.init == Init::xavier) {
            const auto fans = static_cast<float>(parameter.shape[0] + parameter.shape[1]);
            random_symmetric(values.data(), parameter.count, key, std::sqrt(6.0f / fans));
        }
        if (parameter.init == Init::fan_in) {
            const auto inputs = static_cast<float>(parameter.count / parameter.shape[0]);
            random_symmetric(values.data(), parameter.count, key, 1.0f / std::sqrt(inputs));
        }
        if (parameter.init == Init::codebook)
            random_symmetric(values.data(), parameter.count, key,
                             1.0f / static_cast<float>(parameter.shape[0]));
        copy_to_device(device_, parameter.value, values.data(), values.size() * sizeof(float));
    }
    round_values();
}

void Parameters::zero_gradients(Stream stream) {
    if (device_ == Device::cpu) {
        const auto count = static_cast<std::int64_t>(slab_floats_);
        cpu::for_each_block(count, [this](std::int64_t begin, std::int64_t end) {
            std::fill(gradients() + begin, gradients() + end, 0.0f);
        });
    } else {
        fill_on_device(device_, gradients(), 0, slab_floats_ * sizeof(float), stream);
    }
}

void Parameters::use_values(float* slab) {
    for (Parameter& parameter : parameters_) parameter.value = slab + parameter.offset;
    round_values();
}

void Parameters::expire_packed() {
    for (PackedWeight& weight : packed_weights_) weight.expire();
}

void Parameters::round_values() {
    expire_packed();
    if (rounded_.size() == 0) return;
    synchronize(device_);  // other streams may have written the values and will read the rounded ones
    for (const Parameter& parameter : parameters_)
        LAUNCH_ON(device_, Stream(), round_to_bf16, parameter.rounded, parameter.value, parameter.count);
    synchronize(device_);
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
