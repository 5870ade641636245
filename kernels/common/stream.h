// Where the kernels of namespace cuda run.
//
// Every kernel comes twice. cpu::kernel(arguments...) has done its work when it returns.
// cuda::kernel(stream, arguments...) queues the same work behind what the stream holds and returns at once.
// The contract stands at the cpu:: declaration and holds for both, with these differences for cuda:
//
//   Pointers are device memory, those inside structs included, unless the declaration says otherwise. The
//   structs themselves lie on the host and are read before the call returns.
//
//   T is the type of activations and of the weights of matrix products, float or bf16 (bf16.h); both are
//   instantiated. Arithmetic inside a kernel is in float; a bf16 result is rounded once, when it is stored.
//   What is declared float stays float: the residual stream, norms and their weights, losses, the gradients
//   of parameters, the optimizer. The CPU knows float only.
//
//   Sizes of workspace and of packed weights are each backend's own; what one backend packed, only its own
//   kernels can read.
//
//   "Threads" and "the stack" speak of the CPU. Where the CPU's results do not depend on the number of
//   threads, a device gives the same bits in every run.
//
// A launch that the device refuses throws std::runtime_error (launch.cuh).
#pragma once

#include <cstddef>

struct CUstream_st;  // what the CUDA runtime's cudaStream_t points to; none of its headers is needed here

struct Stream {
    CUstream_st* handle = nullptr;  // null: the device's default stream
    // Device memory that a library's matrix products may use while they run; 256-byte aligned.
    void* workspace = nullptr;
    std::size_t workspace_bytes = 0;
};
