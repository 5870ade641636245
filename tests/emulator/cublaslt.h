// Queries of tests to the stand-in for cuBLASLt (include/cublasLt.h).
#pragma once

#include <cstdint>

namespace emulator {

// How often an algorithm was looked for in this process.
std::int64_t algorithm_searches();

}  // namespace emulator
