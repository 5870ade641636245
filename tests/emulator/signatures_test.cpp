// The part of the CUDA runtime that the sources use has the same types and values in the replacement header
// as in the toolkit's: this file compiles against either (make test-signatures).
#include <cuda_runtime.h>

#include <cstddef>

namespace {

using Error = cudaError_t;
using Stream = cudaStream_t;
using Event = cudaEvent_t;
using std::size_t;

// A function that can be called through a pointer of this type has this signature.
template <class Function>
constexpr bool has(Function*) {
    return true;
}

static_assert(has<const char*(Error)>(cudaGetErrorString) && has<const char*(Error)>(cudaGetErrorName));
static_assert(has<Error()>(cudaGetLastError) && has<Error()>(cudaPeekAtLastError));
static_assert(has<Error(int*)>(cudaGetDeviceCount) && has<Error(int*)>(cudaGetDevice));
static_assert(has<Error(cudaDeviceProp*, int)>(cudaGetDeviceProperties) && has<Error(int)>(cudaSetDevice));
static_assert(has<Error(int*, cudaDeviceAttr, int)>(cudaDeviceGetAttribute));
static_assert(has<Error()>(cudaDeviceSynchronize));
static_assert(has<Error(int*)>(cudaDriverGetVersion) && has<Error(int*)>(cudaRuntimeGetVersion));

static_assert(has<Error(Stream*)>(cudaStreamCreate) &&
              has<Error(Stream*, unsigned)>(cudaStreamCreateWithFlags));
static_assert(has<Error(Stream)>(cudaStreamDestroy) && has<Error(Stream)>(cudaStreamSynchronize));
static_assert(has<Error(Stream)>(cudaStreamQuery) &&
              has<Error(Stream, Event, unsigned)>(cudaStreamWaitEvent));
static_assert(has<Error(Event*)>(cudaEventCreate) && has<Error(Event*, unsigned)>(cudaEventCreateWithFlags));
static_assert(has<Error(Event)>(cudaEventDestroy) && has<Error(Event, Stream)>(cudaEventRecord));
static_assert(has<Error(Event)>(cudaEventSynchronize) && has<Error(Event)>(cudaEventQuery));
static_assert(has<Error(float*, Event, Event)>(cudaEventElapsedTime));

static_assert(has<Error(void**, size_t)>(cudaMalloc) && has<Error(void*)>(cudaFree));
static_assert(has<Error(float**, size_t)>(cudaMalloc));
static_assert(has<Error(void**, size_t, unsigned)>(cudaHostAlloc) && has<Error(void*)>(cudaFreeHost));
static_assert(has<Error(void*, const void*, size_t, cudaMemcpyKind)>(cudaMemcpy));
static_assert(has<Error(void*, const void*, size_t, cudaMemcpyKind, Stream)>(cudaMemcpyAsync));
static_assert(has<Error(void*, int, size_t)>(cudaMemset) &&
              has<Error(void*, int, size_t, Stream)>(cudaMemsetAsync));
static_assert(has<Error(size_t*, size_t*)>(cudaMemGetInfo));

static_assert(has<Error(Stream, cudaStreamCaptureMode)>(cudaStreamBeginCapture));
static_assert(has<Error(Stream, cudaGraph_t*)>(cudaStreamEndCapture));
static_assert(has<Error(Stream, cudaStreamCaptureStatus*)>(cudaStreamIsCapturing));
static_assert(has<Error(cudaGraphExec_t*, cudaGraph_t, unsigned long long)>(cudaGraphInstantiate));
static_assert(has<Error(cudaGraphExec_t, cudaGraph_t, cudaGraphExecUpdateResultInfo*)>(cudaGraphExecUpdate));
static_assert(has<Error(cudaGraphExec_t, Stream)>(cudaGraphLaunch));
static_assert(has<Error(cudaGraph_t, cudaGraphNode_t*, size_t*)>(cudaGraphGetNodes));
static_assert(has<Error(cudaGraph_t)>(cudaGraphDestroy) && has<Error(cudaGraphExec_t)>(cudaGraphExecDestroy));

static_assert(has<Error(const void*, cudaFuncAttribute, int)>(cudaFuncSetAttribute));
static_assert(has<Error(cudaFuncAttributes*, const void*)>(cudaFuncGetAttributes));
static_assert(has<Error(const cudaLaunchConfig_t*, void (*)(int), short&&)>(cudaLaunchKernelEx));
static_assert(has<Error(int*, const void*, const cudaLaunchConfig_t*)>(cudaOccupancyMaxActiveClusters));

static_assert(cudaSuccess == 0 && cudaErrorInvalidValue == 1 && cudaErrorMemoryAllocation == 2);
static_assert(cudaErrorInvalidConfiguration == 9 && cudaErrorInvalidMemcpyDirection == 21);
static_assert(cudaErrorInvalidDeviceFunction == 98 && cudaErrorNoDevice == 100 &&
              cudaErrorInvalidDevice == 101);
static_assert(cudaErrorNoKernelImageForDevice == 209 && cudaErrorInvalidResourceHandle == 400);
static_assert(cudaErrorNotReady == 600 && cudaErrorIllegalAddress == 700 && cudaErrorLaunchFailure == 719);
static_assert(cudaErrorNotSupported == 801 && cudaErrorStreamCaptureUnsupported == 900);
static_assert(cudaErrorStreamCaptureInvalidated == 901 && cudaErrorStreamCaptureMerge == 902);
static_assert(cudaErrorStreamCaptureUnmatched == 903 && cudaErrorStreamCaptureUnjoined == 904);
static_assert(cudaErrorStreamCaptureIsolation == 905 && cudaErrorStreamCaptureImplicit == 906);
static_assert(cudaErrorGraphExecUpdateFailure == 910);
static_assert(cudaMemcpyHostToHost == 0 && cudaMemcpyHostToDevice == 1 && cudaMemcpyDeviceToHost == 2);
static_assert(cudaMemcpyDeviceToDevice == 3 && cudaMemcpyDefault == 4);
static_assert(cudaStreamDefault == 0 && cudaStreamNonBlocking == 1 && cudaEventDisableTiming == 2);
static_assert(cudaStreamCaptureModeGlobal == 0 && cudaStreamCaptureModeThreadLocal == 1);
static_assert(cudaStreamCaptureModeRelaxed == 2 && cudaStreamCaptureStatusInvalidated == 2);
static_assert(cudaFuncAttributeMaxDynamicSharedMemorySize == 8 && cudaHostAllocMapped == 2);
static_assert(cudaGraphExecUpdateErrorTopologyChanged == 2);
static_assert(cudaLaunchAttributeClusterDimension == 4);
static_assert(cudaFuncAttributeNonPortableClusterSizeAllowed == 14 && cudaDevAttrClusterLaunch == 120);
static_assert(cudaErrorInvalidClusterSize == 912);
static_assert(cudaLaunchAttributeProgrammaticStreamSerialization == 6 && sizeof(cudaLaunchAttribute) == 72);
static_assert(cudaDevAttrMultiProcessorCount == 16 && cudaDevAttrMaxSharedMemoryPerBlockOptin == 97);
static_assert(sizeof(float4) == 16 && alignof(float4) == 16 && alignof(int2) == 8 && alignof(uchar4) == 4);
static_assert(sizeof(float3) == 12 && alignof(double2) == 16 && alignof(short4) == 8 &&
              alignof(longlong2) == 16);

}  // namespace
