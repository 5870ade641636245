#include "runtime/ranks/comm_nccl.h"

#ifdef FRACTAL_NCCL

#include <cuda_runtime.h>
#include <nccl.h>

#include <cstring>
#include <exception>

#include "runtime/base/error.h"

namespace nccl {
namespace {

static_assert(sizeof(ncclUniqueId) == sizeof(UniqueId));

void check(ncclResult_t result, const char* what) {
    if (result != ncclSuccess) fail("NCCL: {}: {}", what, ncclGetErrorString(result));
}
void check(cudaError_t result, const char* what) {
    if (result != cudaSuccess) fail("CUDA: {}: {}", what, cudaGetErrorString(result));
}

ncclComm_t communicator(void* pointer) {
    return static_cast<ncclComm_t>(pointer);
}
cudaStream_t stream(void* pointer) {
    return static_cast<cudaStream_t>(pointer);
}
cudaEvent_t event(void* pointer) {
    return static_cast<cudaEvent_t>(pointer);
}

}  // namespace

bool built() {
    return true;
}

UniqueId new_unique_id() {
    ncclUniqueId id;
    check(ncclGetUniqueId(&id), "a name for the ranks");
    UniqueId name;
    std::memcpy(name.data(), &id, name.size());
    return name;
}

Communicator::Communicator(const UniqueId& name, int rank, int ranks) : rank_(rank) {
    ncclUniqueId id;
    std::memcpy(&id, name.data(), name.size());
    ncclComm_t joined = nullptr;
    check(ncclCommInitRank(&joined, ranks, id, rank), "joining the other ranks");
    communicator_ = joined;
    // The highest priority: its few blocks are scheduled first, and the backward pass uses the remaining
    // multiprocessors.
    int lowest = 0, highest = 0;
    cudaStream_t own = nullptr;
    cudaEvent_t mark = nullptr;
    check(cudaDeviceGetStreamPriorityRange(&lowest, &highest), "stream priorities");
    check(cudaStreamCreateWithPriority(&own, cudaStreamNonBlocking, highest), "a stream");
    stream_ = own;
    check(cudaEventCreateWithFlags(&mark, cudaEventDisableTiming), "an event");
    event_ = mark;
}

Communicator::~Communicator() {
    // While an error ends this rank, queued collectives may never complete.
    if (std::uncaught_exceptions() > 0)
        ncclCommAbort(communicator(communicator_));
    else
        ncclCommDestroy(communicator(communicator_));
    cudaEventDestroy(event(event_));
    cudaStreamDestroy(stream(stream_));
}

void Communicator::wait_for(Stream compute) {
    check(cudaEventRecord(event(event_), compute.handle), "an event");
    check(cudaStreamWaitEvent(stream(stream_), event(event_), 0), "waiting for gradients");
}

void Communicator::all_reduce(float* values, std::size_t count, Stream compute) {
    wait_for(compute);
    check(ncclAllReduce(values, values, count, ncclFloat, ncclSum, communicator(communicator_),
                        stream(stream_)),
          "sum of gradients");
}

void Communicator::reduce_scatter(float* values, std::size_t count, Stream compute) {
    wait_for(compute);
    check(ncclReduceScatter(values, values + static_cast<std::size_t>(rank_) * count, count, ncclFloat,
                            ncclSum, communicator(communicator_), stream(stream_)),
          "sum of gradients");
}

void Communicator::all_gather(float* values, std::size_t count, Stream compute) {
    wait_for(compute);
    check(ncclAllGather(values + static_cast<std::size_t>(rank_) * count, values, count, ncclFloat,
                        communicator(communicator_), stream(stream_)),
          "new parameters");
}

void Communicator::join(Stream compute) {
    ncclResult_t result = ncclSuccess;
    check(ncclCommGetAsyncError(communicator(communicator_), &result), "state of the ranks");
    check(result, "between the ranks");
    check(cudaEventRecord(event(event_), stream(stream_)), "an event");
    check(cudaStreamWaitEvent(compute.handle, event(event_), 0), "waiting for the ranks");
}

}  // namespace nccl

#else

namespace nccl {

bool built() {
    return false;
}
UniqueId new_unique_id() {
    return {};
}
Communicator::Communicator(const UniqueId&, int rank, int) : rank_(rank) {}
Communicator::~Communicator() = default;
void Communicator::all_reduce(float*, std::size_t, Stream) {}
void Communicator::reduce_scatter(float*, std::size_t, Stream) {}
void Communicator::all_gather(float*, std::size_t, Stream) {}
void Communicator::join(Stream) {}
void Communicator::wait_for(Stream) {}

}  // namespace nccl

#endif
