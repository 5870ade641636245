// Why so: oneDNN's primitives in bf16 would reorder W at every call and choose their blocks by the number of
// threads. Here one packed copy serves every call until the next update, and a number of C is summed in steps
// of 32 from the first to the last, wherever its block lies: results depend neither on threads nor on the
// number of rows.
//
// Rows are rounded into panels of a tile, 128 rows that stay in the second-level cache, before all columns
// are multiplied with it. For dW both operands are activations: pieces of 512 rows are packed by all threads,
// then multiplied by all threads. Traded away: a second copy of W for the backward product.
//
// Every function that holds instructions beyond the CPU of the build names them in its target attribute;
// bf16_unit() decides at run time whether they are called.
#include "kernels/linear/matmul_bf16.h"

#include <algorithm>
#include <atomic>
#include <stdexcept>
#include <vector>

#include "kernels/common/partition.h"
#include "kernels/common/transpose.h"
#include "kernels/linear/matmul.h"
#include "kernels/linear/reduce.h"
#include "kernels/pointwise/gelu.h"

#ifdef __x86_64__

#include <cpuid.h>
#include <immintrin.h>
#include <sys/syscall.h>
#include <unistd.h>

#define WITH_AVX512_BF16 __attribute__((target("avx512f,avx512bw,avx512vl,avx512bf16")))
#define WITH_AMX __attribute__((target("avx512f,amx-tile,amx-bf16")))

namespace cpu {
namespace {

constexpr int panel_rows = 16, panel_columns = 32, step = 32;
constexpr int A_tile = panel_rows * step, B_tile = step * panel_columns;  // numbers of a step
constexpr std::int64_t tile_rows = 128;                                   // rounded at once
constexpr std::int64_t piece_rows = 512;  // of a sum over rows, packed at once

constexpr std::int64_t steps_of(std::int64_t sum) {
    return (sum + step - 1) / step;
}
constexpr std::int64_t panels_of(std::int64_t count, int width) {
    return (count + width - 1) / width;
}

Bf16Unit detect() {
    if (!__builtin_cpu_supports("avx512bf16") || !__builtin_cpu_supports("avx512bw") ||
        !__builtin_cpu_supports("avx512vl"))
        return Bf16Unit::none;
    const Bf16Unit without_amx = __builtin_cpu_is("intel") ? Bf16Unit::none : Bf16Unit::avx512;
    constexpr unsigned amx_bf16 = 1u << 22, amx_tile = 1u << 24;  // of edx
    unsigned a, b, c, d = 0;
    if (__get_cpuid_count(7, 0, &a, &b, &c, &d) == 0 || (d & amx_bf16) == 0 || (d & amx_tile) == 0)
        return without_amx;
    constexpr long request_permission = 0x1023, tile_data = 18;  // ARCH_REQ_XCOMP_PERM, of arch/prctl.h
    return syscall(SYS_arch_prctl, request_permission, tile_data) == 0 ? Bf16Unit::amx : without_amx;
}

std::atomic<Bf16Unit> fastest_allowed{Bf16Unit::amx};

// ---- packing ----------------------------------------------------------------------------------------------
//
// Source [rows, width] in fp32, rows `stride` apart. The sum runs along a row or down a column.

// The columns [first, first + 16) that exist.
inline __mmask16 columns_from(std::int64_t first, std::int64_t width) {
    const std::int64_t left = std::clamp<std::int64_t>(width - first, 0, lanes);
    return static_cast<__mmask16>((1u << left) - 1);
}

// 32 numbers of a row, rounded.
WITH_AVX512_BF16 inline __m512i rounded_step(const float* row, std::int64_t first, std::int64_t width) {
    const __m512 low = _mm512_maskz_loadu_ps(columns_from(first, width), row + first),
                 high = _mm512_maskz_loadu_ps(columns_from(first + lanes, width), row + first + lanes);
    return reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(high, low));
}

// 16 columns of two rows, rounded, as pairs (upper, lower); rows from `rows` on are zero.
WITH_AVX512_BF16 inline __m512i rounded_pairs(const float* source, std::int64_t stride, std::int64_t row,
                                              std::int64_t rows, std::int64_t column, std::int64_t width) {
    const __mmask16 mask = columns_from(column, width);
    const float* const upper = source + row * stride + column;
    const __m512 first = row < rows ? _mm512_maskz_loadu_ps(mask, upper) : _mm512_setzero_ps(),
                 second = row + 1 < rows ? _mm512_maskz_loadu_ps(mask, upper + stride) : _mm512_setzero_ps();
    alignas(64) static constexpr std::int16_t interleaved[] = {0,  16, 1,  17, 2,  18, 3,  19, 4,  20, 5,
                                                               21, 6,  22, 7,  23, 8,  24, 9,  25, 10, 26,
                                                               11, 27, 12, 28, 13, 29, 14, 30, 15, 31};
    return _mm512_permutexvar_epi16(_mm512_load_si512(interleaved),
                                    reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(second, first)));
}

// 16 x 16 pairs, transposed.
WITH_AVX512_BF16 inline void transpose_pairs(bf16* target, std::int64_t target_stride,
                                             const __m512i (&pairs)[lanes]) {
    alignas(64) float rows[lanes][lanes];
    const float* row_start[lanes];
    for (int i = 0; i < lanes; ++i) {
        _mm512_store_si512(rows[i], pairs[i]);
        row_start[i] = rows[i];
    }
    transpose_16x16(reinterpret_cast<float*>(target), target_stride, row_start);
}

// A's panels, the sum along the source's rows.
WITH_AVX512_BF16 void pack_A(bf16* panels, const float* source, std::int64_t stride, std::int64_t rows,
                             std::int64_t width) {
    const std::int64_t steps = steps_of(width);
    for (std::int64_t row = 0; row < panels_of(rows, panel_rows) * panel_rows; ++row) {
        bf16* target = panels + row / panel_rows * steps * A_tile + row % panel_rows * step;
        for (std::int64_t s = 0; s < steps; ++s, target += A_tile)
            _mm512_storeu_si512(target, row < rows ? rounded_step(source + row * stride, s * step, width)
                                                   : _mm512_setzero_si512());
    }
}

// A step of one of A's panels, 16 columns of the source, the sum down them: for AMX as above, for AVX512-BF16
// [16 pairs of the sum][16 rows][2], which needs no transposition.
WITH_AVX512_BF16 void pack_A_transposed(bf16* tile, const float* source, std::int64_t stride,
                                        std::int64_t rows, std::int64_t column, std::int64_t width,
                                        bool by_pairs) {
    __m512i pairs[lanes];
    for (int i = 0; i < lanes; ++i) pairs[i] = rounded_pairs(source, stride, 2 * i, rows, column, width);
    if (!by_pairs) return transpose_pairs(tile, step / 2, pairs);
    for (int i = 0; i < lanes; ++i) _mm512_storeu_si512(tile + 2 * panel_rows * i, pairs[i]);
}

// One of B's panels, 32 columns of the source, the sum down them.
WITH_AVX512_BF16 void pack_B(bf16* panel, const float* source, std::int64_t stride, std::int64_t rows,
                             std::int64_t column, std::int64_t width) {
    for (std::int64_t row = 0; row < steps_of(rows) * step; row += 2, panel += 2 * panel_columns)
        for (int half = 0; half < 2; ++half)
            _mm512_storeu_si512(panel + half * step,
                                rounded_pairs(source, stride, row, rows, column + half * lanes, width));
}

// One of B's panels, 32 rows of the source, the sum along them.
WITH_AVX512_BF16 void pack_B_transposed(bf16* panel, const float* source, std::int64_t stride,
                                        std::int64_t row, std::int64_t rows, std::int64_t width) {
    for (std::int64_t s = 0; s < steps_of(width); ++s)
        for (int half = 0; half < 2; ++half) {
            __m512i numbers[lanes];
            for (int i = 0; i < lanes; ++i) {
                const std::int64_t r = row + half * lanes + i;
                numbers[i] =
                    r < rows ? rounded_step(source + r * stride, s * step, width) : _mm512_setzero_si512();
            }
            transpose_pairs(panel + s * B_tile + half * step, panel_columns, numbers);
        }
}

// ---- blocks of C ------------------------------------------------------------------------------------------

// A block of C: 16 or 32 rows, 32 columns. It starts from `start`, rows `start_stride` apart: C itself, a
// bias or zeros (stride 0).
struct Block {
    float* C;
    std::int64_t C_stride;
    const float* start;
    std::int64_t start_stride;
    const bf16 *A, *B;
    std::int64_t steps;
    int panels;             // of A
    bool by_pairs = false;  // the steps of A are [16 pairs of the sum][16 rows][2]: AVX512-BF16 alone
};

constexpr int register_rows = 8;

template <bool by_pairs>
WITH_AVX512_BF16 void multiply_rows(const Block& block, int first) {
    constexpr int row_stride = by_pairs ? 2 : step, pair_stride = by_pairs ? 2 * panel_rows : 2;
    const bf16 *a = block.A + first / panel_rows * block.steps * A_tile + first % panel_rows * row_stride,
               *b = block.B;
    __m512 sum[register_rows][2];
    for (int r = 0; r < register_rows; ++r)
        for (int v = 0; v < 2; ++v)
            sum[r][v] = _mm512_loadu_ps(block.start + (first + r) * block.start_stride + v * lanes);
    for (std::int64_t s = 0; s < block.steps; ++s, a += A_tile)
        for (int pair = 0; pair < step / 2; ++pair, b += 2 * panel_columns) {
            const auto b0 = reinterpret_cast<__m512bh>(_mm512_loadu_si512(b)),
                       b1 = reinterpret_cast<__m512bh>(_mm512_loadu_si512(b + step));
#pragma GCC unroll 8
            for (int r = 0; r < register_rows; ++r) {
                std::int32_t both;
                __builtin_memcpy(&both, a + r * row_stride + pair * pair_stride, sizeof both);
                const auto x = reinterpret_cast<__m512bh>(_mm512_set1_epi32(both));
                sum[r][0] = _mm512_dpbf16_ps(sum[r][0], x, b0);
                sum[r][1] = _mm512_dpbf16_ps(sum[r][1], x, b1);
            }
        }
    for (int r = 0; r < register_rows; ++r)
        for (int v = 0; v < 2; ++v)
            _mm512_storeu_ps(block.C + (first + r) * block.C_stride + v * lanes, sum[r][v]);
}

void multiply_avx512(const Block& block) {
    for (int row = 0; row < block.panels * panel_rows; row += register_rows)
        block.by_pairs ? multiply_rows<true>(block, row) : multiply_rows<false>(block, row);
}

// Tile registers: 0 to 3 hold the block of C, 4 and 5 two panels of A, 6 and 7 the halves of a panel of B.
// Tile loads are assembly that names no memory: the barriers keep stores of the operands before them.
WITH_AMX void multiply_amx(const Block& block) {
    asm volatile("" ::: "memory");
    const std::int64_t start_bytes = block.start_stride * 4, C_bytes = block.C_stride * 4;
    const float* const start = block.start;
    float* const C = block.C;
    constexpr int A_bytes = step * 2, B_bytes = panel_columns * 4;
    const bf16 *a = block.A, *b = block.B, *const a_end = a + block.steps * A_tile;
    _tile_loadd(0, start, start_bytes);
    _tile_loadd(1, start + lanes, start_bytes);
    if (block.panels == 1) {
        for (; a != a_end; a += A_tile, b += B_tile) {
            _tile_loadd(4, a, A_bytes);
            _tile_loadd(6, b, B_bytes);
            _tile_loadd(7, b + step, B_bytes);
            _tile_dpbf16ps(0, 4, 6);
            _tile_dpbf16ps(1, 4, 7);
        }
    } else {
        const std::int64_t next = block.steps * A_tile;
        _tile_loadd(2, start + panel_rows * block.start_stride, start_bytes);
        _tile_loadd(3, start + panel_rows * block.start_stride + lanes, start_bytes);
        for (; a != a_end; a += A_tile, b += B_tile) {
            _tile_loadd(4, a, A_bytes);
            _tile_loadd(5, a + next, A_bytes);
            _tile_loadd(6, b, B_bytes);
            _tile_loadd(7, b + step, B_bytes);
            _tile_dpbf16ps(0, 4, 6);
            _tile_dpbf16ps(1, 4, 7);
            _tile_dpbf16ps(2, 5, 6);
            _tile_dpbf16ps(3, 5, 7);
        }
        _tile_stored(2, C + panel_rows * block.C_stride, C_bytes);
        _tile_stored(3, C + panel_rows * block.C_stride + lanes, C_bytes);
    }
    _tile_stored(0, C, C_bytes);
    _tile_stored(1, C + lanes, C_bytes);
    asm volatile("" ::: "memory");
}

// Tile registers of 16 rows of 64 bytes, for this thread.
WITH_AMX void configure_tiles() {
    struct alignas(64) {
        std::uint8_t palette = 1, start_row = 0, reserved[14] = {};
        std::uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
        std::uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
    } shape;
    asm volatile("" ::"m"(shape) : "memory");
    _tile_loadconfig(&shape);
}
WITH_AMX void release_tiles() {
    _tile_release();
}

// Multiplies blocks on this thread during its lifetime.
class Multiplier {
  public:
    Multiplier() : amx_(bf16_unit() == Bf16Unit::amx) {
        if (amx_) configure_tiles();
    }
    ~Multiplier() {
        if (amx_) release_tiles();
    }
    Multiplier(const Multiplier&) = delete;
    Multiplier& operator=(const Multiplier&) = delete;

    // The `rows` x `columns` numbers of the block that C has.
    void operator()(const Block& block, std::int64_t rows, std::int64_t columns) const {
        if (rows == block.panels * panel_rows && columns == panel_columns) return multiply(block);
        alignas(64) float part[2 * panel_rows][panel_columns] = {};
        for (std::int64_t r = 0; r < rows; ++r)
            std::copy_n(block.start + r * block.start_stride, columns, part[r]);
        Block whole = block;
        whole.C = part[0], whole.C_stride = panel_columns;
        whole.start = part[0], whole.start_stride = panel_columns;
        multiply(whole);
        for (std::int64_t r = 0; r < rows; ++r) std::copy_n(part[r], columns, block.C + r * block.C_stride);
    }

  private:
    void multiply(const Block& block) const { amx_ ? multiply_amx(block) : multiply_avx512(block); }
    bool amx_;
};

// ---- products ---------------------------------------------------------------------------------------------

// Memory of this thread for packed operands, aligned to 64 bytes.
bf16* own_memory(std::int64_t count) {
    constexpr std::size_t alignment = 32;  // numbers
    thread_local std::vector<bf16> memory;
    if (memory.size() < static_cast<std::size_t>(count) + alignment)
        memory.resize(static_cast<std::size_t>(count) + alignment);
    const auto address = reinterpret_cast<std::uintptr_t>(memory.data());
    return reinterpret_cast<bf16*>((address + 63) / 64 * 64);
}

// A core does about this many multiply-adds in the time of an element as partition.h counts them.
constexpr std::int64_t products_per_element = 128;

enum class Start { zero, row, C };  // of a sum: 0, a bias for each column, what C holds

struct Product {
    float* C;  // [rows, columns]
    std::int64_t C_stride;
    const float* A;  // [rows, sum]
    std::int64_t A_stride;
    const bf16* B;  // panels
    const float* bias;
    std::int64_t rows, columns, sum;
    Start start;
};

constexpr float zeros[panel_columns] = {};

// Columns of the panels [first, last) for the rows [row, row + count), `count` at most tile_rows.
void multiply_tile(const Product& p, std::int64_t row, std::int64_t count, std::int64_t first,
                   std::int64_t last) {
    const std::int64_t steps = steps_of(p.sum);
    bf16* const A = own_memory(tile_rows * steps * step);
    pack_A(A, p.A + row * p.A_stride, p.A_stride, count, p.sum);
    const Multiplier multiply;
    for (std::int64_t panel = first; panel < last; ++panel) {
        const std::int64_t column = panel * panel_columns,
                           columns = std::min<std::int64_t>(panel_columns, p.columns - column);
        for (std::int64_t r = 0; r < count; r += 2 * panel_rows) {
            float* const C = p.C + (row + r) * p.C_stride + column;
            const float* const start = p.start == Start::C     ? C
                                       : p.start == Start::row ? p.bias + column
                                                               : zeros;
            const std::int64_t rows = std::min<std::int64_t>(2 * panel_rows, count - r);
            multiply({C, p.C_stride, start, p.start == Start::C ? p.C_stride : 0, A + r * steps * step,
                      p.B + panel * steps * B_tile, steps, rows > panel_rows ? 2 : 1},
                     rows, columns);
        }
    }
}

// Calls body(row, rows, first panel, last panel) for tiles; few rows are divided by columns as well.
template <class Body>
void for_tiles(const Product& p, bool whole_rows, Body body) {
    const std::int64_t tiles = (p.rows + tile_rows - 1) / tile_rows,
                       panels = panels_of(p.columns, panel_columns),
                       threads = whole_rows ? 1 : thread_count(),
                       across = std::clamp((threads + tiles - 1) / std::max<std::int64_t>(tiles, 1),
                                           std::int64_t{1}, panels);
    for_each_task(tiles * across, p.rows * p.columns * p.sum / products_per_element, [=](std::int64_t task) {
        const std::int64_t row = task / across * tile_rows;
        const auto [first, last] = row_slice(panels, across, task % across);
        body(row, std::min(tile_rows, p.rows - row), first, last);
    });
}

void multiply_all(const Product& p) {
    for_tiles(p, false,
              [&p](auto row, auto rows, auto first, auto last) { multiply_tile(p, row, rows, first, last); });
}

Product backward_input(float* dx, std::int64_t dx_stride, const float* dy, std::int64_t dy_stride,
                       const bf16* weight, std::int64_t rows, std::int64_t N, std::int64_t K, Start start) {
    return {dx, dx_stride, dy, dy_stride, weight, nullptr, rows, K, N, start};
}

// d_weight [N, K] += dy [rows, N]^T x [rows, K], at most piece_rows rows.
void add_piece(float* d_weight, const float* dy, std::int64_t dy_stride, const float* x,
               std::int64_t x_stride, std::int64_t rows, std::int64_t N, std::int64_t K) {
    const std::int64_t steps = steps_of(rows), A_panels = panels_of(N, panel_rows),
                       B_panels = panels_of(K, panel_columns), work = rows * N * K / products_per_element;
    const bool by_pairs = bf16_unit() == Bf16Unit::avx512;
    // An even number of A's panels, so that the last block has two as well.
    bf16 *const A = own_memory((A_panels + 1) * steps * A_tile + B_panels * steps * B_tile),
                *const B = A + (A_panels + 1) * steps * A_tile;
    // Step by step: the 32 rows of a step are read whole, while a panel would read a few bytes of every row.
    for_each_task(steps, work, [=](std::int64_t s) {
        const std::int64_t row = s * step, count = std::min<std::int64_t>(step, rows - row);
        for (std::int64_t panel = 0; panel < A_panels; ++panel)
            pack_A_transposed(A + (panel * steps + s) * A_tile, dy + row * dy_stride, dy_stride, count,
                              panel * panel_rows, N, by_pairs);
        for (std::int64_t panel = 0; panel < B_panels; ++panel)
            pack_B(B + (panel * steps + s) * B_tile, x + row * x_stride, x_stride, count,
                   panel * panel_columns, K);
    });
    const std::int64_t blocks = (A_panels + 1) / 2;
    for_each_task(blocks, work, [=](std::int64_t block) {
        const Multiplier multiply;
        const std::int64_t n = block * 2 * panel_rows, count = std::min<std::int64_t>(2 * panel_rows, N - n);
        for (std::int64_t panel = 0; panel < B_panels; ++panel) {
            const std::int64_t k = panel * panel_columns;
            float* const C = d_weight + n * K + k;
            multiply({C, K, C, K, A + 2 * block * steps * A_tile, B + panel * steps * B_tile, steps,
                      count > panel_rows ? 2 : 1, by_pairs},
                     count, std::min<std::int64_t>(panel_columns, K - k));
        }
    });
}

}  // namespace

Bf16Unit bf16_unit() {
    static const Bf16Unit found = detect();
    return std::min(found, fastest_allowed.load(std::memory_order_relaxed));
}

void limit_bf16_unit(Bf16Unit fastest) {
    fastest_allowed = fastest;
}

std::int64_t packed_bf16_elements(std::int64_t N, std::int64_t K) {
    return steps_of(N) * steps_of(K) * B_tile;  // a panel is as wide as a step is long
}

void pack_bf16(bf16* packed, const float* weight, std::int64_t N, std::int64_t K) {
    for_each_task(panels_of(N, panel_columns), N * K, [=](std::int64_t panel) {
        pack_B_transposed(packed + panel * steps_of(K) * B_tile, weight, K, panel * panel_columns, N, K);
    });
}

void pack_bf16_backward(bf16* packed, const float* weight, std::int64_t N, std::int64_t K) {
    for_each_task(panels_of(K, panel_columns), N * K, [=](std::int64_t panel) {
        pack_B(packed + panel * steps_of(N) * B_tile, weight, K, N, panel * panel_columns, K);
    });
}

void linear_forward(float* y, std::int64_t y_stride, const float* x, std::int64_t x_stride,
                    const bf16* weight, const float* bias, std::int64_t rows, std::int64_t N,
                    std::int64_t K) {
    multiply_all(
        {y, y_stride, x, x_stride, weight, bias, rows, N, K, bias == nullptr ? Start::zero : Start::row});
}

void linear_gelu_forward(float* activated, float* y, const float* x, const bf16* weight, const float* bias,
                         std::int64_t rows, std::int64_t N, std::int64_t K) {
    float* const before = y != nullptr ? y : activated;
    const Product p{before, N, x, K, weight, bias, rows, N, K, Start::row};
    for_tiles(p, true, [=, &p](auto row, auto count, auto first, auto last) {
        multiply_tile(p, row, count, first, last);
        gelu_forward(activated + row * N, before + row * N, count * N);
    });
}

void linear_backward_input(float* dx, std::int64_t dx_stride, const float* dy, std::int64_t dy_stride,
                           const bf16* weight, std::int64_t rows, std::int64_t N, std::int64_t K) {
    multiply_all(backward_input(dx, dx_stride, dy, dy_stride, weight, rows, N, K, Start::zero));
}

void linear_backward_input_accumulate(float* dx, std::int64_t dx_stride, const float* dy,
                                      std::int64_t dy_stride, const bf16* weight, std::int64_t rows,
                                      std::int64_t N, std::int64_t K) {
    multiply_all(backward_input(dx, dx_stride, dy, dy_stride, weight, rows, N, K, Start::C));
}

void linear_backward_weight(Bf16ProductSum d_weight, float* d_bias, float* workspace, const float* dy,
                            std::int64_t dy_stride, const float* x, std::int64_t x_stride, std::int64_t rows,
                            std::int64_t N, std::int64_t K) {
    for (std::int64_t row = 0; row < rows; row += piece_rows)
        add_piece(d_weight.value, dy + row * dy_stride, dy_stride, x + row * x_stride, x_stride,
                  std::min(piece_rows, rows - row), N, K);
    if (d_bias != nullptr && rows > 0) column_sum_accumulate(d_bias, workspace, dy, dy_stride, rows, N);
}

}  // namespace cpu

#else  // another processor: bf16_unit() is `none`, and nothing of the rest may be called

namespace cpu {
namespace {

[[noreturn]] void refuse() {
    throw std::logic_error("products in bf16 on a processor without them");
}

}  // namespace

Bf16Unit bf16_unit() {
    return Bf16Unit::none;
}
void limit_bf16_unit(Bf16Unit) {}
std::int64_t packed_bf16_elements(std::int64_t N, std::int64_t K) {
    return N * K;
}
void pack_bf16(bf16*, const float*, std::int64_t, std::int64_t) {
    refuse();
}
void pack_bf16_backward(bf16*, const float*, std::int64_t, std::int64_t) {
    refuse();
}
void linear_forward(float*, std::int64_t, const float*, std::int64_t, const bf16*, const float*, std::int64_t,
                    std::int64_t, std::int64_t) {
    refuse();
}
void linear_gelu_forward(float*, float*, const float*, const bf16*, const float*, std::int64_t, std::int64_t,
                         std::int64_t) {
    refuse();
}
void linear_backward_input(float*, std::int64_t, const float*, std::int64_t, const bf16*, std::int64_t,
                           std::int64_t, std::int64_t) {
    refuse();
}
void linear_backward_input_accumulate(float*, std::int64_t, const float*, std::int64_t, const bf16*,
                                      std::int64_t, std::int64_t, std::int64_t) {
    refuse();
}
void linear_backward_weight(Bf16ProductSum, float*, float*, const float*, std::int64_t, const float*,
                            std::int64_t, std::int64_t, std::int64_t, std::int64_t) {
    refuse();
}

}  // namespace cpu

#endif
