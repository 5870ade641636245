// Interface of streams to the runtime's calls: run work or, under capture, record it.
#pragma once

#include <cuda_runtime.h>

#include <functional>

namespace emulator {

// Sets the result of cudaGetLastError, unless `error` is success; returns `error`.
cudaError_t remember(cudaError_t error);

// Work of a stream: runs at once, or becomes a node of the graph that the stream is capturing.
cudaError_t submit(cudaStream_t stream, std::function<cudaError_t()> work);

// The error of a call that no stream may be capturing during, which ends the captures; success if none is.
cudaError_t forbid_in_capture();

}  // namespace emulator
