// Dispatch to a backend, cpu:: or cuda::, and a precision.
//
//   LAUNCH_ON(device, stream, kernel, arguments...)  on a device's stream
//   LAUNCH_ON_GPU(stream, kernel, arguments...)      of kernels that the CPU has not, which puts the same together
//                                                    from others
//   SIZE_ON(device, size, arguments...)              a size that each backend chooses for itself
//
// An ElementPointer becomes a float* or, on the GPU, a bf16*, a ConstElementPointer the same of const: all of
// a call have one type, which selects the kernel's T. A WeightPointer becomes the same as they; on the CPU it
// may be a const bf16* beside their float*, as a ProductSum may be a Bf16ProductSum, which select an
// overload. Launches are timed while profiling; those on a GPU are passed to a WorkCount if there is one. A build
// without the CUDA backend compiles these calls but discards them, and so needs none of the backend's symbols.
#pragma once

#include <any>
#include <chrono>
#include <stdexcept>
#include <type_traits>

#include "runtime/device/built_backends.h"
#include "runtime/device/device.h"
#include "runtime/device/element.h"
#include "runtime/device/profile.h"
#include "runtime/device/work_count.h"

namespace launch_detail {

template <class Argument>
inline constexpr bool is_element_pointer =
    std::is_same_v<Argument, ElementPointer> || std::is_same_v<Argument, ConstElementPointer> ||
    std::is_same_v<Argument, WeightPointer>;

// Arguments that on the CPU may be in bf16 while activations are in float.
template <class Argument>
inline constexpr bool is_operand =
    std::is_same_v<Argument, WeightPointer> || std::is_same_v<Argument, ProductSum>;

template <class T, class Argument>
auto resolve(Argument argument) {
    if constexpr (std::is_same_v<Argument, ElementPointer>)
        return static_cast<T*>(argument.address);
    else if constexpr (std::is_same_v<Argument, ConstElementPointer> ||
                       std::is_same_v<Argument, WeightPointer>)
        return static_cast<const T*>(argument.address);
    else if constexpr (std::is_same_v<Argument, ProductSum>)
        return argument.address;
    else
        return argument;
}

template <class Argument>
bool is_null_or(const Argument& argument, Element element) {
    if constexpr (is_element_pointer<Argument>)
        return argument.address == nullptr || argument.element == element;
    else
        return true;
}

// Calls kernel(arguments...) with every element pointer as one to T.
template <class T, class Kernel, class... Arguments>
auto call_as(Kernel kernel, Arguments... arguments) {
    constexpr Element element = std::is_same_v<T, bf16> ? Element::bf16 : Element::f32;
    if (!(is_null_or(arguments, element) && ...))
        throw std::logic_error("launch: a kernel's arguments are of different precisions");
    return kernel(resolve<T>(arguments)...);
}

// In the precision of the element pointers among the arguments.
template <class Kernel, class... Arguments>
auto call(Kernel kernel, Arguments... arguments) {
    if constexpr ((is_element_pointer<Arguments> || ...))
        if (!(is_null_or(arguments, Element::f32) && ...)) return call_as<bf16>(kernel, arguments...);
    return call_as<float>(kernel, arguments...);
}

template <class Argument>
auto resolve_rounded(Argument argument) {
    if constexpr (std::is_same_v<Argument, WeightPointer>)
        return static_cast<const bf16*>(argument.address);
    else if constexpr (std::is_same_v<Argument, ProductSum>)
        return Bf16ProductSum{argument.address};
    else
        return resolve<float>(argument);
}

template <class Argument>
bool is_rounded(const Argument& argument) {
    if constexpr (std::is_same_v<Argument, WeightPointer>)
        return argument.element == Element::bf16;
    else if constexpr (std::is_same_v<Argument, ProductSum>)
        return argument.operands == Element::bf16;
    else
        return false;
}

// In float, with rounded operands if there are any.
template <class Kernel, class... Arguments>
auto call_on_cpu(Kernel kernel, Arguments... arguments) {
    if constexpr ((is_operand<Arguments> || ...))
        if ((is_rounded(arguments) || ...)) return kernel(resolve_rounded(arguments)...);
    return call_as<float>(kernel, arguments...);
}

template <class Argument>
const void* address_of(const Argument& argument) {
    if constexpr (std::is_pointer_v<Argument>)
        return argument;
    else if constexpr (is_element_pointer<Argument> || std::is_same_v<Argument, ProductSum>)
        return argument.address;
    else
        return nullptr;
}

template <class... Arguments>
void count(const char* kernel, const Arguments&... arguments) {
    const std::any values[] = {std::any(arguments)...};
    const void* const addresses[] = {address_of(arguments)...};
    count_work(kernel, values, addresses);
}

// Synchronises with the GPU before and after, to time the execution rather than the queueing.
template <class Call>
void timed(Device device, const char* kernel, Call call) {
    const ProfileRange range(kernel);
    if (!profiling()) return call();
    synchronize(device);
    const auto start = std::chrono::steady_clock::now();
    call();
    synchronize(device);
    add_to_profile(kernel, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
}

}  // namespace launch_detail

#define LAUNCH_ON(device, stream, kernel, ...)                                                              \
    launch_detail::timed(device, #kernel, [&] {                                                             \
        if ((device) == Device::cuda && counting_work()) return launch_detail::count(#kernel, __VA_ARGS__); \
        if constexpr (cuda_backend_built) {                                                                 \
            if ((device) == Device::cuda)                                                                   \
                return launch_detail::call([&](auto... each) { cuda::kernel(stream, each...); },            \
                                           __VA_ARGS__);                                                    \
        }                                                                                                   \
        return launch_detail::call_on_cpu([](auto... each) { cpu::kernel(each...); }, __VA_ARGS__);         \
    })

#define LAUNCH_ON_GPU(stream, kernel, ...)                                                          \
    launch_detail::timed(Device::cuda, #kernel, [&] {                                               \
        if (counting_work()) return launch_detail::count(#kernel, __VA_ARGS__);                     \
        if constexpr (cuda_backend_built)                                                           \
            launch_detail::call([&](auto... each) { cuda::kernel(stream, each...); }, __VA_ARGS__); \
    })

#define SIZE_ON(device, size, ...)                                        \
    [&] {                                                                 \
        if constexpr (cuda_backend_built)                                 \
            if ((device) == Device::cuda) return cuda::size(__VA_ARGS__); \
        return cpu::size(__VA_ARGS__);                                    \
    }()
