// Products and eigenvalues of dense matrices in double, by BLAS and LAPACK: nothing else here names either.
//
// BLAS computes on the calling thread alone, whichever library provides it; callers spread blocks over
// threads (parallel_blocks.h). So results are the same bits for any number of threads. They differ in the
// last bits between processors, for which BLAS chooses its kernels.
#pragma once

#include <cstdint>
#include <vector>

// Row-major [rows, columns]; rows are `stride` apart.
struct MatrixView {
    const double* values = nullptr;
    std::int64_t rows = 0, columns = 0, stride = 0;
};

// C [A.rows, B.rows] = A B^T, rows of C `stride` apart. Throws std::logic_error for different columns.
void multiply_by_transpose(const MatrixView& A, const MatrixView& B, double* C, std::int64_t stride);

// C [A.columns, B.columns] += A^T B, rows of C `stride` apart. Throws std::logic_error for different rows.
void add_transpose_product(const MatrixView& A, const MatrixView& B, double* C, std::int64_t stride);

// C [n, n] = A B^T of square matrices, on all threads.
std::vector<double> square_product(const std::vector<double>& A, const std::vector<double>& B,
                                   std::int64_t n);

// Eigenvalues of a symmetric matrix [n, n], ascending, by divide and conquer (LAPACK's dsyevd). One
// triangle is read. Throws Error for values that are not finite or, which finite ones do not cause, no
// convergence.
std::vector<double> symmetric_eigenvalues(std::vector<double> matrix, std::int64_t n);

// The symmetric square root [n, n] of a positive semidefinite matrix; negative eigenvalues, which rounding
// causes, count as 0. Throws as symmetric_eigenvalues.
std::vector<double> symmetric_square_root(std::vector<double> matrix, std::int64_t n);
