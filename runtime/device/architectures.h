// The compute capabilities that the CUDA build holds code for: the Makefile's ARCH.
#pragma once

#include <span>

// As 100 major + 10 minor: 900 for sm_90.
std::span<const int> built_architectures();
