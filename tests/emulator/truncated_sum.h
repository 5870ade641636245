// Sums as tensor cores form them. An instruction adds a few products and the sum so far at once: it shifts all
// of them to the largest exponent among them, cuts off what lies below a few bits more than float holds, adds
// these integers without error, and cuts the result off to float. Every step of a sum loses up to one unit in
// its last place, always towards zero, where an addition of the CPU loses half of one to either side.
//
// The largest exponent is taken of products as normalised numbers; some cards take the sum of the factors'
// exponents, one less where both significands are large, and then keep a bit more than we do.
//
// Source: F. A. Khattak and M. Mikaitis, "Accurate Models of NVIDIA Tensor Cores", arXiv:2512.07004.
#pragma once

#include <cstdint>

#include "kernels/common/vector.h"
#include "tests/emulator/emulated_device.h"

namespace emulator {

struct TensorCore {
    int products;    // that are added at once
    int extra_bits;  // below the 24 of float
};
constexpr int most_products = 16;
inline TensorCore tensor_core() {
    return emulated_device().major < 9 ? TensorCore{8, 1} : TensorCore{most_products, 2};
}

// sum += the first `count` products, lane by lane; at most core.products of them, exact in float as those of
// bf16 numbers are. Lanes that hold an infinity or NaN are added as floats.
inline void add_products(cpu::Register& sum, const cpu::Register* products, int count,
                         const TensorCore& core) {
    using Index = cpu::RegisterIndex;
    using cpu::Register;
    constexpr std::int32_t magnitude = 0x7FFFFFFF;
    Index largest = (Index)sum & magnitude;  // of floats as integers, in the order of floats
    for (int i = 0; i < count; ++i) {
        const Index bits = (Index)products[i] & magnitude;
        largest = bits > largest ? bits : largest;
    }
    const int kept = 23 + core.extra_bits;  // bits of an integer below its leading one
    Index exponent = largest >> 23;         // as float stores it
    const Index special = exponent == 255, least = Index{} + (kept + 1);
    exponent = exponent > least ? exponent : least;  // of less, the factors below would overflow
    const Index up = (kept + 254 - exponent) << 23, down = (exponent - kept) << 23;
    const auto to_integer = (Register)up, to_float = (Register)down;  // powers of two

    Index total = __builtin_convertvector(sum * to_integer, Index);
    for (int i = 0; i < count; ++i) total += __builtin_convertvector(products[i] * to_integer, Index);
    const Register nearest = __builtin_convertvector(total, Register);
    const Index back = __builtin_convertvector(nearest, Index);
    const Index too_large = (back < 0 ? -back : back) > (total < 0 ? -total : total);  // -1 where so
    Register result = (Register)((Index)nearest + too_large) * to_float;

    bool any_special = false;
    for (int lane = 0; lane < cpu::register_lanes; ++lane) any_special = any_special || special[lane] != 0;
    if (any_special) {
        Register plain = sum;
        for (int i = 0; i < count; ++i) plain += products[i];
        result = special ? plain : result;
    }
    sum = result;
}

inline void add_products(cpu::Vector& sum, const cpu::Vector* products, int count, const TensorCore& core) {
    for (int part = 0; part < cpu::vector_registers; ++part) {
        cpu::Register of_part[most_products];
        for (int i = 0; i < count; ++i) of_part[i] = products[i].part[part];
        add_products(sum.part[part], of_part, count, core);
    }
}

}  // namespace emulator
