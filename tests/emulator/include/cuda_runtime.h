// Stands in for the CUDA runtime's header when the emulated device is built: what the sources use of it, with
// the signatures of CUDA 13.
#pragma once

#include "emulated/builtins.h"
#include "emulated/runtime_calls.h"
#include "emulated/types.h"
