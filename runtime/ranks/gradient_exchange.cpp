#include "runtime/ranks/gradient_exchange.h"

#include <algorithm>

#include "runtime/base/error.h"
#include "runtime/ranks/comm_nccl.h"

GradientExchange::GradientExchange(const Comm& comm, Device device, Stream stream, std::size_t slab_floats,
                                   std::size_t bucket_floats, bool sharded)
    : comm_(comm),
      device_(device),
      stream_(stream),
      sharded_(sharded),
      buckets_(cut_into_buckets(slab_floats, bucket_floats, comm.ranks())) {
    if (device == Device::cuda && nccl::built()) {
        if (gpu_count() < comm.local_ranks())
            fail_usage("--device cuda: {} ranks on this machine, which has {} GPU{}: expected one for each",
                       comm.local_ranks(), gpu_count(), gpu_count() == 1 ? "" : "s");
        nccl::UniqueId name = comm.rank() == 0 ? nccl::new_unique_id() : nccl::UniqueId{};
        comm.broadcast(name.data(), name.size());
        ring_ = std::make_unique<nccl::Communicator>(name, comm.rank(), comm.ranks());
        return;
    }
    const std::size_t largest = buckets_.empty() ? 0 : buckets_[0].end - buckets_[0].begin;
    part_.resize(largest / static_cast<std::size_t>(comm.ranks()));
    if (device == Device::cuda) staged_.resize(largest);
}

GradientExchange::~GradientExchange() = default;

void GradientExchange::begin(float* gradients) {
    gradients_ = gradients;
    next_ = 0;
}

void GradientExchange::ready_from(std::size_t offset) {
    for (; next_ < buckets_.size() && buckets_[next_].begin >= offset; ++next_) sum(buckets_[next_]);
}

void GradientExchange::finish() {
    ready_from(0);
    if (ring_) ring_->join(stream_);
}

void GradientExchange::sum(const Bucket& bucket) {
    const std::size_t count = bucket.end - bucket.begin;
    float* const values = gradients_ + bucket.begin;
    if (ring_) {
        if (sharded_)
            ring_->reduce_scatter(values, count / static_cast<std::size_t>(comm_.ranks()), stream_);
        else
            ring_->all_reduce(values, count, stream_);
    } else if (device_ == Device::cpu) {
        sum_on_host(bucket, values);
    } else {
        copy_from_device(device_, staged_.data(), values, count * sizeof(float), stream_);
        sum_on_host(bucket, staged_.data());
        copy_to_device(device_, values, staged_.data(), count * sizeof(float), stream_);
    }
}

void GradientExchange::sum_on_host(const Bucket& bucket, float* values) {
    const std::size_t count = (bucket.end - bucket.begin) / static_cast<std::size_t>(comm_.ranks());
    comm_.reduce_scatter(values, part_.data(), count);
    std::copy_n(part_.data(), count, values + static_cast<std::size_t>(comm_.rank()) * count);
    if (!sharded_) comm_.all_gather(values, count);
}

void GradientExchange::all_gather(float* slab) {
    for (const Bucket& bucket : buckets_) {
        const std::size_t floats = bucket.end - bucket.begin,
                          count = floats / static_cast<std::size_t>(comm_.ranks());
        float* const values = slab + bucket.begin;
        if (ring_) {
            ring_->all_gather(values, count, stream_);
        } else if (device_ == Device::cpu) {
            comm_.all_gather(values, count);
        } else {
            copy_from_device(device_, staged_.data(), values, floats * sizeof(float), stream_);
            comm_.all_gather(staged_.data(), count);
            copy_to_device(device_, values, staged_.data(), floats * sizeof(float), stream_);
        }
    }
    if (ring_) ring_->join(stream_);
}
