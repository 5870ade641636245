// 16 floats as one value, by the vector extension that GCC and Clang share: one register with AVX-512,
// several elsewhere. Explicit vectors are used where a compiler left to itself does not keep the accumulators
// in registers; functions take them by reference, since passing one by value has no fixed calling convention
// without AVX-512.
#pragma once

#include <cstdint>

namespace cpu {

constexpr int lanes = 16;
using Vector [[gnu::vector_size(lanes * sizeof(float))]] = float;
using LaneIndex [[gnu::vector_size(lanes * sizeof(float))]] = std::int32_t;

// An unaligned vector type rather than memcpy, which GCC may expand into two half-width stores that stall the
// next full-width load.
using UnalignedVector
    [[gnu::vector_size(lanes * sizeof(float)), gnu::aligned(sizeof(float)), gnu::may_alias]] = float;
inline void load(Vector& v, const float* p) {
    v = *reinterpret_cast<const UnalignedVector*>(p);
}
inline void store(float* p, const Vector& v) {
    *reinterpret_cast<UnalignedVector*>(p) = v;
}

}  // namespace cpu
