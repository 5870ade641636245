// The CUDA runtime's memory, streams, graphs and device queries, for device.cpp and device_graph.cpp. Defined
// only where the CUDA backend is built.
#pragma once

#include <cstddef>
#include <string>

#include "kernels/common/stream.h"

struct CUgraphExec_st;  // pointee of cudaGraphExec_t

namespace cuda_device {

int count();         // 0 also without a driver
std::string name();  // of the device that select() chose
// Makes device `index` modulo count() current, for this thread. Throws UsageError, in one line, if there is
// none, no driver for it, or if this build holds no code for its architecture.
void select(int index);

// Zero-initialised device memory, aligned to 256 bytes. Throws Error with the requested and the free bytes.
void* allocate(std::size_t bytes);
void release(void* memory) noexcept;
std::size_t free_bytes();

void synchronize();
// A queue that does not wait for the default stream.
CUstream_st* create_stream();
void destroy_stream(CUstream_st* stream) noexcept;

// Graphs; see device_graph.h.
void begin_recording(CUstream_st* stream);
CUgraphExec_st* end_recording(CUstream_st* stream, std::size_t& nodes);
void forget_recording(CUstream_st* stream) noexcept;
void launch_graph(CUgraphExec_st* graph, CUstream_st* stream);
void destroy_graph(CUgraphExec_st* graph) noexcept;

// In the order of the stream; on the default stream (null) they synchronise with all of the device's work.
void copy_to(CUstream_st* stream, void* destination, const void* host, std::size_t bytes);
void copy_from(CUstream_st* stream, void* host, const void* source, std::size_t bytes);
void copy_within(CUstream_st* stream, void* destination, const void* source, std::size_t bytes);
void fill(CUstream_st* stream, void* destination, int byte, std::size_t bytes);

}  // namespace cuda_device
