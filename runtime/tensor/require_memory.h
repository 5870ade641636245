// Whether a planned job fits into its device's memory, asked before it takes any.
#pragma once

#include <string_view>

#include "runtime/tensor/tape.h"

// Throws Error if `plan` needs a larger slab than `tape` has and than the device has free; `job` says in the
// message what needs it, `remedy` what would need less.
void require_memory(const Tape& tape, const Plan& plan, std::string_view job, std::string_view remedy);
