// What decides the bits of results, in words.
#pragma once

#include <string>

#include "runtime/device/backend.h"

// "cpu fp32 AVX2+FMA", "cuda bf16 NVIDIA H100": device, precision, and the instruction set of this build or the
// GPU that select_device() chose. Equal words do not promise equal bits: versions of the compiler and of
// libraries may differ.
std::string arithmetic_of(const Backend& backend);
