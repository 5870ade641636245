// The emulated device's kernels/common/ptx.cuh: the same functions with the same arguments, documented there;
// only the checks are documented here.
#pragma once

#include <cuda_runtime.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "kernels/common/bf16.h"
#include "tests/emulator/tensor_core.h"

namespace cuda {

inline void wait_for_previous_kernel() {
    emulator::wait_for_previous_kernel();
}

inline void mma_m16n8k16(float (&d)[4], const std::uint32_t (&a)[4], const std::uint32_t (&b)[2],
                         const emulator::Where& where = emulator::Where::current()) {
    emulator::MatrixProduct mine;
    std::memcpy(mine.a, a, sizeof a);
    std::memcpy(mine.b, b, sizeof b);
    std::memcpy(mine.d, d, sizeof d);
    emulator::multiply(mine, where);
    std::memcpy(d, mine.d, sizeof d);
}

// A lane's row is read by the lane itself, so that a sanitizer attributes the read to it.
template <int count>
void load_matrices(std::uint32_t (&r)[count], const void* row, bool transposed,
                   const emulator::Where& where) {
    std::uint16_t values[8] = {};
    if (emulator::lane() < 8 * count) {
        emulator::require_aligned(row, "ldmatrix: the address of a row");
        std::memcpy(values, row, sizeof values);
    }
    emulator::load_matrices(r, count, values, transposed, where);
}
inline void ldmatrix_x4(std::uint32_t (&r)[4], const void* row,
                        const emulator::Where& where = emulator::Where::current()) {
    load_matrices(r, row, false, where);
}
inline void ldmatrix_x4_transposed(std::uint32_t (&r)[4], const void* row,
                                   const emulator::Where& where = emulator::Where::current()) {
    load_matrices(r, row, true, where);
}
inline void ldmatrix_x2(std::uint32_t (&r)[2], const void* row,
                        const emulator::Where& where = emulator::Where::current()) {
    load_matrices(r, row, false, where);
}
inline void ldmatrix_x2_transposed(std::uint32_t (&r)[2], const void* row,
                                   const emulator::Where& where = emulator::Where::current()) {
    load_matrices(r, row, true, where);
}

// Until the wait, the shared memory holds NaN; `global` is read at the wait.
inline void copy_async_16(void* shared, const void* global, bool valid = true) {
    emulator::require_aligned(shared, "copy_async_16: the shared address");
    if (valid) emulator::require_aligned(global, "copy_async_16: the global address");
    std::memset(shared, 0xFF, 16);
    emulator::start_copy(shared, valid ? global : nullptr);
}
inline void copy_async_commit() {
    emulator::commit_copies();
}
template <int groups>
inline void copy_async_wait() {
    for (emulator::PendingCopy copy; emulator::finish_copy(groups, copy);) {
        if (copy.global != nullptr)
            std::memcpy(copy.shared, copy.global, 16);
        else
            std::memset(copy.shared, 0, 16);
    }
}

inline bf16 round_to_bf16(float x) {
    return nearest_bf16(x);
}
inline std::uint32_t pack_bf16(float low, float high) {
    return nearest_bf16(low).bits | static_cast<std::uint32_t>(nearest_bf16(high).bits) << 16;
}

inline float exp2_approximate(float x) {
    const float y = exp2f(std::fabs(x) < 0x1p-126f ? 0.0f : x);
    return y < 0x1p-126f ? 0.0f : y;
}

constexpr std::size_t shared_array_bytes(std::size_t bytes) {
    return (bytes + 15) / 16 * 16;
}
class SharedMemory {
  public:
    template <class T>
    T* take(std::size_t count) {
        return static_cast<T*>(emulator::shared_array(arrays_++, count * sizeof(T), sizeof(T)));
    }

  private:
    int arrays_ = 0;
};

template <class T>
struct alignas(16) Packed {
    static constexpr int count = 16 / sizeof(T);
    T values[count];
    T& operator[](int i) { return values[i]; }
    const T& operator[](int i) const { return values[i]; }
};
template <class T>
inline Packed<T> load_packed(const T* address) {
    emulator::require_aligned(address, "load_packed");
    Packed<T> packed;
    std::memcpy(&packed, address, sizeof packed);
    return packed;
}
template <class T>
inline void store_packed(T* address, const Packed<T>& packed) {
    emulator::require_aligned(address, "store_packed");
    std::memcpy(address, &packed, sizeof packed);
}

}  // namespace cuda
