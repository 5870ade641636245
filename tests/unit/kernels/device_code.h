// Machine code of kernels, read from an object of nvcc's.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

struct DeviceCode {
    std::string symbol;  // mangled
    std::size_t bytes = 0;
    int local_accesses = 0;  // loads from and stores to local memory
    int wide_loads = 0;      // of 16 bytes from global memory, to registers or to shared memory
};

// The kernels of every cubin in an object; none if they are compressed. Opcodes are those of compute
// capability 7.5 to 9.0, 16 bytes an instruction: the low 12 bits, and bits 73 to 75 for the size of an access
// (6: 16 bytes). Source: NVIDIA documents names alone (CUDA Binary Utilities); numbers as kernels compiled
// for a known purpose have them, which a test repeats.
std::vector<DeviceCode> device_code(std::span<const char> object);
