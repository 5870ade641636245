// Stands in for the CUDA runtime's header when the emulated device is built: what the sources use of it, with
// the signatures of CUDA 13.
#pragma once

#include "emulated/builtins.h"
#include "emulated/runtime_calls.h"
#include "emulated/types.h"

// nvcc's list of the architectures that it compiles for.
#define __CUDA_ARCH_LIST__ 800, 900, 1000
