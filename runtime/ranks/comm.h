// The ranks of a run: one process for each device, started together by mpirun, on one machine or many. MPI
// assigns the rank numbers and transfers host memory; sums between GPUs use NCCL (comm_nccl.h). A program
// started alone is rank 0 of 1, and the functions below return at once.
//
// Every rank calls the collective functions below in the same order. They give the same bits on every rank.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

class Comm {
  public:
    // Starts MPI if mpirun (or srun) started this process with others; stdout of ranks > 0 is then discarded.
    // `program` begins the lines on stderr.
    explicit Comm(std::string program);
    ~Comm();
    Comm(const Comm&) = delete;
    Comm& operator=(const Comm&) = delete;

    // Throws UsageError if there are other ranks but this build has no MPI.
    void require_built() const;

    int rank() const { return rank_; }
    int ranks() const { return ranks_; }
    // Among the ranks of this machine.
    int local_rank() const { return local_rank_; }
    int local_ranks() const { return local_ranks_; }

    // Collective, on the host, for few numbers at a time: each element's sum over ranks, in their order.
    void sum(std::span<double> values) const;
    bool any(bool flag) const;
    // The values of rank 0.
    std::vector<std::int64_t> broadcast(std::vector<std::int64_t> values) const;
    void broadcast(void* values, std::size_t bytes) const;
    std::int64_t all_reduce_min(std::int64_t value) const;

    // Collective, on the host's memory, `count` floats for each rank: comm_mpi.h.
    void reduce_scatter(const float* values, float* piece, std::size_t count) const;
    void all_gather(float* values, std::size_t count) const;
    void gather(const float* mine, float* all, std::size_t count) const;

    // Reports on stderr the error that ended this rank. Errors common to all ranks are reported once, by rank
    // 0: the others wait before they report, and rank 0 ends them meanwhile.
    void report(const std::string& error);
    // The last call: a barrier after success, otherwise ends all ranks. Returns the exit code.
    int finish(int code);

  private:
    struct Watch;  // of the other ranks on this machine

    std::string program_;
    int rank_ = 0, ranks_ = 1, local_rank_ = 0, local_ranks_ = 1;
    bool lacks_mpi_ = false;
    std::unique_ptr<Watch> watch_;
};
