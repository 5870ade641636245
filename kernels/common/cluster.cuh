// Launches in clusters of thread blocks, which run at the same time and reach each other's shared memory
// (ptx_cluster.cuh).
#pragma once

#include <cstddef>

#include "kernels/common/launch.cuh"
#include "kernels/common/ptx_cluster.cuh"

namespace cuda {

// Of a launch in clusters of `ranks` blocks, neighbours in x. Clusters of more than 8 blocks exist on some
// devices only.
struct ClusterLaunch {
    dim3 grid;
    unsigned ranks;
    dim3 block;
    std::size_t shared_bytes;
};

namespace cluster_detail {

// Calls body(config) with the launch as the runtime takes it.
template <class... Parameters, class Body>
void with_config(void (*kernel)(Parameters...), const ClusterLaunch& how, Stream stream, const Body& body) {
    constexpr unsigned portable = 8;
    if (how.ranks > portable)
        check(cudaFuncSetAttribute(kernel, cudaFuncAttributeNonPortableClusterSizeAllowed, 1),
              "cluster of a kernel");
    allow_shared_bytes(kernel, how.shared_bytes);
    cudaLaunchAttribute cluster{};
    cluster.id = cudaLaunchAttributeClusterDimension;
    cluster.val.clusterDim.x = how.ranks;
    cluster.val.clusterDim.y = cluster.val.clusterDim.z = 1;
    cudaLaunchAttribute attributes[] = {cluster, early_start()};
    cudaLaunchConfig_t config{};
    config.gridDim = how.grid;
    config.blockDim = how.block;
    config.dynamicSmemBytes = how.shared_bytes;
    config.stream = stream.handle;
    config.attrs = attributes;
    config.numAttrs = has_dependent_launch() ? 2 : 1;
    body(config);
}

}  // namespace cluster_detail

// Queues the kernel, whose grid's width is a multiple of `ranks`; as launch() it may start early.
template <class... Parameters, class... Arguments>
void launch_clusters(void (*kernel)(Parameters...), const ClusterLaunch& how, Stream stream,
                     Arguments... arguments) {
    cluster_detail::with_config(kernel, how, stream, [&](const cudaLaunchConfig_t& config) {
        check(cudaLaunchKernelEx(&config, kernel, arguments...), "launch of a kernel in clusters");
    });
}

// How many of such clusters the current device holds at once: 0 if it has none, or none so large.
template <class... Parameters>
int resident_clusters(void (*kernel)(Parameters...), const ClusterLaunch& how) {
    int device = 0, launches_clusters = 0, shared_most = 0, clusters = 0;
    check(cudaGetDevice(&device), "current device");
    check(cudaDeviceGetAttribute(&launches_clusters, cudaDevAttrClusterLaunch, device), "clusters");
    check(cudaDeviceGetAttribute(&shared_most, cudaDevAttrMaxSharedMemoryPerBlockOptin, device),
          "shared memory of a block");
    if (launches_clusters == 0 || how.shared_bytes > static_cast<std::size_t>(shared_most)) return 0;
    cluster_detail::with_config(kernel, how, {}, [&](const cudaLaunchConfig_t& config) {
        check(cudaOccupancyMaxActiveClusters(&clusters, kernel, &config), "clusters that the device holds");
    });
    return clusters;
}

}  // namespace cuda
