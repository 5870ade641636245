#include "runtime/ranks/comm_mpi.h"

#include <cstdlib>

#ifdef FRACTAL_MPI

#define OMPI_SKIP_MPICXX  // the C++ bindings are not used
#include <mpi.h>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <limits>

#include "runtime/base/error.h"

namespace mpi {
namespace {

MPI_Comm neighbours = MPI_COMM_NULL;  // the ranks of this machine
MPI_Win window = MPI_WIN_NULL;

// MPI counts in int. Throws Error for more.
int mpi_count(std::size_t count) {
    if (count > static_cast<std::size_t>(std::numeric_limits<int>::max()))
        fail("MPI: {} elements in one message, expected at most {}: a smaller --bucket sends fewer", count,
             std::numeric_limits<int>::max());
    return static_cast<int>(count);
}

}  // namespace

bool built() {
    return true;
}

Place start() {
    int provided = 0;
    MPI_Init_thread(nullptr, nullptr, MPI_THREAD_FUNNELED, &provided);
    Place place;
    MPI_Comm_rank(MPI_COMM_WORLD, &place.rank);
    MPI_Comm_size(MPI_COMM_WORLD, &place.ranks);
    MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &neighbours);
    MPI_Comm_rank(neighbours, &place.local_rank);
    MPI_Comm_size(neighbours, &place.local_ranks);
    return place;
}

void stop() {
    if (window != MPI_WIN_NULL) MPI_Win_free(&window);
    MPI_Comm_free(&neighbours);
    MPI_Finalize();
}

void abort(int code) {
    MPI_Abort(MPI_COMM_WORLD, code);
    std::abort();  // MPI_Abort does not return, but is not declared so
}

void* share_memory(std::size_t bytes) {
    void *mine = nullptr, *first = nullptr;
    MPI_Win_allocate_shared(static_cast<MPI_Aint>(bytes), 1, MPI_INFO_NULL, neighbours, &mine, &window);
    std::memset(mine, 0, bytes);
    MPI_Barrier(neighbours);
    MPI_Aint size = 0;
    int unit = 0;
    MPI_Win_shared_query(window, 0, &size, &unit, static_cast<void*>(&first));
    return first;
}

void all_gather(const void* mine, void* all, std::size_t bytes) {
    const int count = mpi_count(bytes);
    MPI_Allgather(mine, count, MPI_BYTE, all, count, MPI_BYTE, MPI_COMM_WORLD);
}

void broadcast(void* values, std::size_t bytes) {
    constexpr std::size_t most = std::size_t{1} << 30;  // MPI counts in int
    for (std::size_t begin = 0; begin < bytes; begin += most)
        MPI_Bcast(static_cast<std::byte*>(values) + begin, mpi_count(std::min(most, bytes - begin)), MPI_BYTE,
                  0, MPI_COMM_WORLD);
}

void reduce_scatter(const float* values, float* piece, std::size_t count) {
    MPI_Reduce_scatter_block(values, piece, mpi_count(count), MPI_FLOAT, MPI_SUM, MPI_COMM_WORLD);
}

void all_gather(float* values, std::size_t count) {
    const int each = mpi_count(count);
    MPI_Allgather(MPI_IN_PLACE, each, MPI_FLOAT, values, each, MPI_FLOAT, MPI_COMM_WORLD);
}

void gather(const float* mine, float* all, std::size_t count) {
    const int each = mpi_count(count);
    MPI_Gather(mine, each, MPI_FLOAT, all, each, MPI_FLOAT, 0, MPI_COMM_WORLD);
}

}  // namespace mpi

#else

namespace mpi {

bool built() {
    return false;
}
Place start() {
    return {};
}
void stop() {}
void abort(int code) {
    std::_Exit(code);
}
void* share_memory(std::size_t) {
    return nullptr;
}
void all_gather(const void*, void*, std::size_t) {}
void broadcast(void*, std::size_t) {}
void reduce_scatter(const float*, float*, std::size_t) {}
void all_gather(float*, std::size_t) {}
void gather(const float*, float*, std::size_t) {}

}  // namespace mpi

#endif
