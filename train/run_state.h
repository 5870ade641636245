// State of a training run between updates: weights, gradients, the optimizer's state, a moving average, and
// the number of updates done; on one rank, or sharded among several.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "runtime/checkpoint/checkpoint.h"
#include "runtime/ranks/comm.h"
#include "runtime/ranks/gradient_exchange.h"
#include "runtime/tensor/optimizer.h"
#include "runtime/tensor/parameters.h"

// How several processes share a run.
struct RankRule {
    const Comm& comm;
    bool shard_optimizer = false;                      // each keeps a part of the optimizer's state
    std::size_t bucket_floats = std::size_t{4} << 20;  // gradients summed at once
};

class RunState {
  public:
    // Of `parameters`, which are not allocated yet, and stay. Takes no memory. Of several ranks, all call the
    // functions below together.
    RunState(Parameters& parameters, Backend backend, const OptimizerRule& rule, const RankRule& ranks);

    // Memory of start().
    std::size_t bytes() const;
    // Reserves memory and draws the initial weights.
    void start(std::uint64_t seed);
    // The weights have been replaced: they are rounded, and the average starts from them.
    void weights_replaced();
    // Loads weights, optimizer state and average of a checkpoint after `steps` updates. Throws Error.
    void resume(const SafetensorsFile& file, std::int64_t steps);
    // Adds them to `writer`, for `path`, without the optimizer's moments unless `with_state`; true if this
    // rank is to write the file. The moments of a sharded optimizer are written beside it by each rank.
    bool save(CheckpointWriter& writer, const std::filesystem::path& path, bool with_state);

    // Between ranks, the sums of gradients; null for one alone.
    GradientExchange* exchange() { return exchange_.get(); }
    // One update from the gradients. Returns their norm before clipping; if that is not finite, nothing has
    // been changed.
    double update(float learning_rate);
    std::int64_t steps_done() const { return steps_done_; }

    // Calls `use` with the averaged weights in place, if an average is kept; also if it throws, the weights are
    // back afterwards, but of ranks with a sharded average: that would wait for ranks that did not fail.
    template <class Use>
    void with_average(Use use) {
        struct Return {
            Parameters& parameters;
            ~Return() { parameters.use_values(parameters.values()); }
        } back{parameters_};
        const bool averaged = rule_.ema_decay > 0;
        if (averaged && sharded()) swap_in_average();
        if (averaged && !sharded()) parameters_.use_values(optimizer_->average());
        use();
        if (averaged && sharded()) swap_out_average();
    }

  private:
    bool sharded() const { return ranks_.shard_optimizer && ranks_.comm.ranks() > 1; }
    // Writes every rank's state beside the checkpoint; returns the checkpoint's metadata about it.
    std::string write_state(const std::filesystem::path& path);
    // The whole average, on rank 0.
    std::vector<float> gather_average();
    // Every rank's part of the weights to all.
    void gather_values();
    // A sharded average takes the place of the weights, which each rank keeps for its shard meanwhile.
    void swap_in_average();
    void swap_out_average();

    Parameters& parameters_;
    Backend backend_;
    Stream stream_;
    OptimizerRule rule_;
    RankRule ranks_;
    std::unique_ptr<GradientExchange> exchange_;
    std::unique_ptr<Optimizer> optimizer_;
    Memory kept_weights_;  // of the shard, while the average is in their place
    std::int64_t steps_done_ = 0;
};
