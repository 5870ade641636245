// Flags of every job that computes: device and precision.
#pragma once

#include <string>

#include "runtime/device/backend.h"

class CommandLine;

struct BackendFlags {
    std::string device = "cpu", precision;

    // Throws UsageError, see parse_backend.
    Backend backend(int gpu = 0) const { return parse_backend(device, precision, gpu); }
};

// Adds --device and --precision.
void add_backend_flags(CommandLine& app, BackendFlags& flags);
