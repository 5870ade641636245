// The stream on which kernels of namespace cuda run, and their common contract.
//
// Every kernel exists twice. cpu::kernel(arguments...) is synchronous. cuda::kernel(stream, arguments...)
// queues the same work on the stream and returns at once. The contract is given at the cpu:: declaration and
// holds for both, with these differences for cuda:
//
//   Pointers are device memory, those inside structs included, unless the declaration says otherwise. The
//   structs themselves are in host memory and are read before the call returns.
//
//   T is the type of activations and of the weights of matrix products, float or bf16 (bf16.h); both are
//   instantiated. Arithmetic inside a kernel is in float; a bf16 result is rounded once, when it is stored.
//   Arguments declared float are float for either T: the residual stream, norms and their weights, losses,
//   gradients of parameters, the optimizer. The CPU's kernels take float only.
//
//   Sizes of workspace and layouts of packed weights differ between the backends.
//
//   "Threads" and "the stack" refer to the CPU. Where the CPU's results do not depend on the number of
//   threads, a device gives the same bits in every run.
//
// A failed launch throws std::runtime_error (launch.cuh).
#pragma once

#include <cstddef>

struct CUstream_st;  // pointee of cudaStream_t; avoids including the CUDA headers here

struct Stream {
    CUstream_st* handle = nullptr;  // null: the device's default stream
    // Device memory that a library's matrix products may use while they run; 256-byte aligned.
    void* workspace = nullptr;
    std::size_t workspace_bytes = 0;
};
