// Common loop of the kernels that move rows of [rows, width] arrays.
//
// for_rows gives every thread one chunk of a row, 16 bytes of activations where width, strides and addresses
// allow it and a single element where they do not, so that neighbouring threads touch neighbouring memory
// either way. Rows narrower than a block share it; a row wider than a block is spread over several, which
// keeps the device busy with one huge row as well as with many small ones.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <stdexcept>

#include "kernels/common/device_math.cuh"
#include "kernels/common/launch.cuh"
#include "kernels/common/ptx.cuh"

namespace cuda {

// Division of 0..2^31-1 by a number known at launch: a multiplication and a shift in place of some 20
// instructions.
// Source: Granlund, Montgomery, "Division by Invariant Integers using Multiplication" (PLDI 1994),
// figure 4.1.
class Divisor {
  public:
    explicit Divisor(std::int64_t divisor) : divisor_(static_cast<std::uint32_t>(divisor)) {
        if (divisor < 1 || divisor > INT32_MAX) throw std::runtime_error("CUDA: a divisor out of range");
        shift_ = static_cast<std::uint32_t>(std::bit_width(divisor_ - 1));
        const std::uint64_t power = std::uint64_t{1} << shift_;
        multiplier_ = static_cast<std::uint32_t>(((power - divisor_) << 32) / divisor_ + 1);
    }
    __device__ std::uint32_t quotient(std::uint32_t dividend) const {
        const auto high =
            static_cast<std::uint32_t>((static_cast<std::uint64_t>(multiplier_) * dividend) >> 32);
        return (high + dividend) >> shift_;
    }
    __device__ std::uint32_t remainder(std::uint32_t dividend) const {
        return dividend - quotient(dividend) * divisor_;
    }

  private:
    std::uint32_t divisor_, multiplier_, shift_;
};

// n consecutive elements as float: one, or as many 16-byte accesses as they take.
template <int n, class T>
__device__ inline void load_elements(float (&values)[n], const T* from) {
    if constexpr (n == 1) {
        values[0] = to_float(*from);
    } else {
        static_assert(n % Packed<T>::count == 0);
#pragma unroll
        for (int i = 0; i < n; i += Packed<T>::count) {
            const Packed<T> packed = load_packed(from + i);
#pragma unroll
            for (int j = 0; j < Packed<T>::count; ++j) values[i + j] = to_float(packed[j]);
        }
    }
}

template <int n, class T>
__device__ inline void store_elements(T* to, const float (&values)[n]) {
    if constexpr (n == 1) {
        *to = as<T>(values[0]);
    } else {
        static_assert(n % Packed<T>::count == 0);
#pragma unroll
        for (int i = 0; i < n; i += Packed<T>::count) {
            Packed<T> packed;
#pragma unroll
            for (int j = 0; j < Packed<T>::count; ++j) packed[j] = as<T>(values[i + j]);
            store_packed(to + i, packed);
        }
    }
}

// Copies n elements bit for bit.
template <int n, class T>
__device__ inline void copy_elements(T* to, const T* from) {
    if constexpr (n == 1)
        *to = *from;
    else
        store_packed(to, load_packed(from));
}

namespace rows_detail {

constexpr int block_threads = 128;
constexpr std::int64_t max_grid_y = 65535;

template <int n, class Body>
__global__ void each_chunk(std::int64_t rows, std::int64_t chunks, Body body) {
    wait_for_previous_kernel();
    const std::int64_t row = static_cast<std::int64_t>(blockIdx.x) * blockDim.y + threadIdx.y,
                       first = static_cast<std::int64_t>(blockIdx.y) * blockDim.x + threadIdx.x,
                       step = static_cast<std::int64_t>(gridDim.y) * blockDim.x;
    if (row >= rows) return;
    for (std::int64_t chunk = first; chunk < chunks; chunk += step) body.template run<n>(row, chunk * n);
}

template <int n, class Body>
void launch_chunks(Stream stream, std::int64_t rows, std::int64_t width, const Body& body) {
    if (rows == 0 || width == 0) return;
    const std::int64_t chunks = width / n, passes = (chunks + block_threads - 1) / block_threads;
    const auto x = static_cast<unsigned>((chunks + passes - 1) / passes), y = block_threads / x;
    launch(each_chunk<n, Body>,
           dim3(blocks_for(rows, y), static_cast<unsigned>(std::min(passes, max_grid_y))), dim3(x, y), 0,
           stream, rows, chunks, body);
}

}  // namespace rows_detail

// Queues body.run<n>(row, column) for every row and every chunk of n columns from `column` on, n being
// Body::chunk if `packed`, which demands that chunks are aligned and that it divides the width, and 1
// otherwise. Fewer than 2^31 rows.
template <class Body>
void for_rows(Stream stream, std::int64_t rows, std::int64_t width, bool packed, const Body& body) {
    if (rows > INT32_MAX) throw std::runtime_error("CUDA: more than 2^31 - 1 rows");
    if (packed)
        rows_detail::launch_chunks<Body::chunk>(stream, rows, width, body);
    else
        rows_detail::launch_chunks<1>(stream, rows, width, body);
}

}  // namespace cuda
