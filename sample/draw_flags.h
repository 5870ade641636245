// Flags of every job that samples images: the sampling settings.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "models/fractal/sample.h"
#include "runtime/device/backend_flags.h"

class CommandLine;

struct DrawFlags {
    std::string schedule = "linear";
    BackendFlags backend;
    std::vector<std::int64_t> iterations;
    double guidance = 1, temperature = 1, filter_threshold = 1e-4;
    std::uint64_t seed = 0;
    bool greedy = false;

    // Throws UsageError naming the flag that does not fit the model.
    void check(const FractalConfig& config) const;
    SampleRule rule() const;
};

// All but those of the backend (add_backend_flags).
void add_draw_flags(CommandLine& app, DrawFlags& flags);

// What --trace shows of a fractal's drawing (add_picture_folder_flags).
inline constexpr char fractal_steps[] = "the picture after each step of the outermost level";
