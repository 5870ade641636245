// The types of numbers that tensors in files have, by their names in either format, and how they become fp32.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

enum class ScalarType : std::uint8_t {
    float64,
    float32,
    float16,
    bfloat16,
    int64,
    int32,
    int16,
    int8,
    uint64,
    uint32,
    uint16,
    uint8,
    boolean,
    complex128,
    complex64,
    complex32,
    float8_e4m3fn,
    float8_e5m2,
    float8_e4m3fnuz,
    float8_e5m2fnuz,
    qint8,
    quint8,
    qint32
};

// Bytes of one element, and torch's name of the type ("float32").
std::size_t scalar_bytes(ScalarType type);
std::string_view scalar_name(ScalarType type);

// By name: "F32", "BF16", ... of safetensors; "float32", "half", ... of torch; "FloatStorage", ... of torch's
// typed storages. Nothing for a name that is not known.
std::optional<ScalarType> safetensors_type(std::string_view name);
std::optional<ScalarType> torch_type(std::string_view name);
std::optional<ScalarType> storage_type(std::string_view name);

// Whether convert_to_float() reads it: real numbers of 8 bits or more with an agreed meaning; not complex,
// 8-bit floating-point or quantised numbers.
bool converts_to_float(ScalarType type);
// Little-endian elements, at any alignment, as fp32, rounded to nearest. `type` must be one that converts.
void convert_to_float(ScalarType type, const std::byte* source, std::size_t count, float* destination);
