#include <algorithm>
#include <numeric>
#include <random>

#include "kernels/common/bf16.h"
#include "kernels/common/philox.h"
#include "kernels/sampling/token_draw.h"
#include "tests/bench/kernels.h"

namespace {

constexpr std::int64_t pattern_size = 1 << 20;

const std::vector<float>& random_floats() {
    static const std::vector<float> values = [] {
        std::mt19937 engine(1);
        std::uniform_real_distribution<float> distribution(-1, 1);
        std::vector<float> drawn(pattern_size);
        for (float& value : drawn) value = distribution(engine);
        return drawn;
    }();
    return values;
}

const std::vector<bf16>& random_rounded() {
    static const std::vector<bf16> values = [] {
        std::vector<bf16> rounded;
        for (const float value : random_floats()) rounded.push_back(nearest_bf16(value));
        return rounded;
    }();
    return values;
}

}  // namespace

template <class T>
T* Operands::repeated(const std::vector<T>& pattern, std::int64_t count) {
    const std::size_t total = static_cast<std::size_t>(count) * sizeof(T);
    const Memory& memory = memory_.emplace_back(backend_.device, std::max<std::size_t>(total, 1));
    std::size_t filled = std::min(total, pattern.size() * sizeof(T));
    copy_to_device(backend_.device, memory.data(), pattern.data(), filled);
    for (std::size_t more = 0; filled < total; filled += more) {
        more = std::min(filled, total - filled);
        copy_within_device(backend_.device, memory.data() + filled, memory.data(), more);
    }
    return reinterpret_cast<T*>(memory.data());
}
template std::int32_t* Operands::repeated(const std::vector<std::int32_t>&, std::int64_t);
template std::uint8_t* Operands::repeated(const std::vector<std::uint8_t>&, std::int64_t);
template PhiloxKey* Operands::repeated(const std::vector<PhiloxKey>&, std::int64_t);
template DecodingStep* Operands::repeated(const std::vector<DecodingStep>&, std::int64_t);

float* Operands::floats(std::int64_t count) {
    return repeated(random_floats(), count);
}

bf16* Operands::rounded(std::int64_t count) {
    return repeated(random_rounded(), count);
}

ElementPointer Operands::activations(std::int64_t count) {
    if (backend_.precision == Precision::bf16 && backend_.device == Device::cuda)
        return {rounded(count), Element::bf16};
    return {floats(count), Element::f32};
}

WeightPointer Operands::matrix(std::int64_t N, std::int64_t K, PackedFor product) {
    if (backend_.precision != Precision::bf16 || backend_.device == Device::cuda) return kernel_weight(N * K);
    bf16* const memory = rounded(PackedWeight::elements(N, K));
    return {PackedWeight(memory, memory).get(product, floats(N * K), N, K), Element::bf16};
}

WeightPointer Operands::kernel_weight(std::int64_t count) {
    if (backend_.precision == Precision::bf16) return {rounded(count), Element::bf16};
    return {floats(count), Element::f32};
}

ProductSum Operands::product_sum(std::int64_t count) {
    return {floats(count), backend_.precision == Precision::bf16 ? Element::bf16 : Element::f32};
}

std::int32_t* Operands::integers(std::int64_t count, std::int32_t bound) {
    std::mt19937 engine(1);
    std::uniform_int_distribution<std::int32_t> distribution(0, bound - 1);
    std::vector<std::int32_t> values(static_cast<std::size_t>(std::min(count, pattern_size)));
    for (std::int32_t& value : values) value = distribution(engine);
    return repeated(values, count);
}

std::int64_t* Operands::numbers(std::int64_t count) {
    std::vector<std::int64_t> values(static_cast<std::size_t>(count));
    std::iota(values.begin(), values.end(), 0);
    return repeated(values, count);
}

double* Operands::doubles(std::int64_t count) {
    return repeated(std::vector<double>{1}, count);
}

std::uint8_t* Operands::bytes(std::int64_t count, std::uint8_t value) {
    return repeated(std::vector<std::uint8_t>{value}, count);
}

float* Operands::uniforms(std::int64_t count) {
    std::vector<float> values(random_floats());
    for (float& value : values) value = (value + 1) / 2;
    return repeated(values, count);
}
