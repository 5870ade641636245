// MPI, for comm.cpp alone. In a build without its headers (libopenmpi-dev) only built() may be called.
#pragma once

#include <cstddef>

namespace mpi {

bool built();

struct Place {
    int rank = 0, ranks = 1;              // of all processes
    int local_rank = 0, local_ranks = 1;  // of those on this machine
};

Place start();
void stop();
// Ends every rank; mpirun's exit code becomes `code`.
[[noreturn]] void abort(int code);

// Zeroed memory that the ranks of this machine share, `bytes` for each; all of it, in the order of local
// ranks. Stays until stop().
void* share_memory(std::size_t bytes);

// Counts are per rank. `all` has room for every rank's part, in the order of ranks.
void all_gather(const void* mine, void* all, std::size_t bytes);
void broadcast(void* values, std::size_t bytes);  // from rank 0
// piece [count] = this rank's part of the sum over ranks of values [ranks * count].
void reduce_scatter(const float* values, float* piece, std::size_t count);
// In place: every rank has its part of values [ranks * count] and receives the others'.
void all_gather(float* values, std::size_t count);
// The same to rank 0 alone: `all` is read there only.
void gather(const float* mine, float* all, std::size_t count);

}  // namespace mpi
