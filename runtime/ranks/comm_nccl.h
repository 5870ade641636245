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

// All ranks of a name; each has its GPU selected. Operations are queued on a stream of the ring's own, behind
// what `compute` holds at the call, and in the same order on every rank. They work in place: part r of
// `ranks * count` values is that of rank r. Throws Error.
class Communicator {
  public:
    Communicator(const UniqueId& name, int rank, int ranks);
    ~Communicator();
    Communicator(const Communicator&) = delete;
    Communicator& operator=(const Communicator&) = delete;

    void all_reduce(float* values, std::size_t count, Stream compute);
    void reduce_scatter(float* values, std::size_t count, Stream compute);
    void all_gather(float* values, std::size_t count, Stream compute);
    // What is queued on `compute` from now on waits for all of it.
    void join(Stream compute);

  private:
    void wait_for(Stream compute);

    int rank_;
    void* communicator_ = nullptr;
    void* stream_ = nullptr;
    void* event_ = nullptr;  // used again: a wait holds on to what the event stood for at its call
};

}  // namespace nccl
