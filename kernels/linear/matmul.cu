// Why so: these products are most of a step's arithmetic, and NVIDIA's cuBLASLt is tuned for each
// architecture. It also adds the bias and applies GELU while a tile of the result is still in registers.
//
// Row-major products in column-major terms. A row-major matrix [R, C] with row stride s is, in column-major
// terms, its transpose: a C x R matrix with leading dimension s. So nothing is moved; each formula is
// transposed, D (m x n) = op(A) (m x k) op(B) (k x n):
//
//   formula                 transposed              m  n     k     A          B          D
//   y  [rows, N] = x W^T    y^T  = W x^T            N  rows  K     W   op T   x   op N   y    ld y_stride
//   dx [rows, K] = dy W     dx^T = W^T dy^T         K  rows  N     W   op N   dy  op N   dx   ld dx_stride
//   dW [N, K]   += dy^T x   dW^T += x^T dy          K  N     rows  x   op N   dy  op T   dW   ld K
//   C  [M, N]    = A B      C^T  = B^T A^T          N  M     K     B   op N   A   op N   C    ld N
//
// (W's leading dimension is K everywhere, those of x and dy are their strides. With op N, the stored matrix
// already is the transpose in the formula.) The bias of y is one number per row of D, as in the library's
// bias epilogue.
//
// The algorithm: the library's heuristic is queried once for each distinct problem (sizes, leading
// dimensions, types, epilogue, alignment of every pointer, size of the workspace) for eight candidates, best
// first. The first that runs is kept: the heuristic may offer what cublasLtMatmul then refuses on the device
// at hand. The candidates are not timed against each other, since the choice, and with it the bits, would
// differ between runs. With a caller-provided workspace, cuBLASLt guarantees the same bits for the same call on the same
// version, architecture and number of multiprocessors. Long sums (dW runs over all rows) may be split among
// blocks if their parts go into the workspace as floats and are added in a pass of their own; adding them in
// place, in D's type, is not allowed.
//
// Bias gradients are a separate pass (column_sum_accumulate) rather than the library's epilogue: the epilogue
// overwrites, whereas gradients accumulate; and as a sum over all rows it excludes split-K, without which dW
// of a width-64 layer occupies a handful of blocks. The cost is one more read of dy, 2 rows N bytes, which
// for a chunk of a few thousand rows is still in the L2 cache.
//
// Where the epilogues are not supported (addresses or leading dimensions that are no multiple of 16 bytes) or
// no candidate with the epilogue runs, the bias is written into y first and the product added to it, so that
// y in bf16 is still rounded once; gelu is then a pass over the rounded y. Products that no algorithm of the
// library computes are computed by a plain tiled kernel below.
//
// Source: cuBLAS documentation, "Using the cuBLASLt API" and "Results reproducibility".
//
// ptxas budget: 96 registers, no spills
#include "kernels/linear/matmul.h"

#include <cublasLt.h>

#include <array>
#include <bit>
#include <compare>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <tuple>
#include <type_traits>
#include <vector>

#include "kernels/common/bf16.h"
#include "kernels/common/device_math.cuh"
#include "kernels/common/launch.cuh"
#include "kernels/linear/reduce.h"
#include "kernels/pointwise/gelu.h"

namespace cuda {
namespace {

// D [m, n] = op(A) op(B), or D += ..., column-major. A is stored k x m if it is transposed, else m x k; B n x
// k if transposed, else k x n.
template <class T, class R>
struct Product {
    std::int64_t m, n, k;
    const T* a;
    std::int64_t lda;
    bool transpose_a;
    const T* b;
    std::int64_t ldb;
    bool transpose_b;
    R* d;
    std::int64_t ldd;
    bool accumulate;
};

// Operation on a tile of D before it is stored. bias_gelu_input also stores the input of gelu, with D's
// leading dimension m.
enum class Epilogue { none, bias, bias_gelu, bias_gelu_input };

cublasLtEpilogue_t library_epilogue(Epilogue epilogue) {
    switch (epilogue) {
        case Epilogue::bias:
            return CUBLASLT_EPILOGUE_BIAS;
        case Epilogue::bias_gelu:
            return CUBLASLT_EPILOGUE_GELU_BIAS;
        case Epilogue::bias_gelu_input:
            return CUBLASLT_EPILOGUE_GELU_AUX_BIAS;
        default:
            return CUBLASLT_EPILOGUE_DEFAULT;
    }
}

// ---- cuBLASLt ---------------------------------------------------------------------------------------------

// Whether the library cannot do what was asked for, as opposed to a failure: nothing was queued then. Of
// algorithms that its own heuristic offered, some versions say INVALID_VALUE.
bool is_refusal(cublasStatus_t status) {
    return status == CUBLAS_STATUS_NOT_SUPPORTED || status == CUBLAS_STATUS_ARCH_MISMATCH ||
           status == CUBLAS_STATUS_INVALID_VALUE;
}

void check(cublasStatus_t status, const char* what) {
    if (status != CUBLAS_STATUS_SUCCESS)
        throw std::runtime_error(std::string("cuBLASLt: ") + what + ": " + cublasLtGetStatusString(status));
}

// Owner of a cublasLt handle or descriptor.
template <class Handle, cublasStatus_t (*destroy)(Handle)>
struct Destroy {
    using pointer = Handle;
    void operator()(Handle handle) const { destroy(handle); }
};
template <class Handle, cublasStatus_t (*destroy)(Handle)>
using Owned = std::unique_ptr<std::remove_pointer_t<Handle>, Destroy<Handle, destroy>>;
using Operation = Owned<cublasLtMatmulDesc_t, cublasLtMatmulDescDestroy>;
using Layout = Owned<cublasLtMatrixLayout_t, cublasLtMatrixLayoutDestroy>;
using Preference = Owned<cublasLtMatmulPreference_t, cublasLtMatmulPreferenceDestroy>;

// Everything the choice of an algorithm depends on.
struct Problem {
    std::int64_t m, n, k, lda, ldb, ldd;
    bool transpose_a, transpose_b, accumulate;
    cudaDataType_t type, result_type;
    Epilogue epilogue;
    std::uint32_t alignment_a, alignment_b, alignment_d, alignment_bias, alignment_input;
    std::size_t workspace_bytes;
    auto operator<=>(const Problem&) const = default;
};

struct Candidate {
    cublasLtMatmulAlgo_t algorithm;
    std::size_t workspace_bytes;
};

struct Plan {
    Operation operation;
    Layout a, b, d;
    std::vector<Candidate> candidates;  // best first, without those that were refused
};

template <class T>
constexpr cudaDataType_t data_type = std::is_same_v<T, bf16> ? CUDA_R_16BF : CUDA_R_32F;

// The largest power of two, up to 256, that divides an address.
std::uint32_t alignment(const void* address) {
    const auto bits = reinterpret_cast<std::uintptr_t>(address) | 256;
    return std::uint32_t{1} << std::countr_zero(bits);
}

template <class Value>
void set(const Operation& operation, cublasLtMatmulDescAttributes_t attribute, const Value& value) {
    check(cublasLtMatmulDescSetAttribute(operation.get(), attribute, &value, sizeof value),
          "an attribute of a product");
}

template <class Value>
void set(const Preference& preference, cublasLtMatmulPreferenceAttributes_t attribute, const Value& value) {
    check(cublasLtMatmulPreferenceSetAttribute(preference.get(), attribute, &value, sizeof value),
          "a preference for algorithms");
}

Layout make_layout(cudaDataType_t type, std::int64_t rows, std::int64_t columns, std::int64_t ld) {
    cublasLtMatrixLayout_t layout = nullptr;
    check(cublasLtMatrixLayoutCreate(&layout, type, static_cast<std::uint64_t>(rows),
                                     static_cast<std::uint64_t>(columns), ld),
          "a matrix layout");
    return Layout(layout);
}

// CUBLAS_COMPUTE_32F: products of bf16 are summed in float; products of float stay float, without TF32.
Operation make_operation(const Problem& problem) {
    cublasLtMatmulDesc_t made = nullptr;
    check(cublasLtMatmulDescCreate(&made, CUBLAS_COMPUTE_32F, CUDA_R_32F), "a product");
    Operation operation(made);
    set(operation, CUBLASLT_MATMUL_DESC_TRANSA, problem.transpose_a ? CUBLAS_OP_T : CUBLAS_OP_N);
    set(operation, CUBLASLT_MATMUL_DESC_TRANSB, problem.transpose_b ? CUBLAS_OP_T : CUBLAS_OP_N);
    set(operation, CUBLASLT_MATMUL_DESC_EPILOGUE, library_epilogue(problem.epilogue));
    if (problem.epilogue == Epilogue::bias_gelu_input)
        set(operation, CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD, problem.m);
    return operation;
}

// The heuristic reads the alignment of bias and auxiliary matrix off their addresses.
void set_epilogue_pointers(const Plan& plan, Epilogue epilogue, const void* bias, void* gelu_input) {
    if (epilogue != Epilogue::none) set(plan.operation, CUBLASLT_MATMUL_DESC_BIAS_POINTER, bias);
    if (epilogue == Epilogue::bias_gelu_input)
        set(plan.operation, CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER, gelu_input);
}

class Library {
  public:
    Library() { check(cublasLtCreate(&handle_), "start"); }

    // False if the library cannot do it; nothing is queued then.
    template <class T, class R>
    bool multiply(Stream stream, const Product<T, R>& p, Epilogue epilogue = Epilogue::none,
                  const T* bias = nullptr, T* gelu_input = nullptr) {
        const Problem problem{.m = p.m,
                              .n = p.n,
                              .k = p.k,
                              .lda = p.lda,
                              .ldb = p.ldb,
                              .ldd = p.ldd,
                              .transpose_a = p.transpose_a,
                              .transpose_b = p.transpose_b,
                              .accumulate = p.accumulate,
                              .type = data_type<T>,
                              .result_type = data_type<R>,
                              .epilogue = epilogue,
                              .alignment_a = alignment(p.a),
                              .alignment_b = alignment(p.b),
                              .alignment_d = alignment(p.d),
                              .alignment_bias = alignment(bias),
                              .alignment_input = alignment(gelu_input),
                              .workspace_bytes = stream.workspace_bytes};
        const std::lock_guard lock(mutex_);  // a plan holds the pointers of one call at a time
        const auto [found, is_new] = plans_.try_emplace(problem);
        Plan& plan = found->second;
        if (is_new) plan = make_plan(problem, bias, gelu_input);
        set_epilogue_pointers(plan, epilogue, bias, gelu_input);
        const float one = 1, beta = p.accumulate ? 1.0f : 0.0f;
        for (; !plan.candidates.empty(); plan.candidates.erase(plan.candidates.begin())) {
            const Candidate& candidate = plan.candidates.front();
            const cublasStatus_t status =
                cublasLtMatmul(handle_, plan.operation.get(), &one, p.a, plan.a.get(), p.b, plan.b.get(),
                               &beta, p.d, plan.d.get(), p.d, plan.d.get(), &candidate.algorithm,
                               stream.workspace, candidate.workspace_bytes, stream.handle);
            if (is_refusal(status)) continue;
            check(status, "product");
            return true;
        }
        return false;
    }

  private:
    Plan make_plan(const Problem& problem, const void* bias, void* gelu_input) const {
        const auto& [m, n, k] = std::tie(problem.m, problem.n, problem.k);
        Plan plan;
        plan.operation = make_operation(problem);
        plan.a = problem.transpose_a ? make_layout(problem.type, k, m, problem.lda)
                                     : make_layout(problem.type, m, k, problem.lda);
        plan.b = problem.transpose_b ? make_layout(problem.type, n, k, problem.ldb)
                                     : make_layout(problem.type, k, n, problem.ldb);
        plan.d = make_layout(problem.result_type, m, n, problem.ldd);
        set_epilogue_pointers(plan, problem.epilogue, bias, gelu_input);

        cublasLtMatmulPreference_t made = nullptr;
        check(cublasLtMatmulPreferenceCreate(&made), "a preference for algorithms");
        const Preference preference(made);
        set(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, std::uint64_t{problem.workspace_bytes});
        set(preference, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK,
            static_cast<std::uint32_t>(CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE));
        set(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, problem.alignment_a);
        set(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, problem.alignment_b);
        set(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, problem.alignment_d);
        set(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, problem.alignment_d);

        std::array<cublasLtMatmulHeuristicResult_t, 8> results{};
        int count = 0;
        const cublasStatus_t status = cublasLtMatmulAlgoGetHeuristic(
            handle_, plan.operation.get(), plan.a.get(), plan.b.get(), plan.d.get(), plan.d.get(),
            preference.get(), static_cast<int>(results.size()), results.data(), &count);
        if (is_refusal(status)) return plan;
        check(status, "the choice of an algorithm");
        for (const auto& result : std::span(results).first(static_cast<std::size_t>(count)))
            if (result.state == CUBLAS_STATUS_SUCCESS)
                plan.candidates.push_back({result.algo, result.workspaceSize});
        return plan;
    }

    cublasLtHandle_t handle_ = nullptr;
    std::mutex mutex_;
    std::map<Problem, Plan> plans_;
};

// One per process, never destroyed: at exit the driver may be shut down before a destructor could release the
// handle.
Library& library() {
    static Library& only = *new Library;
    return only;
}

// ---- without cuBLASLt -------------------------------------------------------------------------------------

constexpr int tile = 32, tile_threads = 256;

// A tile of 32 x 32 numbers of D per block, four per thread, over steps of 32 in k.
template <class T, class R>
__global__ void multiply_tile(Product<T, R> p) {
    wait_for_previous_kernel();
    SharedMemory shared;
    auto* const a = shared.take<float>(tile * (tile + 1));  // [k, m], one more column against bank conflicts
    auto* const b = shared.take<float>(tile * (tile + 1));  // [n, k]
    const int lane = static_cast<int>(threadIdx.x) % tile, group = static_cast<int>(threadIdx.x) / tile;
    const std::int64_t first_m = static_cast<std::int64_t>(blockIdx.y) * tile,
                       first_n = static_cast<std::int64_t>(blockIdx.x) * tile;
    constexpr int groups = tile_threads / tile, each = tile / groups;
    float sums[each] = {};
    for (std::int64_t first_k = 0; first_k < p.k; first_k += tile) {
        __syncthreads();
        for (int i = group; i < tile; i += groups) {
            // neighbours in memory go to neighbouring lanes, for either storage order
            const int am = p.transpose_a ? i : lane, ak = p.transpose_a ? lane : i;
            const std::int64_t m = first_m + am, k = first_k + ak;
            const bool a_valid = m < p.m && k < p.k;
            a[ak * (tile + 1) + am] =
                a_valid ? to_float(p.a[p.transpose_a ? k + m * p.lda : m + k * p.lda]) : 0.0f;
            const int bn = p.transpose_b ? lane : i, bk = p.transpose_b ? i : lane;
            const std::int64_t n = first_n + bn, l = first_k + bk;
            const bool b_valid = n < p.n && l < p.k;
            b[bn * (tile + 1) + bk] =
                b_valid ? to_float(p.b[p.transpose_b ? n + l * p.ldb : l + n * p.ldb]) : 0.0f;
        }
        __syncthreads();
        for (int k = 0; k < tile; ++k)
#pragma unroll
            for (int i = 0; i < each; ++i)
                sums[i] += a[k * (tile + 1) + lane] * b[(group + i * groups) * (tile + 1) + k];
    }
    for (int i = 0; i < each; ++i) {
        const std::int64_t m = first_m + lane, n = first_n + group + i * groups;
        if (m >= p.m || n >= p.n) continue;
        R& d = p.d[m + n * p.ldd];
        d = as<R>((p.accumulate ? to_float(d) : 0.0f) + sums[i]);
    }
}

template <class T>
__global__ void fill_rows(T* y, std::int64_t y_stride, const T* row, std::int64_t rows, std::int64_t N) {
    wait_for_previous_kernel();
    const std::int64_t i = thread_index();
    if (i < rows * N) y[i / N * y_stride + i % N] = row[i % N];
}

template <class T, class R>
void multiply(Stream stream, const Product<T, R>& p) {
    if (p.m == 0 || p.n == 0 || library().multiply(stream, p)) return;
    launch(multiply_tile<T, R>, dim3(blocks_for(p.n, tile), blocks_for(p.m, tile)), tile_threads,
           2 * shared_array_bytes(tile * (tile + 1) * sizeof(float)), stream, p);
}

bool fit_for_epilogue(const void* address, std::int64_t ld_bytes = 0) {
    return aligned(address) && ld_bytes % 16 == 0;
}

// y = x W^T, without the bias
template <class T>
Product<T, T> forward_product(T* y, std::int64_t y_stride, const T* x, std::int64_t x_stride, const T* weight,
                              std::int64_t rows, std::int64_t N, std::int64_t K) {
    return {N, rows, K, weight, K, true, x, x_stride, false, y, y_stride, false};
}

template <class T>
void backward_input(Stream stream, T* dx, std::int64_t dx_stride, const T* dy, std::int64_t dy_stride,
                    const T* weight, std::int64_t rows, std::int64_t N, std::int64_t K, bool accumulate) {
    multiply<T, T>(stream, {K, rows, N, weight, K, false, dy, dy_stride, false, dx, dx_stride, accumulate});
}

}  // namespace

template <class T>
void linear_forward(Stream stream, T* y, std::int64_t y_stride, const T* x, std::int64_t x_stride,
                    const T* weight, const T* bias, std::int64_t rows, std::int64_t N, std::int64_t K) {
    if (rows == 0) return;
    Product<T, T> product = forward_product(y, y_stride, x, x_stride, weight, rows, N, K);
    if (bias != nullptr) {
        const auto ld_bytes = y_stride * static_cast<std::int64_t>(sizeof(T));
        if (fit_for_epilogue(bias) && fit_for_epilogue(y, ld_bytes) &&
            library().multiply(stream, product, Epilogue::bias, bias))
            return;
        constexpr int threads = 256;
        launch(fill_rows<T>, blocks_for(rows * N, threads), threads, 0, stream, y, y_stride, bias, rows, N);
        product.accumulate = true;
    }
    multiply(stream, product);
}

template <class T>
void linear_gelu_forward(Stream stream, T* activated, T* y, const T* x, const T* weight, const T* bias,
                         std::int64_t rows, std::int64_t N, std::int64_t K) {
    if (rows == 0) return;
    if constexpr (std::is_same_v<T, bf16>) {
        const auto ld_bytes = N * static_cast<std::int64_t>(sizeof(T));
        if (fit_for_epilogue(bias) && fit_for_epilogue(y, ld_bytes) && fit_for_epilogue(activated) &&
            library().multiply(stream, forward_product(activated, N, x, K, weight, rows, N, K),
                               y != nullptr ? Epilogue::bias_gelu_input : Epilogue::bias_gelu, bias, y))
            return;
    }
    T* const before = y != nullptr ? y : activated;
    linear_forward(stream, before, N, x, K, weight, bias, rows, N, K);
    gelu_forward(stream, activated, before, rows * N);
}

template <class T>
void linear_backward_input(Stream stream, T* dx, std::int64_t dx_stride, const T* dy, std::int64_t dy_stride,
                           const T* weight, std::int64_t rows, std::int64_t N, std::int64_t K) {
    backward_input(stream, dx, dx_stride, dy, dy_stride, weight, rows, N, K, false);
}

template <class T>
void linear_backward_input_accumulate(Stream stream, T* dx, std::int64_t dx_stride, const T* dy,
                                      std::int64_t dy_stride, const T* weight, std::int64_t rows,
                                      std::int64_t N, std::int64_t K) {
    backward_input(stream, dx, dx_stride, dy, dy_stride, weight, rows, N, K, true);
}

template <class T>
void linear_backward_weight(Stream stream, float* d_weight, float* d_bias, float* workspace, const T* dy,
                            std::int64_t dy_stride, const T* x, std::int64_t x_stride, std::int64_t rows,
                            std::int64_t N, std::int64_t K) {
    if (rows == 0) return;
    multiply<T, float>(stream, {K, N, rows, x, x_stride, false, dy, dy_stride, true, d_weight, K, true});
    if (d_bias != nullptr) column_sum_accumulate(stream, d_bias, workspace, dy, dy_stride, rows, N);
}

std::int64_t linear_backward_weight_workspace(std::int64_t N) {
    return column_sum_workspace(N);
}

template <class T>
void matmul(Stream stream, T* C, const T* A, const T* B, std::int64_t M, std::int64_t N, std::int64_t K) {
    multiply<T, T>(stream, {N, M, K, B, N, false, A, K, false, C, N, false});
}

#define INSTANTIATE(T)                                                                                     \
    template void linear_forward(Stream, T*, std::int64_t, const T*, std::int64_t, const T*, const T*,     \
                                 std::int64_t, std::int64_t, std::int64_t);                                \
    template void linear_gelu_forward(Stream, T*, T*, const T*, const T*, const T*, std::int64_t,          \
                                      std::int64_t, std::int64_t);                                         \
    template void linear_backward_input(Stream, T*, std::int64_t, const T*, std::int64_t, const T*,        \
                                        std::int64_t, std::int64_t, std::int64_t);                         \
    template void linear_backward_input_accumulate(Stream, T*, std::int64_t, const T*, std::int64_t,       \
                                                   const T*, std::int64_t, std::int64_t, std::int64_t);    \
    template void linear_backward_weight(Stream, float*, float*, float*, const T*, std::int64_t, const T*, \
                                         std::int64_t, std::int64_t, std::int64_t, std::int64_t);          \
    template void matmul(Stream, T*, const T*, const T*, std::int64_t, std::int64_t, std::int64_t)
INSTANTIATE(float);
INSTANTIATE(bf16);

}  // namespace cuda
