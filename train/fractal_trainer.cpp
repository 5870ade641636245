#include "train/fractal_trainer.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <numbers>
#include <numeric>

#include "runtime/error.h"
#include "runtime/image_ops.h"
#include "runtime/random.h"
#include "runtime/sharded_checkpoint.h"

namespace {

constexpr std::string_view class_embeddings = "class_emb.weight";

}  // namespace

FractalTrainer::FractalTrainer(const FractalConfig& config, const TrainingSettings& settings, Backend backend,
                               bool recompute, ChunkSizes chunks, const RankRule& ranks)
    : settings_(settings),
      ranks_(ranks),
      recompute_(recompute),
      model_(config, backend),
      chunks_(chunks.empty() ? model_.default_chunks() : std::move(chunks)),
      tape_(backend) {
    if (chunks_.size() != config.img_size_list.size())
        fail_usage("--chunks: {} sizes given, expected one per level, {}", chunks_.size(),
                   config.img_size_list.size());
    model_.parameters().pad_slab(part_alignment * static_cast<std::size_t>(ranks.comm.ranks()));
    tape_.set_recording(true);
    Batch batch;
    batch.labels.assign(static_cast<std::size_t>(settings.batch), -1);
    std::vector<double> totals((config.generators() + 1) * static_cast<std::size_t>(config.channels));
    const std::vector<float> scales(totals.size());
    plan_ = plan_job(tape_, [&] { run_batch(batch, {}, scales, totals, nullptr); });
}

std::size_t FractalTrainer::state_bytes() const {
    const std::size_t slab = model_.parameters().slab_floats() * sizeof(float),
                      state = settings_.optimizer.ema_decay > 0 ? 3 : 2,
                      rounded = tape_.activation() == Element::bf16 ? slab / 2 : 0;
    if (!sharded()) return (2 + state) * slab + rounded;
    const std::size_t kept = settings_.optimizer.ema_decay > 0 ? 1 : 0;  // weights, during an evaluation
    return 2 * slab + rounded + (state + kept) * slab / static_cast<std::size_t>(ranks_.comm.ranks());
}

void FractalTrainer::start() {
    Parameters& parameters = model_.parameters();
    parameters.allocate(model_.backend(), true);
    parameters.initialize(settings_.seed);
    const int rank = ranks_.comm.rank(), ranks = ranks_.comm.ranks();
    if (ranks > 1)
        exchange_ =
            std::make_unique<GradientExchange>(ranks_.comm, parameters.device(), tape_.stream(),
                                               parameters.slab_floats(), ranks_.bucket_floats, sharded());
    optimizer_ = std::make_unique<Optimizer>(
        parameters, parameters.device(), settings_.optimizer, tape_.stream(),
        sharded() ? shard_of(exchange_->buckets(), rank, ranks) : whole_slab(parameters.slab_floats()),
        sharded() ? &ranks_.comm : nullptr);
    optimizer_->start_average();
}

void FractalTrainer::start_from(const TensorFile& file) {
    Parameters& parameters = model_.parameters();
    require_fitting(file, parameters, "", class_embeddings);
    for (const Parameter& parameter : parameters.all()) {
        if (parameter.name == class_embeddings &&
            (!file.contains(parameter.name) || file.shape(parameter.name) != parameter.shape))
            continue;
        load_parameter(file, parameter, "", parameters.values(), parameters.device());
    }
    parameters.round_values();
    optimizer_->start_average();
}

void FractalTrainer::resume(const SafetensorsFile& file) {
    Parameters& parameters = model_.parameters();
    load_slab(file, parameters, "", parameters.values());
    parameters.round_values();
    const std::vector<Segment> segments = segments_of(parameters, optimizer_->shard());
    load_state(file, segments, first_moment_prefix, optimizer_->first_moment(), parameters.device());
    load_state(file, segments, second_moment_prefix, optimizer_->second_moment(), parameters.device());
    if (settings_.optimizer.ema_decay > 0)
        load_state(file, segments, average_prefix, optimizer_->average(), parameters.device());
    steps_done_ = read_description(file).step;
}

void FractalTrainer::save(const std::filesystem::path& path, const std::vector<std::string>& classes,
                          std::optional<double> validation_bits_per_dim, bool with_state) {
    if (!sharded() && ranks_.comm.rank() > 0) return;
    const Parameters& parameters = model_.parameters();
    const bool averaged = settings_.optimizer.ema_decay > 0;
    CheckpointWriter writer;
    std::vector<float> average;
    if (sharded()) {
        if (with_state) writer.set(shards_key, write_state(path));
        if (averaged) average = gather_average();
        if (ranks_.comm.rank() > 0) return;
    }
    writer.add_slab(parameters, "", parameters.values());
    if (!sharded()) {
        writer.add_slab(parameters, first_moment_prefix, optimizer_->first_moment());
        writer.add_slab(parameters, second_moment_prefix, optimizer_->second_moment());
        if (averaged) writer.add_slab(parameters, average_prefix, optimizer_->average());
    } else if (averaged) {
        for (const Parameter& parameter : parameters.all())
            writer.add(std::string(average_prefix) + parameter.name, parameter.shape,
                       average.data() + parameter.offset, Device::cpu);
    }
    describe(writer, {model_.config(), classes, steps_done_, settings_.optimizer.ema_decay});
    writer.set("training", to_json(settings_));
    writer.set("seed", std::to_string(settings_.seed));
    writer.set("data_position", std::to_string(position()));
    if (validation_bits_per_dim)
        writer.set("validation_bits_per_dim", fmt::format("{}", *validation_bits_per_dim));
    writer.write(path);
}

std::string FractalTrainer::write_state(const std::filesystem::path& path) {
    const std::vector<StateSlab> slabs{{first_moment_prefix, optimizer_->first_moment()},
                                       {second_moment_prefix, optimizer_->second_moment()}};
    return write_shards(path, ranks_.comm, segments_of(model_.parameters(), optimizer_->shard()), slabs,
                        tape_.device());
}

std::vector<float> FractalTrainer::gather_average() {
    const Shard& shard = optimizer_->shard();
    std::vector<float> mine(shard.floats),
        all(ranks_.comm.rank() == 0 ? model_.parameters().slab_floats() : 0);
    copy_from_device(tape_.device(), mine.data(), optimizer_->average(), mine.size() * sizeof(float),
                     tape_.stream());
    for (std::size_t i = 0; i < exchange_->buckets().size(); ++i) {
        const Piece& piece = shard.pieces[i];
        ranks_.comm.gather(mine.data() + piece.place,
                           all.empty() ? nullptr : all.data() + exchange_->buckets()[i].begin, piece.count);
    }
    return all;
}

void FractalTrainer::gather_values() {
    exchange_->all_gather(model_.parameters().values());
    model_.parameters().round_values();
}

void FractalTrainer::swap_in_average() {
    const Shard& shard = optimizer_->shard();
    float* const values = model_.parameters().values();
    kept_weights_ = Memory(tape_.device(), shard.floats * sizeof(float));
    pack_shard(tape_.device(), tape_.stream(), shard, reinterpret_cast<float*>(kept_weights_.data()), values);
    unpack_shard(tape_.device(), tape_.stream(), shard, values, optimizer_->average());
    gather_values();
}

void FractalTrainer::swap_out_average() {
    float* const values = model_.parameters().values();
    unpack_shard(tape_.device(), tape_.stream(), optimizer_->shard(), values,
                 reinterpret_cast<float*>(kept_weights_.data()));
    gather_values();
    kept_weights_ = {};
}

Loader FractalTrainer::make_loader(const PackedFile& data) const {
    return {data,
            settings_.batch,
            settings_.seed,
            settings_.flip,
            position() + ranks_.comm.rank() * settings_.batch,
            ranks_.comm.ranks() * settings_.batch};
}

std::vector<std::int64_t> FractalTrainer::samples_of(int rank, std::int64_t batch) const {
    std::vector<std::int64_t> samples(static_cast<std::size_t>(settings_.batch));
    std::iota(samples.begin(), samples.end(),
              position() + (batch * ranks_.comm.ranks() + rank) * settings_.batch);
    return samples;
}

StepResult FractalTrainer::step(Loader& loader) {
    model_.parameters().zero_gradients(tape_.stream());
    const FractalConfig& config = model_.config();
    std::vector<FractalMasks> masks;
    std::vector<double> terms(config.generators() + 1);
    for (std::int64_t i = 0; i < settings_.accumulation; ++i) {
        for (int rank = 0; rank < ranks_.comm.ranks(); ++rank) {
            const std::vector<std::int64_t> samples = samples_of(rank, i);
            if (rank == ranks_.comm.rank())
                masks.push_back(training_masks(config, samples, settings_.seed, step_number()));
            const std::vector<double> part =
                rank == ranks_.comm.rank()
                    ? loss_terms(config, masks.back())
                    : loss_terms(config, training_sequences(config, samples, settings_.seed, step_number()));
            std::ranges::transform(terms, part, terms.begin(), std::plus<>());
        }
    }
    const std::vector<float> scales = loss_scales(config, static_cast<double>(settings_.red_weight), terms);
    std::vector<double> totals(scales.size());
    for (std::size_t i = 0; i < masks.size(); ++i) {
        const Batch& batch = loader.next();
        GradientWatch* const watch = i + 1 == masks.size() ? exchange_.get() : nullptr;
        if (watch != nullptr) exchange_->begin(model_.parameters().gradients());
        run_job(tape_, plan_, [&] { run_batch(batch, masks[i], scales, totals, watch); });
    }
    if (exchange_) exchange_->finish();
    ranks_.comm.sum(totals);
    return update(totals, scales, terms.back());
}

StepResult FractalTrainer::update(std::span<const double> totals, std::span<const float> scales,
                                  double pixels) {
    StepResult result;
    for (std::size_t i = 0; i < totals.size(); ++i) result.loss += static_cast<double>(scales[i]) * totals[i];
    const std::int64_t C = model_.config().channels;
    const double nats = std::accumulate(totals.end() - C, totals.end(), 0.0);
    result.bits_per_dim = nats / (pixels * static_cast<double>(C)) / std::numbers::ln2;
    result.learning_rate = settings_.learning_rate.at(steps_done_);
    result.gradient_norm = std::nan("");
    if (!std::isfinite(result.loss)) return result;
    result.gradient_norm = optimizer_->update(steps_done_, result.learning_rate);
    if (!std::isfinite(result.gradient_norm)) return result;
    if (sharded()) gather_values();
    ++steps_done_;
    return result;
}

void FractalTrainer::run_batch(const Batch& batch, const FractalMasks& masks, std::span<const float> scales,
                               std::vector<double>& totals, GradientWatch* watch) {
    const FractalConfig& config = model_.config();
    const auto count = static_cast<std::int64_t>(batch.labels.size());
    const std::int64_t dims = config.channels * config.image_size() * config.image_size();
    const std::vector<std::int32_t> ids = condition_ids(batch);
    const Tensor bytes = tape_.create(count, dims, false, Element::u8),
                 sums = tape_.create(static_cast<std::int64_t>(config.generators()) + 1, config.channels,
                                     false, Element::f64);
    copy_to_tensor(tape_, bytes, batch.pixels.data(), batch.pixels.size());
    copy_to_tensor(tape_, sums, totals.data(), totals.size() * sizeof(double));
    constexpr float jitter = 0.01f;
    const PassRule rule{settings_.dropout, recompute_, jitter, settings_.seed, step_number()};
    model_.loss(tape_, normalize_pixels(tape_, bytes, config.pixel_mean(), config.pixel_deviation()), ids,
                masks, scales, sums, rule, chunks_, watch);
    copy_from_tensor(tape_, totals.data(), sums, totals.size() * sizeof(double));
}

std::vector<std::int32_t> FractalTrainer::condition_ids(const Batch& batch) const {
    const PhiloxKey key = random_key(settings_.seed, "label drop");
    std::vector<std::int32_t> ids;
    for (std::size_t i = 0; i < batch.labels.size(); ++i) {
        const auto sample = static_cast<std::uint64_t>(batch.position) + i;
        const bool dropped = random_uniform(key, sample) < settings_.label_drop;
        ids.push_back(dropped || model_.config().class_num == 0 ? 0 : batch.labels[i] + 1);
    }
    return ids;
}
