// Inputs of measured kernels.
#pragma once

#include <cstdint>
#include <random>
#include <vector>

// Uniform in [-1, 1): no zeros, denormals or infinities that would make arithmetic faster or slower than in a
// model.
inline std::vector<float> random_floats(std::int64_t count) {
    std::mt19937 engine(1);
    std::uniform_real_distribution<float> distribution(-1, 1);
    std::vector<float> values(static_cast<std::size_t>(count));
    for (float& value : values) value = distribution(engine);
    return values;
}

inline std::vector<float> zero_floats(std::int64_t count) {
    return std::vector<float>(static_cast<std::size_t>(count));
}

inline std::vector<std::int32_t> random_integers(std::int64_t count, std::int32_t bound) {
    std::mt19937 engine(1);
    std::uniform_int_distribution<std::int32_t> distribution(0, bound - 1);
    std::vector<std::int32_t> values(static_cast<std::size_t>(count));
    for (std::int32_t& value : values) value = distribution(engine);
    return values;
}
