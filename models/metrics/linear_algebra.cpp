#include "models/metrics/linear_algebra.h"

#include <cblas.h>
#include <dlfcn.h>
#include <lapacke.h>

#include <algorithm>
#include <cmath>
#include <stdexcept>

#include "models/metrics/parallel_blocks.h"
#include "runtime/base/error.h"

namespace {

constexpr std::int64_t strip = 128;  // rows of a product that a thread computes at a time

// The libraries, loaded by the first call: relocating OpenBLAS takes 10 ms, half of what a program's start takes, and
// it starts its threads when it is loaded.
struct Libraries {
    decltype(&cblas_dgemm) dgemm;
    decltype(&LAPACKE_dsyevd) dsyevd;
};

// Never unloaded. Throws Error.
void* load_library(const char* name) {
    if (void* const library = ::dlopen(name, RTLD_NOW | RTLD_LOCAL)) return library;
    fail("{}: cannot be loaded, expected BLAS and LAPACKE to be installed (libopenblas, liblapacke): {}",
         name, ::dlerror());
}

template <class Function>
Function function_of(void* library, const char* name) {
    void* const address = ::dlsym(library, name);
    if (address == nullptr) fail("{}: not a function of the BLAS and LAPACKE that are installed", name);
    return reinterpret_cast<Function>(address);
}

const Libraries& libraries() {
    static const Libraries loaded = [] {
        void* const blas = load_library("libblas.so.3");
        // OpenBLAS has threads of its own, the reference BLAS has none.
        if (void* const set = ::dlsym(blas, "openblas_set_num_threads"))
            reinterpret_cast<void (*)(int)>(set)(1);
        return Libraries{
            function_of<decltype(&cblas_dgemm)>(blas, "cblas_dgemm"),
            function_of<decltype(&LAPACKE_dsyevd)>(load_library("liblapacke.so.3"), "LAPACKE_dsyevd")};
    }();
    return loaded;
}

int as_int(std::int64_t size) {
    return static_cast<int>(size);
}

std::size_t at(std::int64_t index) {
    return static_cast<std::size_t>(index);
}

// Eigenvalues, ascending; `job` 'V' overwrites the matrix with the eigenvectors as rows.
std::vector<double> decompose(std::vector<double>& matrix, std::int64_t n, char job) {
    if (n <= 0 || matrix.size() != at(n * n)) throw std::logic_error("eigenvalues: not a square matrix");
    if (!std::ranges::all_of(matrix, [](double value) { return std::isfinite(value); }))
        fail("eigenvalues of a covariance: a value is not finite");
    std::vector<double> values(at(n));
    const lapack_int info =
        libraries().dsyevd(LAPACK_COL_MAJOR, job, 'U', as_int(n), matrix.data(), as_int(n), values.data());
    if (info != 0) fail("eigenvalues of a covariance: LAPACK's dsyevd returned {}, expected 0", info);
    return values;
}

}  // namespace

void multiply_by_transpose(const MatrixView& A, const MatrixView& B, double* C, std::int64_t stride) {
    if (A.columns != B.columns) throw std::logic_error("product: different inner sizes");
    libraries().dgemm(CblasRowMajor, CblasNoTrans, CblasTrans, as_int(A.rows), as_int(B.rows),
                      as_int(A.columns), 1, A.values, as_int(A.stride), B.values, as_int(B.stride), 0, C,
                      as_int(stride));
}

void add_transpose_product(const MatrixView& A, const MatrixView& B, double* C, std::int64_t stride) {
    if (A.rows != B.rows) throw std::logic_error("product: different inner sizes");
    libraries().dgemm(CblasRowMajor, CblasTrans, CblasNoTrans, as_int(A.columns), as_int(B.columns),
                      as_int(A.rows), 1, A.values, as_int(A.stride), B.values, as_int(B.stride), 1, C,
                      as_int(stride));
}

std::vector<double> square_product(const std::vector<double>& A, const std::vector<double>& B,
                                   std::int64_t n) {
    if (A.size() != at(n * n) || B.size() != A.size()) throw std::logic_error("product: not square matrices");
    std::vector<double> C(A.size());
    for_each_block(blocks_of(n, strip), {}, [&](std::int64_t block) {
        const std::int64_t first = block * strip, rows = std::min(strip, n - first);
        multiply_by_transpose({A.data() + first * n, rows, n, n}, {B.data(), n, n, n}, C.data() + first * n,
                              n);
    });
    return C;
}

std::vector<double> symmetric_eigenvalues(std::vector<double> matrix, std::int64_t n) {
    return decompose(matrix, n, 'N');
}

std::vector<double> symmetric_square_root(std::vector<double> matrix, std::int64_t n) {
    const auto values = decompose(matrix, n, 'V');
    // V^T diag(sqrt(values)) V = Y^T Y, where row i of Y is row i of V times values[i]^(1/4).
    for (std::int64_t i = 0; i < n; ++i) {
        const double scale = std::sqrt(std::sqrt(std::max(values[at(i)], 0.0)));
        for (std::int64_t j = 0; j < n; ++j) matrix[at(i * n + j)] *= scale;
    }
    std::vector<double> root(matrix.size());
    for_each_block(blocks_of(n, strip), {}, [&](std::int64_t block) {
        const std::int64_t first = block * strip, rows = std::min(strip, n - first);
        add_transpose_product({matrix.data() + first, n, rows, n}, {matrix.data(), n, n, n},
                              root.data() + first * n, n);
    });
    return root;
}
