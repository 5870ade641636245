// Drawing a pixel value from logits, with temperature and classifier-free guidance. Per row, c and u being
// the conditional and the unconditional logits, both multiplied by `temperature`:
//
//   where softmax(c)_v < filter_threshold:  u_v = max(u_v, c_v - max(c) + max(u))
//   z = u + scale (c - u)        P_v = sum of softmax(z) over 0..v
//   value = the smallest v with P_v > uniform
//
// Temperature multiplies, as in the fractal release: above 1 it sharpens. The filter keeps guidance from
// raising values that the conditional distribution all but excludes. With scale 1 z = c and the filter
// changes nothing. Sources: Ho, Salimans, "Classifier-Free Diffusion Guidance" (2022, arXiv 2207.12598),
// equation 6; the filter is the fractal release's.
#pragma once

#include <cstdint>

#include "kernels/common/stream.h"

struct Guidance {
    float temperature = 1;
    float scale = 1;             // of the guidance ("cfg"); 1: none
    float filter_threshold = 0;  // a probability; 0: no filter
    bool greedy = false;         // the largest logit, the first of equals, instead of a draw
    // Address, in the device's memory, of the settings that the kernel reads instead of these, or null. A
    // recorded draw can so be replayed with others; `scale` other than 1 then only indicates that there are
    // unconditional rows.
    const Guidance* current = nullptr;

    constexpr Guidance now() const { return current != nullptr ? *current : *this; }
};

namespace cpu {

// A row of logits is on the stack.
constexpr std::int64_t categorical_max_vocabulary = 4096;

// values [rows]; conditional, unconditional [rows, vocabulary], unconditional may be null when scale is 1;
// uniforms [rows] in [0, 1), may be null when greedy. vocabulary <= categorical_max_vocabulary (asserted).
//
// margins [rows], may be null: distance of the uniform to the nearer end of the drawn value's interval of P;
// greedy: the largest z minus the second largest. With a small margin, rounding could have drawn another
// value.
//
// limits [rows, 2], may be null: the smallest and the largest value allowed in each row; the draw is from P
// given that the value lies between them.
//
// Reads 8 bytes per logit (4 without guidance). Sums in double, so values of probability zero are never drawn
// through rounding; where no P_v exceeds the uniform the last value is drawn.
void categorical_sample(std::int32_t* values, float* margins, const float* conditional,
                        const float* unconditional, const float* uniforms, std::int64_t rows,
                        std::int64_t vocabulary, const Guidance& guidance,
                        const std::uint8_t* limits = nullptr);

}  // namespace cpu

namespace cuda {

// The same contracts on the device; pointers and sizes as in stream.h.
void categorical_sample(Stream stream, std::int32_t* values, float* margins, const float* conditional,
                        const float* unconditional, const float* uniforms, std::int64_t rows,
                        std::int64_t vocabulary, const Guidance& guidance,
                        const std::uint8_t* limits = nullptr);

}  // namespace cuda
