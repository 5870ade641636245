// Common to tests of kernels: running on every device of the build.
//
//   DEVICE_TEST("gelu of nothing is nothing") {      // runs once for each device, `device`
//       const std::vector<float> x(5);
//       std::vector<float> y(5, NAN);
//       RUN(device, gelu_forward, y, x, 5);
//       CHECK(same_bits(y, x));
//   }
#pragma once

#include <algorithm>
#include <cstddef>
#include <deque>
#include <type_traits>
#include <utility>
#include <vector>

#include "runtime/device/launch.h"
#include "tests/test_devices.h"
#include "tests/unit/kernels/check_values.h"

// Calls a kernel on a device and waits for it. Each argument that is a vector, a pointer to one (may be null)
// or from(vector, first) is passed as the address of its elements there; a vector named twice is one array.
// After RUN, vectors that are not const hold the kernel's results. Other addresses on the device:
// address(pointer).
#define RUN(device, kernel, ...) \
    kernel_check::run(           \
        device, [](Device where, auto... all) { LAUNCH_ON(where, Stream(), kernel, all...); }, __VA_ARGS__)

namespace kernel_check {

template <class Vector>
struct From {
    Vector& vector;
    std::int64_t first;
};
// The elements of `vector` from number `first` on.
template <class Vector>
From<Vector> from(Vector& vector, std::int64_t first) {
    return {vector, first};
}

template <class T>
struct Address {
    T* pointer;
};
template <class T>
Address<T> address(T* pointer) {
    return {pointer};
}

// Arguments of a kernel: vectors are copied to the device, and back by `finish`. On the CPU they are the
// vectors' own memory, whose bounds a sanitizer checks.
class Arguments {
  public:
    explicit Arguments(Device device) : device_(device) {}

    template <class T>
    T operator()(const T& value) {
        static_assert(!std::is_pointer_v<T>, "a vector, from(vector, first) or address(pointer)");
        return value;
    }
    template <class T>
    T* operator()(std::vector<T>& vector) {
        return pointer(vector.data(), vector.data(), vector.size());
    }
    template <class T>
    const T* operator()(const std::vector<T>& vector) {
        return pointer<const T>(vector.data(), nullptr, vector.size());
    }
    template <class T>
    auto operator()(std::vector<T>* vector) {
        return vector == nullptr ? nullptr : (*this)(*vector);
    }
    template <class T>
    auto operator()(const std::vector<T>* vector) {
        return vector == nullptr ? nullptr : (*this)(*vector);
    }
    template <class Vector>
    auto operator()(const From<Vector>& part) {
        return (*this)(part.vector) + part.first;
    }
    template <class T>
    T* operator()(const Address<T>& elsewhere) {
        return elsewhere.pointer;
    }

    void finish() {
        for (const Copy& copy : copies_)
            if (copy.back != nullptr) copy_from_device(device_, copy.back, copy.memory.data(), copy.bytes);
    }

  private:
    struct Copy {
        const void* host;
        void* back;  // where to copy the device's values in the end, null: nowhere
        std::size_t bytes;
        Memory memory;
    };

    template <class T>
    T* pointer(T* host, void* back, std::size_t count) {
        if (device_ == Device::cpu || count == 0) return host;
        const auto known = std::ranges::find(copies_, static_cast<const void*>(host), &Copy::host);
        Copy& copy = known != copies_.end() ? *known : copies_.emplace_back(copied(host, count * sizeof(T)));
        if (back != nullptr) copy.back = back;
        return reinterpret_cast<T*>(copy.memory.data());
    }
    Copy copied(const void* host, std::size_t bytes) const {
        Copy copy{host, nullptr, bytes, Memory(device_, bytes)};
        copy_to_device(device_, copy.memory.data(), host, bytes);
        return copy;
    }

    Device device_;
    std::deque<Copy> copies_;
};

template <class Launch, class... Values>
void run(Device device, Launch launch, Values&&... values) {
    Arguments on_device(device);
    launch(device, on_device(values)...);
    on_device.finish();
}

// Values that stay on the device, for structs that hold their address.
template <class T>
class DeviceArray {
  public:
    DeviceArray(Device device, std::vector<T> values) : host_(std::move(values)) {
        if (device == Device::cpu) return;
        memory_ = Memory(device, host_.size() * sizeof(T));
        copy_to_device(device, memory_.data(), host_.data(), memory_.size());
    }
    const T* data() const {
        return memory_.size() == 0 ? host_.data() : reinterpret_cast<const T*>(memory_.data());
    }
    const std::vector<T>& host() const { return host_; }

  private:
    std::vector<T> host_;
    Memory memory_;
};

}  // namespace kernel_check
