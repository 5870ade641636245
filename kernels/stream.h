// Where the kernels of namespace cuda run.
//
// Every kernel comes twice. cpu::kernel(arguments...) has done its work when it returns. cuda::kernel(stream,
// arguments...) takes the same arguments, queues the work behind what the stream already holds and returns at
// once. The contract stands at the cpu:: declaration and holds for both, read with these differences:
//   - pointers are device memory, those inside structs included; the structs themselves lie on the host and
//   are
//     read before the call returns;
//   - sizes of workspace and of packed weights are each backend's own, and what one backend packed only its
//   own
//     kernels read;
//   - "threads" and "the stack" speak of the CPU; instead of "any number of threads", results are the same
//   bits
//     in every run on one device.
#pragma once

struct CUstream_st;  // what the CUDA runtime's cudaStream_t points to, declared here to need none of its
                     // headers

struct Stream {
    CUstream_st* handle = nullptr;  // null: the device's default stream
};
