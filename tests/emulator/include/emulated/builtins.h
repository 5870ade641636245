// The built-in functions of device code.
#pragma once

#include <math.h>

#include <bit>
#include <cstdint>
#include <cstring>
#include <source_location>
#include <type_traits>

#include "emulated/types.h"
#include "tests/emulator/scheduler.h"

namespace emulator {

// The same value, opaque to the optimizer: products of it are not contracted into fused multiply-adds.
inline float opaque(float x) {
#if defined(__x86_64__)
    asm("" : "+x"(x));
#else
    asm("" : "+w"(x));
#endif
    return x;
}
inline double opaque(double x) {
#if defined(__x86_64__)
    asm("" : "+x"(x));
#else
    asm("" : "+w"(x));
#endif
    return x;
}

template <class T>
std::uint64_t to_word(T value) {
    static_assert(sizeof(T) <= 8 && std::is_trivially_copyable_v<T>);
    std::uint64_t word = 0;
    std::memcpy(&word, &value, sizeof(T));
    return word;
}
template <class T>
T from_word(std::uint64_t word) {
    T value;
    std::memcpy(&value, &word, sizeof(T));
    return value;
}

// Types of the shuffles: 4 or 8 bytes.
template <class T>
concept Shuffled = std::is_arithmetic_v<T> &&(sizeof(T) == 4 || sizeof(T) == 8);

template <Shuffled T>
T shuffle(unsigned mask, T value, int source, const Where& where) {
    return from_word<T>(wait_for_warp(WarpOperation::shuffle, mask, to_word(value), source, where));
}
inline unsigned vote(WarpOperation operation, unsigned mask, int predicate, const Where& where) {
    return static_cast<unsigned>(wait_for_warp(operation, mask, predicate != 0, 0, where));
}
inline void require_width(int width) {
    if (width <= 0 || width > 32 || (width & (width - 1)) != 0)
        fail("a shuffle's width is a power of two up to 32");
}

}  // namespace emulator

// ---- barriers, votes, shuffles --------------------------------------------------------------------------

inline void __syncthreads(const emulator::Where& where = emulator::Where::current()) {
    emulator::wait_for_block(emulator::BlockOperation::barrier, false, where);
}
inline int __syncthreads_or(int predicate, const emulator::Where& where = emulator::Where::current()) {
    return emulator::wait_for_block(emulator::BlockOperation::barrier_or, predicate != 0, where) != 0;
}
inline int __syncthreads_and(int predicate, const emulator::Where& where = emulator::Where::current()) {
    return emulator::wait_for_block(emulator::BlockOperation::barrier_and, predicate == 0, where) == 0;
}
inline int __syncthreads_count(int predicate, const emulator::Where& where = emulator::Where::current()) {
    return emulator::wait_for_block(emulator::BlockOperation::barrier_count, predicate != 0, where);
}
inline void __syncwarp(unsigned mask = 0xFFFFFFFFu,
                       const emulator::Where& where = emulator::Where::current()) {
    emulator::wait_for_warp(emulator::WarpOperation::barrier, mask, 0, 0, where);
}

inline unsigned __ballot_sync(unsigned mask, int predicate,
                              const emulator::Where& where = emulator::Where::current()) {
    return emulator::vote(emulator::WarpOperation::ballot, mask, predicate, where);
}
inline int __any_sync(unsigned mask, int predicate,
                      const emulator::Where& where = emulator::Where::current()) {
    return emulator::vote(emulator::WarpOperation::any, mask, predicate, where) != 0;
}
inline int __all_sync(unsigned mask, int predicate,
                      const emulator::Where& where = emulator::Where::current()) {
    return emulator::vote(emulator::WarpOperation::all, mask, predicate, where) == mask;
}

// The value of another lane of the caller's segment of `width` lanes; the caller's own where there is none.
template <emulator::Shuffled T>
T __shfl_sync(unsigned mask, T value, int source, int width = 32,
              const emulator::Where& where = emulator::Where::current()) {
    emulator::require_width(width);
    const int lane = emulator::lane();
    return emulator::shuffle(mask, value, lane / width * width + (source & (width - 1)), where);
}
template <emulator::Shuffled T>
T __shfl_up_sync(unsigned mask, T value, unsigned distance, int width = 32,
                 const emulator::Where& where = emulator::Where::current()) {
    emulator::require_width(width);
    const int lane = emulator::lane();
    const bool inside = distance <= static_cast<unsigned>(lane % width);
    return emulator::shuffle(mask, value, inside ? lane - static_cast<int>(distance) : lane, where);
}
template <emulator::Shuffled T>
T __shfl_down_sync(unsigned mask, T value, unsigned distance, int width = 32,
                   const emulator::Where& where = emulator::Where::current()) {
    emulator::require_width(width);
    const int lane = emulator::lane();
    const bool inside = distance < static_cast<unsigned>(width - lane % width);
    return emulator::shuffle(mask, value, inside ? lane + static_cast<int>(distance) : lane, where);
}
// As the device, lanes of a segment may read from earlier segments, not from later ones.
template <emulator::Shuffled T>
T __shfl_xor_sync(unsigned mask, T value, int lane_mask, int width = 32,
                  const emulator::Where& where = emulator::Where::current()) {
    emulator::require_width(width);
    const int lane = emulator::lane(), source = lane ^ lane_mask;
    const bool inside = source >= 0 && source < lane / width * width + width;
    return emulator::shuffle(mask, value, inside ? source : lane, where);
}

inline void __threadfence() {
    emulator::thread_fence();
}
inline void __threadfence_block() {
    emulator::thread_fence();
}

// ---- atomics, on integers: floats' results would depend on the order ------------------------------------

namespace emulator {
template <class T>
concept Atomic =
    std::is_same_v<T, int> || std::is_same_v<T, unsigned> || std::is_same_v<T, unsigned long long>;

template <class T, class Function>
T replace(T* address, Function function) {
    T old = __atomic_load_n(address, __ATOMIC_RELAXED);
    while (!__atomic_compare_exchange_n(address, &old, function(old), false, __ATOMIC_RELAXED,
                                        __ATOMIC_RELAXED)) {
    }
    return old;
}
}  // namespace emulator

template <emulator::Atomic T>
T atomicAdd(T* address, std::type_identity_t<T> value) {
    return __atomic_fetch_add(address, value, __ATOMIC_RELAXED);
}
template <emulator::Atomic T>
T atomicSub(T* address, std::type_identity_t<T> value) {
    return __atomic_fetch_sub(address, value, __ATOMIC_RELAXED);
}
template <emulator::Atomic T>
T atomicAnd(T* address, std::type_identity_t<T> value) {
    return __atomic_fetch_and(address, value, __ATOMIC_RELAXED);
}
template <emulator::Atomic T>
T atomicOr(T* address, std::type_identity_t<T> value) {
    return __atomic_fetch_or(address, value, __ATOMIC_RELAXED);
}
template <emulator::Atomic T>
T atomicXor(T* address, std::type_identity_t<T> value) {
    return __atomic_fetch_xor(address, value, __ATOMIC_RELAXED);
}
template <emulator::Atomic T>
T atomicMax(T* address, std::type_identity_t<T> value) {
    return emulator::replace(address, [=](T old) { return old < value ? value : old; });
}
template <emulator::Atomic T>
T atomicMin(T* address, std::type_identity_t<T> value) {
    return emulator::replace(address, [=](T old) { return value < old ? value : old; });
}
template <emulator::Atomic T>
T atomicExch(T* address, std::type_identity_t<T> value) {
    return __atomic_exchange_n(address, value, __ATOMIC_RELAXED);
}
inline float atomicExch(float* address, float value) {
    float old;
    __atomic_exchange(address, &value, &old, __ATOMIC_RELAXED);
    return old;
}
template <emulator::Atomic T>
T atomicCAS(T* address, std::type_identity_t<T> expected, std::type_identity_t<T> value) {
    __atomic_compare_exchange_n(address, &expected, value, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
    return expected;
}

// ---- arithmetic -----------------------------------------------------------------------------------------

// One rounding each, never contracted.
inline float __fmul_rn(float a, float b) {
    return emulator::opaque(emulator::opaque(a) * emulator::opaque(b));
}
inline float __fadd_rn(float a, float b) {
    return emulator::opaque(emulator::opaque(a) + emulator::opaque(b));
}
inline float __fsub_rn(float a, float b) {
    return emulator::opaque(emulator::opaque(a) - emulator::opaque(b));
}
inline float __fdiv_rn(float a, float b) {
    return emulator::opaque(emulator::opaque(a) / emulator::opaque(b));
}
inline float __fmaf_rn(float a, float b, float c) {
    return fmaf(a, b, c);
}
inline float __fsqrt_rn(float a) {
    return sqrtf(a);
}
inline float __frcp_rn(float a) {
    return __fdiv_rn(1.0f, a);
}
inline double __dmul_rn(double a, double b) {
    return emulator::opaque(emulator::opaque(a) * emulator::opaque(b));
}
inline double __dadd_rn(double a, double b) {
    return emulator::opaque(emulator::opaque(a) + emulator::opaque(b));
}
inline double __dsub_rn(double a, double b) {
    return emulator::opaque(emulator::opaque(a) - emulator::opaque(b));
}
inline double __ddiv_rn(double a, double b) {
    return emulator::opaque(emulator::opaque(a) / emulator::opaque(b));
}
inline double __fma_rn(double a, double b, double c) {
    return fma(a, b, c);
}

inline float rsqrtf(float x) {
    return 1.0f / sqrtf(x);
}
inline double rsqrt(double x) {
    return 1.0 / sqrt(x);
}
inline float __frsqrt_rn(float x) {
    return static_cast<float>(1.0 / sqrt(static_cast<double>(x)));
}
inline float __saturatef(float x) {
    return x > 0.0f ? (x < 1.0f ? x : 1.0f) : 0.0f;  // NaN becomes 0
}
inline float __fdividef(float a, float b) {
    return fabsf(b) > 0x1p126f && fabsf(b) <= 0x1.fffffep127f ? (isinf(a) ? NAN : 0.0f * a) : a / b;
}

// The C library declares some of these names for its own use.
#define __expf emulated_expf
#define __exp10f emulated_exp10f
#define __logf emulated_logf
#define __log2f emulated_log2f
#define __powf emulated_powf
#define __sinf emulated_sinf
#define __cosf emulated_cosf
#define __tanhf emulated_tanhf
inline float __expf(float x) {
    return expf(x);
}
inline float __logf(float x) {
    return logf(x);
}
inline float __log2f(float x) {
    return log2f(x);
}
inline float __powf(float x, float y) {
    return powf(x, y);
}
inline float __sinf(float x) {
    return sinf(x);
}
inline float __cosf(float x) {
    return cosf(x);
}
inline void sincospif(float x, float* sine, float* cosine) {
    *sine = static_cast<float>(sin(M_PI * static_cast<double>(x)));
    *cosine = static_cast<float>(cos(M_PI * static_cast<double>(x)));
}
inline float cospif(float x) {
    return static_cast<float>(cos(M_PI * static_cast<double>(x)));
}
inline float sinpif(float x) {
    return static_cast<float>(sin(M_PI * static_cast<double>(x)));
}

// ---- bits and conversions -------------------------------------------------------------------------------

inline int __float_as_int(float x) {
    return std::bit_cast<int>(x);
}
inline unsigned __float_as_uint(float x) {
    return std::bit_cast<unsigned>(x);
}
inline float __int_as_float(int x) {
    return std::bit_cast<float>(x);
}
inline float __uint_as_float(unsigned x) {
    return std::bit_cast<float>(x);
}
inline long long __double_as_longlong(double x) {
    return std::bit_cast<long long>(x);
}
inline double __longlong_as_double(long long x) {
    return std::bit_cast<double>(x);
}

namespace emulator {
// Conversions as on the device: NaN becomes 0; values out of range are clamped.
template <class Integer, class Float>
Integer to_integer(Float x) {
    if (x != x) return 0;
    if (x <= static_cast<Float>(std::numeric_limits<Integer>::min()))
        return std::numeric_limits<Integer>::min();
    if (x >= static_cast<Float>(std::numeric_limits<Integer>::max()))
        return std::numeric_limits<Integer>::max();
    return static_cast<Integer>(x);
}
}  // namespace emulator
inline int __float2int_rn(float x) {
    return emulator::to_integer<int>(rintf(x));
}
inline int __float2int_rz(float x) {
    return emulator::to_integer<int>(truncf(x));
}
inline int __float2int_rd(float x) {
    return emulator::to_integer<int>(floorf(x));
}
inline int __float2int_ru(float x) {
    return emulator::to_integer<int>(ceilf(x));
}
inline unsigned __float2uint_rn(float x) {
    return emulator::to_integer<unsigned>(rintf(x));
}
inline unsigned __float2uint_rz(float x) {
    return emulator::to_integer<unsigned>(truncf(x));
}
inline long long __float2ll_rn(float x) {
    return emulator::to_integer<long long>(rintf(x));
}
inline float __int2float_rn(int x) {
    return static_cast<float>(x);
}
inline float __uint2float_rn(unsigned x) {
    return static_cast<float>(x);
}
inline float __double2float_rn(double x) {
    return static_cast<float>(x);
}

inline int __mulhi(int a, int b) {
    return static_cast<int>((static_cast<long long>(a) * b) >> 32);
}
inline unsigned __umulhi(unsigned a, unsigned b) {
    return static_cast<unsigned>((static_cast<unsigned long long>(a) * b) >> 32);
}
inline unsigned long long __umul64hi(unsigned long long a, unsigned long long b) {
    return static_cast<unsigned long long>((static_cast<unsigned __int128>(a) * b) >> 64);
}
inline int __popc(unsigned x) {
    return std::popcount(x);
}
inline int __popcll(unsigned long long x) {
    return std::popcount(x);
}
inline int __clz(int x) {
    return std::countl_zero(static_cast<unsigned>(x));
}
inline int __clzll(long long x) {
    return std::countl_zero(static_cast<unsigned long long>(x));
}
inline int __ffs(int x) {
    return x == 0 ? 0 : std::countr_zero(static_cast<unsigned>(x)) + 1;
}
inline int __ffsll(long long x) {
    return x == 0 ? 0 : std::countr_zero(static_cast<unsigned long long>(x)) + 1;
}
inline unsigned __brev(unsigned x) {
    unsigned reversed = 0;
    for (int bit = 0; bit < 32; ++bit) reversed |= (x >> bit & 1u) << (31 - bit);
    return reversed;
}

// ---- loads and stores with a hint to the caches ---------------------------------------------------------

template <class T>
T __ldg(const T* address) {
    return *address;
}
template <class T>
T __ldcs(const T* address) {
    return *address;
}
template <class T>
T __ldcg(const T* address) {
    return *address;
}
template <class T>
void __stcs(T* address, std::type_identity_t<T> value) {
    *address = value;
}
template <class T>
void __stcg(T* address, std::type_identity_t<T> value) {
    *address = value;
}

// ---- min and max ----------------------------------------------------------------------------------------

#define EMULATED_MIN_MAX(type)           \
    constexpr type min(type a, type b) { \
        return b < a ? b : a;            \
    }                                    \
    constexpr type max(type a, type b) { \
        return a < b ? b : a;            \
    }
EMULATED_MIN_MAX(int)
EMULATED_MIN_MAX(unsigned)
EMULATED_MIN_MAX(long)
EMULATED_MIN_MAX(unsigned long)
EMULATED_MIN_MAX(long long)
EMULATED_MIN_MAX(unsigned long long)
#undef EMULATED_MIN_MAX
// NaN is ignored if the other argument is a number.
inline float min(float a, float b) {
    return fminf(a, b);
}
inline float max(float a, float b) {
    return fmaxf(a, b);
}
inline double min(double a, double b) {
    return fmin(a, b);
}
inline double max(double a, double b) {
    return fmax(a, b);
}
