#include "runtime/device/ceiling.h"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <limits>
#include <vector>

#include "kernels/linear/matmul.h"

namespace {

constexpr std::int64_t size = 2048;

}  // namespace

double measure_product(int repeats) {
    using Clock = std::chrono::steady_clock;
    const std::vector<float> A(size * size, 0.5f), B(size * size, 0.25f);
    std::vector<float> C(size * size);
    double best = std::numeric_limits<double>::infinity();
    for (int i = -1; i < repeats; ++i) {  // the first product warms caches and threads up
        const auto start = Clock::now();
        cpu::matmul(C.data(), A.data(), B.data(), size, size, size);
        const std::chrono::duration<double> spent = Clock::now() - start;
        if (i >= 0) best = std::min(best, spent.count());
    }
    return 2.0 * size * size * size / best;
}

std::size_t measured_product_bytes() {
    return 3 * sizeof(float) * size * size;
}
