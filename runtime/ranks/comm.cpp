#include "runtime/ranks/comm.h"

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <thread>

#include "runtime/base/error.h"
#include "runtime/base/report.h"
#include "runtime/ranks/comm_mpi.h"

namespace {

using namespace std::chrono_literals;

// Delay before ranks > 0 report an error, so that rank 0's message comes first; interval of the liveness
// check.
constexpr std::chrono::milliseconds report_delay = 2s, watch_interval = 100ms;

int number_in_environment(std::initializer_list<const char*> names, int otherwise) {
    for (const char* name : names)
        if (const char* value = std::getenv(name)) return std::atoi(value);
    return otherwise;
}

// From the launcher's environment: Open MPI's mpirun, or a PMI launcher (srun, MPICH's mpirun).
int launched_ranks() {
    const int unknown = std::getenv("PMIX_RANK") != nullptr ? 2 : 1;
    return number_in_environment({"OMPI_COMM_WORLD_SIZE", "PMI_SIZE"}, unknown);
}
int launched_rank() {
    return number_in_environment({"OMPI_COMM_WORLD_RANK", "PMI_RANK", "PMIX_RANK"}, 0);
}

}  // namespace

// Liveness check of the ranks on this machine. mpirun ends the others when one is lost, but reports it in
// many lines, or none with --quiet; here the first surviving rank reports it in one line.
struct Comm::Watch {
    struct Entry {
        std::int32_t rank, process;
        std::atomic<std::int32_t> ended;  // by itself, not by a signal
    };
    static_assert(std::atomic<std::int32_t>::is_always_lock_free);

    Watch(const Comm& comm)
        : program(comm.program_),
          entries(static_cast<Entry*>(mpi::share_memory(sizeof(Entry))),
                  static_cast<std::size_t>(comm.local_ranks_)),
          mine(entries[static_cast<std::size_t>(comm.local_rank_)]) {
        mine.rank = comm.rank_;
        mine.process = ::getpid();
        comm.any(false);  // barrier: every rank has written its entry
        thread = std::thread([this] { run(); });
    }

    ~Watch() {
        {
            const std::lock_guard lock(mutex);
            stopping = true;
        }
        changed.notify_all();
        thread.join();
    }

    static bool is_alive(const Entry& entry) { return ::kill(entry.process, 0) == 0 || errno != ESRCH; }

    void run() {
        std::unique_lock lock(mutex);
        const Entry* lost = nullptr;
        while (!changed.wait_for(lock, watch_interval, [this] { return stopping; })) {
            if (lost != nullptr) say_and_end(*lost);  // this rank survived the interval
            const auto found =
                std::ranges::find_if(entries, [](const Entry& e) { return !is_alive(e) && e.ended == 0; });
            if (found == entries.end()) continue;
            if (&*std::ranges::find_if(entries, is_alive) == &mine) lost = &*found;
        }
    }

    void say_and_end(const Entry& lost) const {
        report_line(program,
                    fmt::format("rank {} (process {}) was lost; all ranks end", lost.rank, lost.process));
        std::_Exit(1);
    }

    std::string program;
    std::span<Entry> entries;
    Entry& mine;
    std::mutex mutex;
    std::condition_variable changed;
    bool stopping = false;
    std::thread thread;
};

Comm::Comm(std::string program) : program_(std::move(program)) {
    if (launched_ranks() <= 1) return;
    if (!mpi::built()) {
        lacks_mpi_ = true;
        rank_ = launched_rank();
        return;
    }
    const mpi::Place place = mpi::start();
    rank_ = place.rank;
    ranks_ = place.ranks;
    local_rank_ = place.local_rank;
    local_ranks_ = place.local_ranks;
    if (rank_ > 0 && std::freopen("/dev/null", "w", stdout) == nullptr) std::fclose(stdout);
    watch_ = std::make_unique<Watch>(*this);
}

Comm::~Comm() = default;

void Comm::require_built() const {
    if (lacks_mpi_)
        fail_usage(
            "started as several ranks, but this build has no MPI: install libopenmpi-dev, build again");
}

void Comm::sum(std::span<double> values) const {
    if (ranks_ == 1) return;
    std::vector<double> all(values.size() * static_cast<std::size_t>(ranks_));
    mpi::all_gather(values.data(), all.data(), values.size_bytes());
    std::ranges::fill(values, 0.0);
    for (std::size_t i = 0; i < all.size(); ++i) values[i % values.size()] += all[i];
}

bool Comm::any(bool flag) const {
    double count = flag ? 1 : 0;
    sum({&count, 1});
    return count > 0;
}

std::vector<std::int64_t> Comm::broadcast(std::vector<std::int64_t> values) const {
    auto size = static_cast<std::int64_t>(values.size());
    broadcast(&size, sizeof size);
    values.resize(static_cast<std::size_t>(size));
    broadcast(values.data(), values.size() * sizeof(std::int64_t));
    return values;
}

void Comm::broadcast(void* values, std::size_t bytes) const {
    if (ranks_ > 1) mpi::broadcast(values, bytes);
}

std::int64_t Comm::all_reduce_min(std::int64_t value) const {
    if (ranks_ == 1) return value;
    std::vector<std::int64_t> all(static_cast<std::size_t>(ranks_));
    mpi::all_gather(&value, all.data(), sizeof value);
    return *std::ranges::min_element(all);
}

void Comm::reduce_scatter(const float* values, float* piece, std::size_t count) const {
    mpi::reduce_scatter(values, piece, count);
}

void Comm::all_gather(float* values, std::size_t count) const {
    mpi::all_gather(values, count);
}

void Comm::gather(const float* mine, float* all, std::size_t count) const {
    mpi::gather(mine, all, count);
}

void Comm::report(const std::string& error) {
    if (lacks_mpi_ && rank_ > 0) return;
    if (watch_) watch_->mine.ended = 1;
    if (rank_ > 0) std::this_thread::sleep_for(report_delay);
    report_line(program_, (rank_ > 0 ? fmt::format("rank {}: ", rank_) : "") + error);
}

int Comm::finish(int code) {
    if (!watch_) return code;
    std::fflush(stdout);
    if (code != 0) mpi::abort(code);
    any(false);
    watch_.reset();
    mpi::stop();
    return code;
}
