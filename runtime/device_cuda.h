// The CUDA runtime's memory and device queries, for device.cpp alone. Defined only where the CUDA backend is
// built.
#pragma once

#include <cstddef>

namespace cuda_device {

// Makes the first device current. Throws UsageError, in one line, if there is none, no driver for it, or if
// this build holds no code for its architecture.
void select();

// Zero-initialised device memory, aligned to 256 bytes. Throws Error with what was asked for and what is
// free.
void* allocate(std::size_t bytes);
void release(void* memory) noexcept;
std::size_t free_bytes();

// Synchronous, after everything queued before.
void copy_to(void* destination, const void* host, std::size_t bytes);
void copy_from(void* host, const void* source, std::size_t bytes);
void fill(void* destination, int byte, std::size_t bytes);

}  // namespace cuda_device
