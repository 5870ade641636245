// Random numbers keyed by names, never by running counters: the number for (seed, purpose, step, sequence,
// element) is the same on every device, for any number of threads, chunks or ranks, and when an activation is
// computed again.
#pragma once

#include <cstdint>
#include <string_view>

#include "kernels/philox.h"

// Key for one purpose ("dropout/NAME", "label drop", ...) under a seed.
PhiloxKey random_key(std::uint64_t seed, std::string_view purpose);

// Uniform in [0, 1) with 24 bits.
float random_uniform(PhiloxKey key, std::uint64_t index, std::uint32_t step = 0);

// `count` numbers from normal(0, deviation), by Box and Muller; element i depends on (key, i) alone.
void random_normal(float* values, std::int64_t count, PhiloxKey key, float deviation);

// `count` numbers uniform in [-limit, limit).
void random_symmetric(float* values, std::int64_t count, PhiloxKey key, float limit);
