// Why so: oneDNN's sgemm runs at the machine's ceiling for these shapes from a few dozen rows on. Many rows
// are divided into tiles, each computed by one thread with single-threaded sgemm, so that the tile is still
// in that thread's cache for bias and activation; few rows
// are divided into pieces of the product. Traded away: packing
// the weights once for all tiles. Besides conv2d.cpp the only file that includes oneDNN; version 2.6
// suffices.
//
// No result depends on the number of threads: sgemm's long sums do, since it splits them by the number of
// rows and threads. They are split here, by the shape alone. Without AVX-512 every sum depends on where sgemm's
// call begins, since up to three rows behind the last six are computed in another order: there all calls are cut by
// the shape alone. The forward product goes further: its calls have no such rows, so that a row's bits depend on no
// other row.
#include "kernels/linear/matmul.h"

#include <dnnl.h>

#include <algorithm>
#include <stdexcept>
#include <vector>

#include "kernels/common/threads.h"
#include "kernels/common/transpose.h"
#include "kernels/linear/reduce.h"
#include "kernels/pointwise/gelu.h"

namespace cpu {
namespace {

#ifdef __AVX512F__
constexpr bool sums_depend_on_cut = false;
constexpr std::int64_t row_granule = 16;  // sgemm's sums are others for fewer rows
#else
constexpr bool sums_depend_on_cut = true;
constexpr std::int64_t row_granule = 12;  // of a multiple sgemm computes all rows' sums in one order
#endif
constexpr std::int64_t longest_sum = 768;  // that sgemm computes in one piece for any number of rows

void library_sgemm(char transpose_a, char transpose_b, std::int64_t M, std::int64_t N, std::int64_t K,
                   const float* A, std::int64_t lda, const float* B, std::int64_t ldb, float beta, float* C,
                   std::int64_t ldc) {
    if (dnnl_sgemm(transpose_a, transpose_b, M, N, K, 1.0f, A, lda, B, ldb, beta, C, ldc) != dnnl_success)
        throw std::runtime_error("dnnl_sgemm refused its arguments");
}

// C = A B + beta C. Outside of a shared task threads share the product.
void plain_sgemm(char transpose_a, char transpose_b, std::int64_t M, std::int64_t N, std::int64_t K,
                 const float* A, std::int64_t lda, const float* B, std::int64_t ldb, float beta, float* C,
                 std::int64_t ldc) {
    if (inside_shared_task())
        return library_sgemm(transpose_a, transpose_b, M, N, K, A, lda, B, ldb, beta, C, ldc);
    // Pieces of so many rows and columns, each computed by one thread; a last one that is small is a part of the one
    // before it.
    const auto pieces_of = [](std::int64_t count, std::int64_t size) {
        const std::int64_t least = sums_depend_on_cut ? 1 : row_granule;
        return std::max<std::int64_t>(1, (count + size - least) / size);
    };
    const bool is_large = M >= 2048 && N >= 2048;  // then operands are packed less often
    const std::int64_t rows = is_large ? 768 : 192, columns = is_large ? 1024 : 256;
    const std::int64_t down = pieces_of(M, rows), across = pieces_of(N, columns);
    share_each(down * across, 1, [&](std::int64_t piece) {
        const std::int64_t i = piece / across, j = piece % across, m = i * rows, n = j * columns;
        library_sgemm(transpose_a, transpose_b, i + 1 < down ? rows : M - m, j + 1 < across ? columns : N - n,
                      K, A + m * (transpose_a == 'N' ? lda : 1), lda, B + n * (transpose_b == 'N' ? 1 : ldb),
                      ldb, beta, C + m * ldc + n, ldc);
    });
}

// The same with the sums over K in pieces of one size.
void sgemm(char transpose_a, char transpose_b, std::int64_t M, std::int64_t N, std::int64_t K, const float* A,
           std::int64_t lda, const float* B, std::int64_t ldb, float beta, float* C, std::int64_t ldc) {
    const std::int64_t pieces = (K + longest_sum - 1) / longest_sum, size = (K + pieces - 1) / pieces;
    for (std::int64_t k = 0; k < K; k += size)
        plain_sgemm(transpose_a, transpose_b, M, N, std::min(size, K - k),
                    A + k * (transpose_a == 'N' ? 1 : lda), lda, B + k * (transpose_b == 'N' ? ldb : 1), ldb,
                    k > 0 ? 1.0f : beta, C, ldc);
}

constexpr std::int64_t tile_rows = 512;        // at most
constexpr std::int64_t bare_tile_rows = 1024;  // at most, of W transposed and no bias: W is packed less often
constexpr std::int64_t least_tile_rows = 128;

// Calls body(first row, number of rows) for tiles of one size, as many as threads or a multiple: a small last
// one, or one more than threads, would leave the others waiting.
template <class Body>
void for_row_tiles(std::int64_t rows, std::int64_t most, Body body) {
    if (rows < 2 * tile_rows) {
        body(std::int64_t{0}, rows);
        return;
    }
    const std::int64_t threads = sums_depend_on_cut ? 1 : 4 * thread_count(), at_once = threads * most,
                       tiles = (rows + at_once - 1) / at_once * threads,
                       even = ((rows + tiles - 1) / tiles + row_granule - 1) / row_granule * row_granule,
                       size = std::max(even, least_tile_rows);
    share_each(tiles, 1, [&](std::int64_t tile) {
        const std::int64_t left = rows - tile * size;
        // Too few for a separate tile: added to the previous one.
        if (left >= row_granule) body(tile * size, left < size + row_granule ? left : size);
    });
}

constexpr std::int64_t row_padding = 16;           // floats behind each copied row
constexpr std::int64_t turned_floats = 72 * 1024;  // at most, on a thread's stack

// Rows of y = x W^T, as many as sgemm computes alike. It is a fifth slower if it transposes W itself, once for every
// few rows: a small W is passed as W^T. The sums are the same, bit for bit.
void forward_like_rows(float* y, std::int64_t y_stride, const float* x, std::int64_t x_stride,
                       const float* weight, std::int64_t rows, std::int64_t N, std::int64_t K) {
    const std::int64_t stride = N + row_padding;
    if (rows < least_tile_rows || N % lanes != 0 || K % lanes != 0 || stride * K > turned_floats)
        return sgemm('N', 'T', rows, N, K, x, x_stride, weight, K, 0.0f, y, y_stride);
    alignas(64) float turned[turned_floats];
    for (std::int64_t n = 0; n < N; n += lanes) {
        const float* row_start[lanes];
        for (int i = 0; i < lanes; ++i) row_start[i] = weight + (n + i) * K;
        for (std::int64_t k = 0; k < K; k += lanes) {
            transpose_16x16(turned + k * stride + n, stride, row_start);
            for (const float*& start : row_start) start += lanes;
        }
    }
    sgemm('N', 'N', rows, N, K, x, x_stride, turned, stride, 0.0f, y, y_stride);
}

// Rows of y = x W^T, each of them the same bits whatever the others are. The last rows are computed in a call of
// row_granule rows, together with some before them or, if there are none, with zeros.
void forward_rows(float* y, std::int64_t y_stride, const float* x, std::int64_t x_stride, const float* weight,
                  std::int64_t rows, std::int64_t N, std::int64_t K) {
    const bool all_alike = rows >= row_granule && (!sums_depend_on_cut || rows % row_granule == 0);
    const std::int64_t alike = all_alike ? rows : rows / row_granule * row_granule, last = rows - row_granule;
    if (alike > 0) forward_like_rows(y, y_stride, x, x_stride, weight, alike, N, K);
    if (alike == rows) return;
    if (last >= 0)
        return forward_like_rows(y + last * y_stride, y_stride, x + last * x_stride, x_stride, weight,
                                 row_granule, N, K);
    std::vector<float> operands(static_cast<std::size_t>(row_granule * (K + N)));
    float* const padded = operands.data();
    float* const results = padded + row_granule * K;
    for (std::int64_t row = 0; row < rows; ++row) std::copy_n(x + row * x_stride, K, padded + row * K);
    forward_like_rows(results, N, padded, K, weight, row_granule, N, K);
    for (std::int64_t row = 0; row < rows; ++row) std::copy_n(results + row * N, N, y + row * y_stride);
}

void add_bias(float* y, std::int64_t y_stride, const float* bias, std::int64_t rows, std::int64_t N) {
    for (std::int64_t row = 0; row < rows; ++row) {
        float* out = y + row * y_stride;
#pragma omp simd
        for (std::int64_t n = 0; n < N; ++n) out[n] += bias[n];
    }
}

// dx [K] = dy [N] W + beta dx, beta 0 or 1: sgemm would divide the sum over N among its threads.
void backward_input_row(float* dx, const float* dy, const float* weight, std::int64_t N, std::int64_t K,
                        float beta) {
    if (beta == 0) std::fill_n(dx, K, 0.0f);
    for (std::int64_t n = 0; n < N; ++n) {
        const float* row = weight + n * K;
#pragma omp simd
        for (std::int64_t k = 0; k < K; ++k) dx[k] += dy[n] * row[k];
    }
}

void backward_input(float* dx, std::int64_t dx_stride, const float* dy, std::int64_t dy_stride,
                    const float* weight, std::int64_t rows, std::int64_t N, std::int64_t K, float beta) {
    if (rows == 1) return backward_input_row(dx, dy, weight, N, K, beta);
    for_row_tiles(rows, tile_rows, [=](std::int64_t first, std::int64_t count) {
        sgemm('N', 'N', count, K, N, dy + first * dy_stride, dy_stride, weight, K, beta,
              dx + first * dx_stride, dx_stride);
    });
}

constexpr std::int64_t share_granule = 32;  // rows of W's gradient per thread are a multiple of this
constexpr std::int64_t piece_rows = 256;    // of dy, copied at once
constexpr std::int64_t narrow = 128;        // columns of x

// d_weight [N, K] += dy [rows, N]^T x [rows, K], by one thread. sgemm is slowest on the columns of a wide dy,
// most of all if the row stride is a multiple of 4 KiB, whose rows share cache sets: a part of dy is copied
// to another stride (up to twice as fast for a wide dy, little otherwise).
void add_product(float* d_weight, float* buffer, const float* dy, std::int64_t dy_stride, const float* x,
                 std::int64_t x_stride, std::int64_t rows, std::int64_t N, std::int64_t K) {
    const std::int64_t stride = N + row_padding;
    for (std::int64_t row = 0; row < rows; row += piece_rows) {
        const std::int64_t count = std::min(piece_rows, rows - row);
        for (std::int64_t i = 0; i < count; ++i)
            std::copy_n(dy + (row + i) * dy_stride, N, buffer + i * stride);
        sgemm('T', 'N', N, K, count, buffer, stride, x + row * x_stride, x_stride, 1.0f, d_weight, K);
    }
}

// The same for few columns of x: as x^T dy, whose rows are long, and then transposed (a third faster).
void add_narrow_product(float* d_weight, float* buffer, const float* dy, std::int64_t dy_stride,
                        const float* x, std::int64_t x_stride, std::int64_t rows, std::int64_t N,
                        std::int64_t K) {
    constexpr std::int64_t line = 16;  // floats
    for (std::int64_t row = 0; row < rows; row += tile_rows)
        sgemm('T', 'N', K, N, std::min(tile_rows, rows - row), x + row * x_stride, x_stride,
              dy + row * dy_stride, dy_stride, row > 0 ? 1.0f : 0.0f, buffer, N);
    for (std::int64_t first = 0; first < N; first += line)
        for (std::int64_t k = 0; k < K; ++k)
            for (std::int64_t n = first; n < std::min(first + line, N); ++n)
                d_weight[n * K + k] += buffer[k * N + n];
}

}  // namespace

void linear_forward(float* y, std::int64_t y_stride, const float* x, std::int64_t x_stride,
                    const float* weight, const float* bias, std::int64_t rows, std::int64_t N,
                    std::int64_t K) {
    const std::int64_t most = bias == nullptr ? bare_tile_rows : tile_rows;
    for_row_tiles(rows, most, [=](std::int64_t first, std::int64_t count) {
        float* out = y + first * y_stride;
        forward_rows(out, y_stride, x + first * x_stride, x_stride, weight, count, N, K);
        if (bias != nullptr) add_bias(out, y_stride, bias, count, N);
    });
}

void linear_gelu_forward(float* activated, float* y, const float* x, const float* weight, const float* bias,
                         std::int64_t rows, std::int64_t N, std::int64_t K) {
    for_row_tiles(rows, tile_rows, [=](std::int64_t first, std::int64_t count) {
        float* out = (y != nullptr ? y : activated) + first * N;
        forward_rows(out, N, x + first * K, K, weight, count, N, K);
        add_bias(out, N, bias, count, N);
        gelu_forward(activated + first * N, out, count * N);
    });
}

void linear_backward_input(float* dx, std::int64_t dx_stride, const float* dy, std::int64_t dy_stride,
                           const float* weight, std::int64_t rows, std::int64_t N, std::int64_t K) {
    backward_input(dx, dx_stride, dy, dy_stride, weight, rows, N, K, 0.0f);
}

void linear_backward_input_accumulate(float* dx, std::int64_t dx_stride, const float* dy,
                                      std::int64_t dy_stride, const float* weight, std::int64_t rows,
                                      std::int64_t N, std::int64_t K) {
    backward_input(dx, dx_stride, dy, dy_stride, weight, rows, N, K, 1.0f);
}

// The rows of W's gradient are divided among threads; within a share, pieces of dy and x are added one after
// the other, so that both stay in cache for all of it.
void linear_backward_weight(float* d_weight, float* d_bias, float* workspace, const float* dy,
                            std::int64_t dy_stride, const float* x, std::int64_t x_stride, std::int64_t rows,
                            std::int64_t N, std::int64_t K) {
    if (rows == 0) return;
    const std::int64_t threads = 2 * thread_count(),  // shares, so that a displaced thread leaves some
        even = (N + threads * share_granule - 1) / (threads * share_granule) * share_granule,
                       share = sums_depend_on_cut ? 4 * share_granule : even;
    share_each((N + share - 1) / share, 1, [&](std::int64_t index) {
        const std::int64_t n = index * share;
        float* buffer = workspace + piece_rows * (n + n / share * row_padding);
        const auto add = K <= narrow ? add_narrow_product : add_product;
        add(d_weight + n * K, buffer, dy + n, dy_stride, x, x_stride, rows, std::min(share, N - n), K);
    });
    if (d_bias != nullptr) column_sum_accumulate(d_bias, workspace, dy, dy_stride, rows, N);
}

std::int64_t linear_backward_weight_workspace(std::int64_t N) {
    const std::int64_t shares = (N + share_granule - 1) / share_granule;  // at most
    return std::max(column_sum_workspace(N), piece_rows * (N + shares * row_padding));
}

void matmul(float* C, const float* A, const float* B, std::int64_t M, std::int64_t N, std::int64_t K) {
    plain_sgemm('N', 'N', M, N, K, A, K, B, N, 0.0f, C, N);
}

}  // namespace cpu
