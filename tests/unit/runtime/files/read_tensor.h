// A tensor of a file as the readers give it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "runtime/files/tensor_file.h"

using Floats = std::vector<float>;

inline Floats read(const TensorFile& file, const std::string& name) {
    std::size_t count = 1;  // wraps around harmlessly where a later size is 0
    for (const std::int64_t size : file.shape(name)) count *= static_cast<std::size_t>(size);
    Floats values(count);
    file.read(name, values.data());
    return values;
}
