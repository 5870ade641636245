// Explicit vectors, by the extension that GCC and Clang share. They are used where a compiler left to itself does
// not keep accumulators in registers. A Register is the machine's widest one, and what blocks of accumulators are
// made of; a Vector is always 16 floats, one Register or several.
#pragma once

#include <cstdint>
#include <utility>

namespace cpu {

#if defined(__AVX512F__)
constexpr int register_lanes = 16, register_count = 32;
#elif defined(__AVX__)
constexpr int register_lanes = 8, register_count = 16;
#else
constexpr int register_lanes = 4, register_count = 16;
#endif
using Register [[gnu::vector_size(register_lanes * sizeof(float))]] = float;
using RegisterIndex [[gnu::vector_size(register_lanes * sizeof(float))]] = std::int32_t;

// An unaligned vector type rather than memcpy, which GCC may expand into two half-width stores that stall the
// next full-width load.
using UnalignedRegister
    [[gnu::vector_size(register_lanes * sizeof(float)), gnu::aligned(sizeof(float)), gnu::may_alias]] = float;
inline Register load_register(const float* p) {
    return *reinterpret_cast<const UnalignedRegister*>(p);
}
inline void store_register(float* p, Register v) {
    *reinterpret_cast<UnalignedRegister*>(p) = v;
}
inline Register maximum(Register a, Register b) {
    return a > b ? a : b;
}

// Lane i of the first result is a[i] where bit `Bit` of i is 0, b[i ^ Bit] where it is 1; of the second a[i ^ Bit]
// and b[i]: a step of a transposition.
template <int Bit, int... Lane>
void exchange(Register& a, Register& b, std::integer_sequence<int, Lane...>) {
    const Register first =
        __builtin_shufflevector(a, b, ((Lane & Bit) != 0 ? register_lanes + (Lane ^ Bit) : Lane)...);
    b = __builtin_shufflevector(a, b, ((Lane & Bit) != 0 ? register_lanes + Lane : Lane ^ Bit)...);
    a = first;
}
template <int Bit>
void exchange(Register& a, Register& b) {
    exchange<Bit>(a, b, std::make_integer_sequence<int, register_lanes>{});
}

// Lane i becomes v[i ^ Bit].
template <int Bit, int... Lane>
Register swapped(Register v, std::integer_sequence<int, Lane...>) {
    return __builtin_shufflevector(v, v, (Lane ^ Bit)...);
}
template <int Bit>
Register swapped(Register v) {
    return swapped<Bit>(v, std::make_integer_sequence<int, register_lanes>{});
}

constexpr int lanes = 16, vector_registers = lanes / register_lanes;
struct Vector {
    Register part[vector_registers];

    Vector& operator+=(const Vector& other) {
        for (int i = 0; i < vector_registers; ++i) part[i] += other.part[i];
        return *this;
    }
    Vector& operator*=(float factor) {
        for (Register& p : part) p *= factor;
        return *this;
    }
};

inline void load(Vector& v, const float* p) {
    for (int i = 0; i < vector_registers; ++i) v.part[i] = load_register(p + i * register_lanes);
}
inline void store(float* p, const Vector& v) {
    for (int i = 0; i < vector_registers; ++i) store_register(p + i * register_lanes, v.part[i]);
}
inline Vector filled(float value) {
    Vector v;
    for (Register& p : v.part) p = Register{} + value;
    return v;
}
inline Vector maximum(const Vector& a, const Vector& b) {
    Vector v;
    for (int i = 0; i < vector_registers; ++i) v.part[i] = maximum(a.part[i], b.part[i]);
    return v;
}
inline Vector operator+(Vector a, const Vector& b) {
    return a += b;
}
inline Vector operator-(Vector a, const Vector& b) {
    for (int i = 0; i < vector_registers; ++i) a.part[i] -= b.part[i];
    return a;
}
inline Vector operator*(Vector a, const Vector& b) {
    for (int i = 0; i < vector_registers; ++i) a.part[i] *= b.part[i];
    return a;
}
inline Vector operator/(Vector a, const Vector& b) {
    for (int i = 0; i < vector_registers; ++i) a.part[i] /= b.part[i];
    return a;
}
inline Vector operator*(Vector a, float factor) {
    return a *= factor;
}
inline Vector operator*(float factor, Vector a) {
    return a *= factor;
}

}  // namespace cpu
