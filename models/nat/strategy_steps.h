// A strategy on a grid of N tokens: its steps as the kernels read them, and how many tokens each fixes.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "models/nat/strategy.h"
#include "runtime/ops/decode_ops.h"

// The last step masks nothing again and takes its confidences as they are.
std::vector<DecodingStep> decoding_steps(const Strategy& strategy, std::int64_t N);

// Throws UsageError, naming `source`, for more steps than tokens.
void require_tokens(const Strategy& strategy, std::int64_t N, std::string_view source);

// Of each step, N together, as long as no two confidences are equal at a cut.
std::vector<std::int64_t> fixed_tokens(const Strategy& strategy, std::int64_t N);
