// The codebook row nearest to each vector, by squared Euclidean distance:
//
//   codes_m = argmin_k sum_c (z_mc - codebook_kc)^2, the first of equally near ones
//
// 3 M K C operations on 4 (M C + K C) bytes: for 256 vectors and a codebook of 1,024 some 600 operations a
// byte, so this is bound by arithmetic, though negligible beside the encoder before it (a tenth of a percent
// of its work). Hence the distance itself instead of |codebook_k|^2 - 2 z . codebook_k, a matrix product:
// that form saves a third of the operations, but suffers from cancellation, and ties would depend on the
// library's rounding of each column. The distances are never stored.
//
// Source: van den Oord, Vinyals, Kavukcuoglu, "Neural Discrete Representation Learning" (2017, arXiv
// 1711.00937), equation 1.
#pragma once

#include <cstdint>

#include "kernels/common/stream.h"

namespace cpu {

// codes [M]; z [M, C]; codebook [K, C]; workspace nearest_code_workspace(K, C) floats. A vector z with a NaN
// element gets code 0.
void nearest_code(std::int32_t* codes, float* workspace, const float* z, const float* codebook,
                  std::int64_t M, std::int64_t K, std::int64_t C);
std::int64_t nearest_code_workspace(std::int64_t K, std::int64_t C);

}  // namespace cpu

namespace cuda {

// The same contracts on the device; pointers and sizes as in stream.h.
void nearest_code(Stream stream, std::int32_t* codes, float* workspace, const float* z, const float* codebook,
                  std::int64_t M, std::int64_t K, std::int64_t C);
std::int64_t nearest_code_workspace(std::int64_t K, std::int64_t C);

}  // namespace cuda
