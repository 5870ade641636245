#include "train/run_state.h"

#include <cmath>

#include "runtime/checkpoint/sharded_checkpoint.h"

RunState::RunState(Parameters& parameters, Backend backend, const OptimizerRule& rule, const RankRule& ranks)
    : parameters_(parameters),
      backend_(backend),
      stream_(main_stream(backend.device)),
      rule_(rule),
      ranks_(ranks) {
    parameters.pad_slab(part_alignment * static_cast<std::size_t>(ranks.comm.ranks()));
}

std::size_t RunState::bytes() const {
    const std::size_t slab = parameters_.slab_floats() * sizeof(float), state = rule_.ema_decay > 0 ? 3 : 2,
                      rounded = backend_.precision == Precision::fp32 ? 0
                                : backend_.device == Device::cpu ? slab / 2 + slab  // packed in two orders
                                                                 : slab / 2;
    if (!sharded()) return (2 + state) * slab + rounded;
    const std::size_t kept = rule_.ema_decay > 0 ? 1 : 0;  // weights, during an evaluation
    return 2 * slab + rounded + (state + kept) * slab / static_cast<std::size_t>(ranks_.comm.ranks());
}

void RunState::start(std::uint64_t seed) {
    parameters_.allocate(backend_, true);
    parameters_.initialize(seed);
    const int rank = ranks_.comm.rank(), ranks = ranks_.comm.ranks();
    if (ranks > 1)
        exchange_ =
            std::make_unique<GradientExchange>(ranks_.comm, backend_.device, stream_,
                                               parameters_.slab_floats(), ranks_.bucket_floats, sharded());
    optimizer_ = sharded() ? std::make_unique<Optimizer>(parameters_, backend_.device, rule_, stream_,
                                                         shard_of(exchange_->buckets(), rank, ranks),
                                                         [&comm = ranks_.comm](double& number) {
                                                             comm.sum({&number, 1});
                                                         })
                           : std::make_unique<Optimizer>(parameters_, backend_.device, rule_, stream_);
    optimizer_->start_average();
}

void RunState::weights_replaced() {
    parameters_.round_values();
    optimizer_->start_average();
}

void RunState::resume(const SafetensorsFile& file, std::int64_t steps) {
    load_slab(file, parameters_, "", parameters_.values());
    parameters_.round_values();
    const std::vector<Segment> segments = segments_of(parameters_, optimizer_->shard());
    load_state(file, segments, first_moment_prefix, optimizer_->first_moment(), backend_.device);
    load_state(file, segments, second_moment_prefix, optimizer_->second_moment(), backend_.device);
    if (rule_.ema_decay > 0)
        load_state(file, segments, average_prefix, optimizer_->average(), backend_.device);
    steps_done_ = steps;
}

bool RunState::save(CheckpointWriter& writer, const std::filesystem::path& path, bool with_state) {
    if (!sharded() && ranks_.comm.rank() > 0) return false;
    const bool averaged = rule_.ema_decay > 0;
    std::vector<float> average;
    if (sharded()) {
        if (with_state) writer.set(shards_key, write_state(path));
        if (averaged) average = gather_average();
        if (ranks_.comm.rank() > 0) return false;
    }
    writer.add_slab(parameters_, "", parameters_.values());
    if (!sharded() && with_state) {
        writer.add_slab(parameters_, first_moment_prefix, optimizer_->first_moment());
        writer.add_slab(parameters_, second_moment_prefix, optimizer_->second_moment());
    }
    if (averaged && sharded()) writer.add_slab(parameters_, average_prefix, std::move(average));
    if (averaged && !sharded()) writer.add_slab(parameters_, average_prefix, optimizer_->average());
    return true;
}

std::string RunState::write_state(const std::filesystem::path& path) {
    const std::vector<StateSlab> slabs{{first_moment_prefix, optimizer_->first_moment()},
                                       {second_moment_prefix, optimizer_->second_moment()}};
    return write_shards(path, ranks_.comm, segments_of(parameters_, optimizer_->shard()), slabs,
                        backend_.device);
}

std::vector<float> RunState::gather_average() {
    const Shard& shard = optimizer_->shard();
    std::vector<float> mine(shard.floats), all(ranks_.comm.rank() == 0 ? parameters_.slab_floats() : 0);
    copy_from_device(backend_.device, mine.data(), optimizer_->average(), mine.size() * sizeof(float),
                     stream_);
    for (std::size_t i = 0; i < exchange_->buckets().size(); ++i) {
        const Piece& piece = shard.pieces[i];
        ranks_.comm.gather(mine.data() + piece.place,
                           all.empty() ? nullptr : all.data() + exchange_->buckets()[i].begin, piece.count);
    }
    return all;
}

double RunState::update(float learning_rate) {
    const double norm = optimizer_->update(steps_done_, learning_rate);
    if (!std::isfinite(norm)) return norm;
    if (sharded()) gather_values();
    ++steps_done_;
    return norm;
}

void RunState::gather_values() {
    exchange_->all_gather(parameters_.values());
    parameters_.round_values();
}

void RunState::swap_in_average() {
    const Shard& shard = optimizer_->shard();
    kept_weights_ = Memory(backend_.device, shard.floats * sizeof(float));
    pack_shard(backend_.device, stream_, shard, reinterpret_cast<float*>(kept_weights_.data()),
               parameters_.values());
    unpack_shard(backend_.device, stream_, shard, parameters_.values(), optimizer_->average());
    gather_values();
}

void RunState::swap_out_average() {
    unpack_shard(backend_.device, stream_, optimizer_->shard(), parameters_.values(),
                 reinterpret_cast<float*>(kept_weights_.data()));
    gather_values();
    kept_weights_ = {};
}
