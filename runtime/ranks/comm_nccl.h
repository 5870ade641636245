// NCCL, for gradient_exchange.cpp alone: sums between GPUs, one rank each. In a build without CUDA or without
// NCCL's headers (libnccl-dev) only built() may be called.
#pragma once

#include <array>
#include <cstddef>

#include "kernels/common/stream.h"

namespace nccl {

bool built();

using UniqueId = std::array<std::byte, 128>;
UniqueId new_unique_id();

// An NCCL communicator over the ranks that share an id; each has its GPU selected. Operations are queued on
// the communicator's own stream, after the work on `compute` at the call, and in the same order on every
// rank. In place: part r of `ranks * count` values is that of rank r. Throws Error.
class Communicator {
  public:
    Communicator(const UniqueId& name, int rank, int ranks);
    ~Communicator();
    Communicator(const Communicator&) = delete;
    Communicator& operator=(const Communicator&) = delete;

    void all_reduce(float* values, std::size_t count, Stream compute);
    void reduce_scatter(float* values, std::size_t count, Stream compute);
    void all_gather(float* values, std::size_t count, Stream compute);
    // Work queued on `compute` from now on waits for all operations.
    void join(Stream compute);

  private:
    void wait_for(Stream compute);

    int rank_;
    void* communicator_ = nullptr;
    void* stream_ = nullptr;
    void* event_ = nullptr;  // reused: a wait refers to the event's last record before it
};

}  // namespace nccl
