// Replacement of the CUDA runtime's header in builds for the emulated device: the part that the sources use,
// with the signatures of CUDA 13.
#pragma once

#include "emulated/builtins.h"
#include "emulated/runtime_calls.h"
#include "emulated/types.h"

// nvcc's list of the architectures that it compiles for.
#define __CUDA_ARCH_LIST__ 800, 900, 1000
