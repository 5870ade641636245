// Where the kernels of namespace cuda run.
//
// Every kernel comes twice. cpu::kernel(arguments...) has done its work when it returns.
// cuda::kernel(stream, arguments...) queues the same work behind what the stream holds and returns at once.
// The contract stands at the cpu:: declaration and holds for both, with these differences for cuda:
//
//   Pointers are device memory, those inside structs included, unless the declaration says otherwise. The
//   structs themselves lie on the host and are read before the call returns.
//
//   Sizes of workspace and of packed weights are each backend's own; what one backend packed, only its own
//   kernels can read.
//
//   "Threads" and "the stack" speak of the CPU. Where the CPU's results do not depend on the number of
//   threads, a device gives the same bits in every run.
#pragma once

struct CUstream_st;  // what the CUDA runtime's cudaStream_t points to; none of its headers is needed here

struct Stream {
    CUstream_st* handle = nullptr;  // null: the device's default stream
};
