// Dispatch to a backend, cpu:: or cuda::, and a precision.
//
//   LAUNCH(tape, kernel, arguments...)               on the tape's device and stream
//   LAUNCH_ON(device, stream, kernel, arguments...)  outside of a tape
//   SIZE_ON(device, size, arguments...)              a size that each backend chooses for itself
//
// An argument of type Data becomes a float* or, on the GPU, a bf16*: all of a call have one type, which
// selects the kernel's T. Launches are timed while profiling. In planning mode LAUNCH neither calls the
// kernel nor evaluates its arguments, since buffers have no addresses yet. A build without the CUDA backend
// compiles these calls but discards them, and so needs none of the backend's symbols.
#pragma once

#include <chrono>
#include <stdexcept>
#include <type_traits>

#include "runtime/device/device.h"
#include "runtime/device/element.h"
#include "runtime/device/profile.h"
#include "runtime/tensor/tape.h"

namespace launch_detail {

template <class T, class Argument>
auto resolve(Argument argument) {
    if constexpr (std::is_same_v<Argument, Data>)
        return static_cast<T*>(argument.address);
    else
        return argument;
}

template <class Argument>
bool is_data_of(const Argument& argument, Element element) {
    if constexpr (std::is_same_v<Argument, Data>)
        return argument.address == nullptr || argument.element == element;
    else
        return true;
}

// Calls kernel(arguments...) with every Data as a T*.
template <class T, class Kernel, class... Arguments>
auto call_as(Kernel kernel, Arguments... arguments) {
    constexpr Element element = std::is_same_v<T, bf16> ? Element::bf16 : Element::f32;
    if (!(is_data_of(arguments, element) && ...))
        throw std::logic_error("launch: a kernel's arguments are of different precisions");
    return kernel(resolve<T>(arguments)...);
}

// In the precision of the Data among the arguments.
template <class Kernel, class... Arguments>
auto call(Kernel kernel, Arguments... arguments) {
    if constexpr ((std::is_same_v<Arguments, Data> || ...))
        if (!(is_data_of(arguments, Element::f32) && ...)) return call_as<bf16>(kernel, arguments...);
    return call_as<float>(kernel, arguments...);
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

#define LAUNCH_ON(device, stream, kernel, ...)                                                         \
    launch_detail::timed(device, #kernel, [&] {                                                        \
        if constexpr (cuda_backend_built) {                                                            \
            if ((device) == Device::cuda)                                                              \
                return launch_detail::call([&](auto... each) { cuda::kernel(stream, each...); },       \
                                           __VA_ARGS__);                                               \
        }                                                                                              \
        return launch_detail::call_as<float>([](auto... each) { cpu::kernel(each...); }, __VA_ARGS__); \
    })

#define LAUNCH(tape, kernel, ...) \
    ((tape).planning() ? void() : LAUNCH_ON((tape).device(), (tape).stream(), kernel, __VA_ARGS__))

#define SIZE_ON(device, size, ...)                                        \
    [&] {                                                                 \
        if constexpr (cuda_backend_built)                                 \
            if ((device) == Device::cuda) return cuda::size(__VA_ARGS__); \
        return cpu::size(__VA_ARGS__);                                    \
    }()
