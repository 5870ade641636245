// The ranks of a run: one process for each device, started together by mpirun, on one machine or many. MPI
// says who is who and carries what lies in the hosts' memory; between GPUs the sums go through NCCL
// (comm_nccl.h). A program that was started alone is one rank of one, and none of this costs anything.
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
    // Starts MPI if mpirun (or srun) started this process with others. From then on only rank 0 has an
    // output: what the others print is discarded. `program` begins the lines on stderr.
    explicit Comm(std::string program);
    ~Comm();
    Comm(const Comm&) = delete;
    Comm& operator=(const Comm&) = delete;

    // Throws UsageError if there are other ranks but this build has no MPI.
    void require_built() const;

    int rank() const { return rank_; }
    int ranks() const { return ranks_; }
    // Of those on this machine.
    int local_rank() const { return local_rank_; }
    int local_ranks() const { return local_ranks_; }

    // Collective, on the host, for few numbers at a time: each element's sum over ranks, in their order.
    void sum(std::span<double> values) const;
    bool any(bool flag) const;
    // What rank 0 has.
    std::vector<std::int64_t> broadcast(std::vector<std::int64_t> values) const;
    void broadcast(void* values, std::size_t bytes) const;
    std::int64_t all_reduce_min(std::int64_t value) const;

    // Collective, on the host's memory, `count` floats for each rank: comm_mpi.h.
    void reduce_scatter(const float* values, float* piece, std::size_t count) const;
    void all_gather(float* values, std::size_t count) const;
    void gather(const float* mine, float* all, std::size_t count) const;

    // Says on stderr what ended this rank. An error that meets all ranks alike is said once, by rank 0: the
    // others give it time to end them before they speak.
    void report(const std::string& error);
    // The last call: waits for all ranks after success, and otherwise ends them all. Returns the exit code.
    int finish(int code);

  private:
    struct Watch;  // of the other ranks on this machine

    std::string program_;
    int rank_ = 0, ranks_ = 1, local_rank_ = 0, local_ranks_ = 1;
    bool lacks_mpi_ = false;
    std::unique_ptr<Watch> watch_;
};
