#include "runtime/files/scalar_type.h"

#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <stdexcept>

namespace {

struct Row {
    ScalarType type;
    std::size_t bytes;
    bool converts;
    std::string_view torch, torch_alias, storage, safetensors;  // "": has no such name
};

constexpr std::array rows{
    Row{ScalarType::float64, 8, true, "float64", "double", "DoubleStorage", "F64"},
    Row{ScalarType::float32, 4, true, "float32", "float", "FloatStorage", "F32"},
    Row{ScalarType::float16, 2, true, "float16", "half", "HalfStorage", "F16"},
    Row{ScalarType::bfloat16, 2, true, "bfloat16", "", "BFloat16Storage", "BF16"},
    Row{ScalarType::int64, 8, true, "int64", "long", "LongStorage", "I64"},
    Row{ScalarType::int32, 4, true, "int32", "int", "IntStorage", "I32"},
    Row{ScalarType::int16, 2, true, "int16", "short", "ShortStorage", "I16"},
    Row{ScalarType::int8, 1, true, "int8", "", "CharStorage", "I8"},
    Row{ScalarType::uint64, 8, true, "uint64", "", "", "U64"},
    Row{ScalarType::uint32, 4, true, "uint32", "", "", "U32"},
    Row{ScalarType::uint16, 2, true, "uint16", "", "", "U16"},
    Row{ScalarType::uint8, 1, true, "uint8", "", "ByteStorage", "U8"},
    Row{ScalarType::boolean, 1, true, "bool", "", "BoolStorage", "BOOL"},
    Row{ScalarType::complex128, 16, false, "complex128", "cdouble", "ComplexDoubleStorage", ""},
    Row{ScalarType::complex64, 8, false, "complex64", "cfloat", "ComplexFloatStorage", ""},
    Row{ScalarType::complex32, 4, false, "complex32", "chalf", "", ""},
    Row{ScalarType::float8_e4m3fn, 1, false, "float8_e4m3fn", "", "", "F8_E4M3"},
    Row{ScalarType::float8_e5m2, 1, false, "float8_e5m2", "", "", "F8_E5M2"},
    Row{ScalarType::float8_e4m3fnuz, 1, false, "float8_e4m3fnuz", "", "", ""},
    Row{ScalarType::float8_e5m2fnuz, 1, false, "float8_e5m2fnuz", "", "", ""},
    Row{ScalarType::qint8, 1, false, "qint8", "", "QInt8Storage", ""},
    Row{ScalarType::quint8, 1, false, "quint8", "", "QUInt8Storage", ""},
    Row{ScalarType::qint32, 4, false, "qint32", "", "QInt32Storage", ""},
};

const Row& row(ScalarType type) {
    return rows[static_cast<std::size_t>(type)];
}

template <class... Columns>
std::optional<ScalarType> find(std::string_view name, Columns... columns) {
    for (const Row& candidate : rows)
        if (!name.empty() && ((candidate.*columns == name) || ...)) return candidate.type;
    return std::nullopt;
}

float half_to_float(std::uint16_t half) {
    const int exponent = half >> 10 & 0x1f, mantissa = half & 0x3ff;
    const std::uint32_t sign = static_cast<std::uint32_t>(half & 0x8000) << 16;
    if (exponent == 0) {  // zero or subnormal: mantissa 2^-24, exact in fp32
        const auto magnitude = std::bit_cast<std::uint32_t>(std::ldexp(static_cast<float>(mantissa), -24));
        return std::bit_cast<float>(sign | magnitude);
    }
    const auto wide = static_cast<std::uint32_t>(exponent == 0x1f ? 0xff : exponent - 15 + 127);
    return std::bit_cast<float>(sign | wide << 23 | static_cast<std::uint32_t>(mantissa) << 13);
}

float bfloat16_to_float(std::uint16_t bits) {
    return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16);
}

template <class T, class Convert>
void convert_as(const std::byte* source, std::size_t count, float* destination, Convert convert) {
    for (std::size_t i = 0; i < count; ++i) {
        T value;
        std::memcpy(&value, source + i * sizeof(T), sizeof(T));
        destination[i] = convert(value);
    }
}

}  // namespace

std::size_t scalar_bytes(ScalarType type) {
    return row(type).bytes;
}

std::string_view scalar_name(ScalarType type) {
    return row(type).torch;
}

std::optional<ScalarType> safetensors_type(std::string_view name) {
    return find(name, &Row::safetensors);
}

std::optional<ScalarType> torch_type(std::string_view name) {
    return find(name, &Row::torch, &Row::torch_alias);
}

std::optional<ScalarType> storage_type(std::string_view name) {
    return find(name, &Row::storage);
}

bool converts_to_float(ScalarType type) {
    return row(type).converts;
}

void convert_to_float(ScalarType type, const std::byte* source, std::size_t count, float* destination) {
    const auto plain = [](auto value) { return static_cast<float>(value); };
    switch (type) {
        case ScalarType::float32:
            if (count > 0) std::memcpy(destination, source, count * sizeof(float));
            return;
        case ScalarType::float64:
            return convert_as<double>(source, count, destination, plain);
        case ScalarType::float16:
            return convert_as<std::uint16_t>(source, count, destination, half_to_float);
        case ScalarType::bfloat16:
            return convert_as<std::uint16_t>(source, count, destination, bfloat16_to_float);
        case ScalarType::int64:
            return convert_as<std::int64_t>(source, count, destination, plain);
        case ScalarType::int32:
            return convert_as<std::int32_t>(source, count, destination, plain);
        case ScalarType::int16:
            return convert_as<std::int16_t>(source, count, destination, plain);
        case ScalarType::int8:
            return convert_as<std::int8_t>(source, count, destination, plain);
        case ScalarType::uint64:
            return convert_as<std::uint64_t>(source, count, destination, plain);
        case ScalarType::uint32:
            return convert_as<std::uint32_t>(source, count, destination, plain);
        case ScalarType::uint16:
            return convert_as<std::uint16_t>(source, count, destination, plain);
        case ScalarType::uint8:
            return convert_as<std::uint8_t>(source, count, destination, plain);
        case ScalarType::boolean:
            return convert_as<std::uint8_t>(source, count, destination,
                                            [](std::uint8_t value) { return value != 0 ? 1.0f : 0.0f; });
        default:
            throw std::logic_error("convert_to_float: not a type that converts");
    }
}
