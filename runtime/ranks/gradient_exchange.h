// All-reduce of gradients over ranks in buckets, each as soon as the backward pass has completed it.
//
// Between GPUs NCCL runs on its own stream and overlaps the rest of the backward pass. Builds without NCCL,
// and CPU ranks, sum in host memory through MPI, bucket by bucket and without overlap, since the same
// processor adds. A bucket is reduce-scattered, and all-gathered unless the optimizer is sharded: a ring
// all-reduce in two steps, with the same bits on every rank by construction, sharded or not.
//
// Moves 2 (ranks - 1) / ranks times the bytes of the slab from and to every rank; with a sharded optimizer
// half of it for gradients, and the other half for the parameters after the update.
#pragma once

#include <memory>
#include <vector>

#include "kernels/common/stream.h"
#include "runtime/device/device.h"
#include "runtime/ranks/comm.h"
#include "runtime/tensor/gradient_listener.h"
#include "runtime/tensor/shard.h"

namespace nccl {
class Communicator;
}

class GradientExchange : public GradientReadyListener {
  public:
    // Of slabs of `slab_floats`, padded (shard.h), in `device`'s memory; kernels write gradients on `stream`.
    // `sharded`: each rank gets the sums of its own shard only. Collective. Throws Error.
    GradientExchange(const Comm& comm, Device device, Stream stream, std::size_t slab_floats,
                     std::size_t bucket_floats, bool sharded);
    ~GradientExchange() override;

    const std::vector<Bucket>& buckets() const { return buckets_; }

    // Before the last backward pass of a step, whose gradients are summed from here on.
    void begin(float* gradients);
    void ready_from(std::size_t offset) override;
    // After the backward pass: returns when all sums are complete (on the GPU: for work queued from now on).
    void finish();

    // All-gather of every rank's shard of a slab.
    void all_gather(float* slab);

  private:
    void sum(const Bucket& bucket);
    void sum_on_host(const Bucket& bucket, float* values);

    const Comm& comm_;
    Device device_;
    Stream stream_;
    bool sharded_;
    std::vector<Bucket> buckets_;
    std::unique_ptr<nccl::Communicator> ring_;  // null: through the host
    std::vector<float> part_, staged_;          // of one bucket; staged_ only for a GPU without NCCL
    float* gradients_ = nullptr;                // while a step's are summed
    std::size_t next_ = 0;                      // bucket
};
