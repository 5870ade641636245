// Launches on a tape's device and stream.
//
//   LAUNCH(tape, kernel, arguments...)
//
// While the tape plans, neither calls the kernel nor evaluates its arguments, since buffers have no addresses
// yet.
#pragma once

#include "runtime/device/launch.h"
#include "runtime/tensor/tape.h"

#define LAUNCH(tape, kernel, ...) \
    ((tape).planning() ? void() : LAUNCH_ON((tape).device(), (tape).stream(), kernel, __VA_ARGS__))
