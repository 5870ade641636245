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

// Type of the operands of matrix products, and on a GPU of activations. Sums, norms, losses, the residual
// stream, parameters and their gradients are fp32 in either case.
enum class Precision { fp32, bf16 };

// Activations or weights whose type is known when a job runs: in float or bf16, as the job's precision says.
// A kernel takes them as its T* or const T* (launch.h).
struct ElementPointer {
    void* address = nullptr;
    Element element = Element::f32;

    // `count` elements further on.
    ElementPointer operator+(std::int64_t count) const {
        return {static_cast<std::byte*>(address) + count * static_cast<std::int64_t>(element_size(element)),
                element};
    }
};

struct ConstElementPointer {
    const void* address = nullptr;
    Element element = Element::f32;

    ConstElementPointer() = default;
    ConstElementPointer(const void* where, Element what) : address(where), element(what) {}
    ConstElementPointer(const ElementPointer& other) : address(other.address), element(other.element) {}
    ConstElementPointer operator+(std::int64_t count) const {
        return {
            static_cast<const std::byte*>(address) + count * static_cast<std::int64_t>(element_size(element)),
            element};
    }
};

// The weight of a product. On a GPU it has the type of the activations; the CPU's activations stay fp32, and
// its products in bf16 take a weight rounded beforehand.
struct WeightPointer {
    const void* address = nullptr;
    Element element = Element::f32;
};

// The place, in fp32, of a sum of products of activations. `operands`: what a CPU rounds them to; those of a
// GPU are their own type.
struct ProductSum {
    float* address = nullptr;
    Element operands = Element::f32;
};
