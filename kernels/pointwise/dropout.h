// Dropout with a stateless mask: Philox of (seed, purpose, step, sequence id, element). No mask is stored for
// the backward pass, and the dropped elements do not depend on threads, ranks, chunks or recomputation.
//
//   u = unit_float(word e % 4 of philox({e / 4, low32(id_s), high32(id_s), step}, key))
//   y = x / (1 - probability) where u >= probability, else 0
//
// for element e of sequence s; the backward pass applies the same to dy.
//
// Source: Srivastava et al., "Dropout" (JMLR 2014); the generator is philox.h's.
#pragma once

#include <cstdint>

#include "kernels/common/philox.h"
#include "kernels/common/stream.h"

struct Dropout {
    float probability = 0;  // of dropping an element, 0 <= probability < 1
    PhiloxKey key;          // seed and purpose
    std::uint32_t step = 0;
    const std::int64_t* sequence_ids = nullptr;  // [sequences]
    std::int64_t elements_per_sequence = 0;      // below 2^34
};

namespace cpu {

// y, x [sequences, elements_per_sequence]. y may be x. With probability 0 y = x and the ids are not read.
// Moves 8 bytes per element; about 20 integer operations each, 5 of them 32 x 32 -> 64 bit products.
void dropout_forward(float* y, const float* x, std::int64_t sequences, const Dropout& dropout);

// dx, dy as y, x. dx is overwritten and may be dy.
void dropout_backward(float* dx, const float* dy, std::int64_t sequences, const Dropout& dropout);

}  // namespace cpu

namespace cuda {

// The same contracts on the device; pointers and sizes as in stream.h.
template <class T>
void dropout_forward(Stream stream, T* y, const T* x, std::int64_t sequences, const Dropout& dropout);
template <class T>
void dropout_backward(Stream stream, T* dx, const T* dy, std::int64_t sequences, const Dropout& dropout);

}  // namespace cuda
