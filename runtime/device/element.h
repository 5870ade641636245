// Element types of tensors, and typed addresses.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/common/bf16.h"

enum class Element { f32, bf16, f64, i32, i64, u8 };

constexpr std::size_t element_size(Element element) {
    constexpr std::size_t sizes[] = {4, 2, 8, 4, 8, 1};
    return sizes[static_cast<int>(element)];
}

template <class T>
inline constexpr Element element_of = Element::f32;
template <>
inline constexpr Element element_of<bf16> = Element::bf16;
template <>
inline constexpr Element element_of<double> = Element::f64;
template <>
inline constexpr Element element_of<std::int32_t> = Element::i32;
template <>
inline constexpr Element element_of<std::int64_t> = Element::i64;
template <>
inline constexpr Element element_of<std::uint8_t> = Element::u8;

// Type of activations and of the weights of matrix products. Sums, norms, losses, the residual stream,
// parameters and their gradients are fp32 in either case.
enum class Precision { fp32, bf16 };

// Address of activations or weights whose type, float or bf16, is the job's precision. Passed to a kernel's
// T* (launch.h).
struct Data {
    void* address = nullptr;
    Element element = Element::f32;

    // `count` elements further on.
    Data operator+(std::int64_t count) const {
        return {static_cast<std::byte*>(address) + count * static_cast<std::int64_t>(element_size(element)),
                element};
    }
};
