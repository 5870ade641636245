// Wrappers of inline PTX: griddepcontrol, mma, ldmatrix, cp.async, cvt.bf16x2, ex2; and shared memory and 16-byte accesses,
// which the emulated device's version of this file checks. For sm_80 and newer.
//
// Fragments of mma.m16n8k16, with lane = 4 g + t (g = lane / 4, t = lane % 4), each register two bf16, the
// lower half the smaller column (of A, B^T) :
//
//   A [16, 16]  a[0]: (g, 2t..)   a[1]: (g + 8, 2t..)   a[2]: (g, 2t + 8..)   a[3]: (g + 8, 2t + 8..)
//   B [16, 8]   b[0]: (2t.., g)   b[1]: (2t + 8.., g)
//   D [16, 8]   d[0], d[1]: (g, 2t), (g, 2t + 1)        d[2], d[3]: (g + 8, 2t), (g + 8, 2t + 1)
//
// Source: PTX ISA, "Matrix Fragments for mma.m16n8k16 with floating point type".
#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>

#include "kernels/common/bf16.h"

namespace cuda {

// First statement of every kernel, in all threads: launch() lets a kernel start before the one in front of it
// in its stream has ended, so that its launch costs no time of its own. Waits until that one has ended and its
// writes are visible, and then lets the next kernel start, which waits here in turn: whatever a kernel finds
// after this call is as if kernels ran one after another. No effect below sm_90, where launch() does no such
// thing. Source: CUDA C++ Programming Guide, "Programmatic Dependent Launch and Synchronization".
__device__ inline void wait_for_previous_kernel() {
#if __CUDA_ARCH__ >= 900
    asm volatile("griddepcontrol.wait;\ngriddepcontrol.launch_dependents;\n" ::: "memory");
#endif
}

// D += A B for one 16 x 8 x 16 tile, bf16 times bf16 summed in float. All 32 lanes together.
__device__ inline void mma_m16n8k16(float (&d)[4], const std::uint32_t (&a)[4], const std::uint32_t (&b)[2]) {
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
        "{%0,%1,%2,%3};\n"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

__device__ inline std::uint32_t shared_address(const void* pointer) {
    return static_cast<std::uint32_t>(__cvta_generic_to_shared(pointer));
}

// Four 8 x 8 matrices of bf16 from shared memory: lane l passes the address of row l % 8 of matrix l / 8 (16
// bytes, 16-byte aligned) and receives in r[i] the elements (g, 2t), (g, 2t + 1) of matrix i. Transposed: the
// elements (2t, g), (2t + 1, g). All 32 lanes together.
__device__ inline void ldmatrix_x4(std::uint32_t (&r)[4], const void* row) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];\n"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(shared_address(row))
                 : "memory");
}
__device__ inline void ldmatrix_x4_transposed(std::uint32_t (&r)[4], const void* row) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];\n"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(shared_address(row))
                 : "memory");
}
// Two matrices: the addresses of lanes 0..15 are used.
__device__ inline void ldmatrix_x2(std::uint32_t (&r)[2], const void* row) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x2.shared.b16 {%0,%1}, [%2];\n"
                 : "=r"(r[0]), "=r"(r[1])
                 : "r"(shared_address(row))
                 : "memory");
}
__device__ inline void ldmatrix_x2_transposed(std::uint32_t (&r)[2], const void* row) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x2.trans.shared.b16 {%0,%1}, [%2];\n"
                 : "=r"(r[0]), "=r"(r[1])
                 : "r"(shared_address(row))
                 : "memory");
}

// Starts copying 16 bytes from global to shared memory, both 16-byte aligned; zeros instead where `valid` is
// false (`global` is then not read). The bytes are visible to this thread after copy_async_wait, to others
// after a subsequent barrier.
__device__ inline void copy_async_16(void* shared, const void* global, bool valid = true) {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;\n" ::"r"(shared_address(shared)), "l"(global),
                 "r"(valid ? 16 : 0)
                 : "memory");
}
// Closes a group of copies.
__device__ inline void copy_async_commit() {
    asm volatile("cp.async.commit_group;\n" ::: "memory");
}
// Waits until at most the latest `groups` groups of this thread are in flight.
template <int groups>
__device__ inline void copy_async_wait() {
    asm volatile("cp.async.wait_group %0;\n" ::"n"(groups) : "memory");
}

// Nearest, halves to even.
__device__ inline bf16 round_to_bf16(float x) {
    std::uint16_t bits;
    asm("cvt.rn.bf16.f32 %0, %1;\n" : "=h"(bits) : "f"(x));
    return {bits};
}
// Two of them in one register, `low` in the lower half: a register of a fragment.
__device__ inline std::uint32_t pack_bf16(float low, float high) {
    std::uint32_t packed;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;\n" : "=r"(packed) : "f"(high), "f"(low));
    return packed;
}

// 2^x, relative error 2^-22; results below 1.2e-38 become 0.
__device__ inline float exp2_approximate(float x) {
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;\n" : "=f"(y) : "f"(x));
    return y;
}

// Allocator of a block's dynamic shared memory. Every thread takes the same arrays in the same order:
//
//   SharedMemory shared;
//   float* tile = shared.take<float>(64 * 64);
//
// An array is 16-byte aligned; launch with the sum of shared_array_bytes.
constexpr std::size_t shared_array_bytes(std::size_t bytes) {
    return (bytes + 15) / 16 * 16;
}
class SharedMemory {
  public:
    template <class T>
    __device__ T* take(std::size_t count) {
        extern __shared__ __align__(16) unsigned char memory[];
        T* array = reinterpret_cast<T*>(memory + used_);
        used_ += shared_array_bytes(count * sizeof(T));
        return array;
    }

  private:
    std::size_t used_ = 0;
};

// 16 bytes of T as one access.
template <class T>
struct alignas(16) Packed {
    static constexpr int count = 16 / sizeof(T);
    T values[count];
    __device__ T& operator[](int i) { return values[i]; }
    __device__ const T& operator[](int i) const { return values[i]; }
};
template <class T>
__device__ inline Packed<T> load_packed(const T* address) {  // 16-byte aligned
    return *reinterpret_cast<const Packed<T>*>(address);
}
template <class T>
__device__ inline void store_packed(T* address, const Packed<T>& packed) {
    *reinterpret_cast<Packed<T>*>(address) = packed;
}

}  // namespace cuda
