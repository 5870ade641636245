// Stateless random numbers: Philox of (seed, purpose, step, sequence id, element). Identical on every device,
// for any number of threads, chunks or ranks, and under recomputation.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "kernels/common/philox.h"

// Key for one purpose ("dropout/NAME", "label drop", ...) under a seed.
PhiloxKey random_key(std::uint64_t seed, std::string_view purpose);

// Uniform in [0, 1) with 24 bits.
float random_uniform(PhiloxKey key, std::uint64_t index, std::uint32_t step = 0);

// From normal(0, 1), keyed by (key, sequence_id, element, step).
double random_normal(PhiloxKey key, std::int64_t sequence_id, std::uint32_t element, std::uint32_t step);

// From Beta(alpha, beta), alpha and beta positive, keyed by (key, sequence_id, step).
double random_beta(PhiloxKey key, double alpha, double beta, std::int64_t sequence_id, std::uint32_t step);

// `count` numbers from normal(0, deviation), by Box and Muller; element i depends on (key, i) alone.
void random_normal(float* values, std::int64_t count, PhiloxKey key, float deviation);

// `count` numbers uniform in [-limit, limit).
void random_symmetric(float* values, std::int64_t count, PhiloxKey key, float limit);

// A uniformly random order of 0..size-1, keyed by (key, sequence_id, step): ascending by one 32-bit word
// each.
void random_order(std::span<std::int32_t> order, PhiloxKey key, std::int64_t sequence_id, std::uint32_t step);
