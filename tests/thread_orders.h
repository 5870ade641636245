// Whether a kernel's results depend on the order in which a device runs threads and blocks.
#pragma once

#include <cstring>
#include <vector>

#if __has_include("emulated/runtime_calls.h")
#include "tests/emulator/emulated_device.h"
#endif

namespace thread_orders {

template <class T>
bool same_bits(const std::vector<T>& a, const std::vector<T>& b) {
    return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0);
}

#if __has_include("emulated/runtime_calls.h")
// The orders of the emulated device.
template <class Run>
void in_every_order(Run run) {
    using namespace emulator;
    const ThreadOrder before = emulated_device().order;
    for (const ThreadOrder order : {ThreadOrder{Order::forward, 0}, ThreadOrder{Order::reversed, 0},
                                    ThreadOrder{Order::shuffled, 1}, ThreadOrder{Order::shuffled, 2}}) {
        emulated_device().order = order;
        run();
    }
    emulated_device().order = before;
}
#else
// A real device has another order each time.
template <class Run>
void in_every_order(Run run) {
    for (int time = 0; time < 4; ++time) run();
}
#endif

}  // namespace thread_orders

// Whether compute(), which runs kernels and returns a vector, gives the same bits in every order:
//
//   CHECK(same_in_every_order([&] {
//       std::vector<float> y(x.size());
//       RUN(device, gelu_forward, y, x, count);
//       return y;
//   }));
template <class Compute>
bool same_in_every_order(Compute compute) {
    const auto reference = compute();
    bool same = true;
    thread_orders::in_every_order([&] { same = thread_orders::same_bits(compute(), reference) && same; });
    return same;
}
