// Check, before allocation, that a planned job fits into its device's memory.
#pragma once

#include <cstddef>
#include <string_view>

#include "runtime/tensor/tape.h"

// Throws Error if `plan` needs a larger slab than `tape` has and, with the `beside` bytes that the job takes
// outside its plan, more than the device has free; `job` and `remedy` are parts of the message: the job that needs
// the memory, and a setting that needs less.
void require_memory(const Tape& tape, const Plan& plan, std::string_view job, std::string_view remedy,
                    std::size_t beside = 0);
