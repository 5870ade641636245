#include "models/fractal/sample.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <optional>
#include <stdexcept>

#include "models/fractal/edit.h"
#include "runtime/error.h"
#include "runtime/image_ops.h"

namespace {

template <class T>
Tensor device_copy(Tape& tape, const std::vector<T>& values, std::int64_t rows) {
    const Tensor tensor =
        tape.create(rows, static_cast<std::int64_t>(values.size()) / rows, false, element_of<T>);
    copy_to_tensor(tape, tensor, values.data(), values.size() * sizeof(T));
    return tensor;
}

// Patches that are still hidden after step s of S, of K in the beginning and `current` now.
std::int64_t hidden_after(std::int64_t K, std::int64_t S, std::int64_t s, std::int64_t current) {
    const double angle = std::numbers::pi / 2 * static_cast<double>(s + 1) / static_cast<double>(S);
    const auto count = static_cast<std::int64_t>(std::floor(static_cast<double>(K) * std::cos(angle)));
    return std::max<std::int64_t>(1, std::min(current - 1, count));
}

// The most patches that one step draws, whatever part of the L is hidden.
std::int64_t largest_step(std::int64_t L, std::int64_t iterations) {
    std::int64_t largest = 1;
    for (std::int64_t K = 1; K <= L; ++K) {
        const std::int64_t S = std::min(K, iterations);
        for (std::int64_t s = 0, current = K; s < S; ++s) {
            const std::int64_t next = s + 1 == S ? 0 : hidden_after(K, S, s, current);
            largest = std::max(largest, current - next);
            current = next;
        }
    }
    return largest;
}

}  // namespace

struct FractalSampler::Sequences {
    std::vector<std::int64_t> paths;
    std::vector<PatchOrigin> origins;  // of each image in the whole picture
    std::int64_t count() const { return static_cast<std::int64_t>(paths.size()); }
};

struct FractalSampler::Job {
    const SampleRule& rule;
    const EditTask* task;                                    // null: nothing is known
    std::vector<float> picture;                              // the task's, normalised
    std::vector<std::optional<ArLevel::Packed>> generators;  // weights laid out for sampling
    std::vector<Tensor> guiding;  // of guiding pixels by level, last the pixel level's
};

struct FractalSampler::Order {
    std::vector<std::int32_t> patches;        // [sequences, L]: the hidden ones of each sequence in its order
    std::vector<std::int64_t> total, hidden;  // of each sequence: at first, and now
};

FractalSampler::FractalSampler(const FractalModel& model, std::int64_t batch, bool guided,
                               std::vector<std::int64_t> iterations, ChunkSizes chunks)
    : model_(model),
      batch_(batch),
      guided_(guided),
      iterations_(iterations.empty() ? recommended_iterations(model.config()) : std::move(iterations)),
      chunks_(chunks.empty() ? model.default_chunks() : std::move(chunks)),
      tape_(model.backend()) {
    const FractalConfig& config = model.config();
    if (guided && config.class_num == 0)
        fail_usage("the model is unlabelled: a guidance scale other than 1 needs classes");
    if (iterations_.size() != config.generators())
        fail_usage("{} numbers of steps given, expected one per level above the pixels, {}",
                   iterations_.size(), config.generators());
    const PixelSamplerShape pixels = model.pixel_level().sampler_shape();
    if (!pixel_sampler_fits(pixels))
        fail("the pixel level, width {} with {} blocks, is too large for its sampler", pixels.width,
             pixels.blocks);
    const std::vector<std::int64_t> classes(static_cast<std::size_t>(batch), -1);
    SampleRule rule;
    rule.guidance = guided ? 2.0f : 1.0f;
    plan_ = plan_job(tape_, [&] { run(nullptr, classes, rule, nullptr); });
}

std::vector<std::uint8_t> FractalSampler::sample(std::span<const std::int64_t> classes,
                                                 const SampleRule& rule) {
    return draw(nullptr, classes, rule);
}

std::vector<std::uint8_t> FractalSampler::edit(const EditTask& task, std::span<const std::int64_t> classes,
                                               const SampleRule& rule) {
    require_editable(model_.config(), task.mask);
    return draw(&task, classes, rule);
}

std::vector<std::uint8_t> FractalSampler::draw(const EditTask* task, std::span<const std::int64_t> classes,
                                               const SampleRule& rule) {
    if (static_cast<std::int64_t>(classes.size()) > batch_ || classes.empty() ||
        guided_ != (rule.guidance != 1))
        throw std::logic_error("sampler: asked for what it was not planned for");
    const FractalConfig& config = model_.config();
    for (const std::int64_t label : classes)
        if (label < -1 || label >= config.class_num)
            fail_usage("class {} is out of range: the model has classes 0 to {}", label,
                       config.class_num - 1);
    if (tape_.arena().slab_bytes() < plan_.bytes && plan_.bytes > available_memory(tape_.device()))
        fail("sampling {} images at once needs {:.0f} MiB, {:.0f} MiB are free: draw fewer at once", batch_,
             static_cast<double>(plan_.bytes) / 0x1p20,
             static_cast<double>(available_memory(tape_.device())) / 0x1p20);
    std::vector<std::uint8_t> bytes(
        classes.size() *
        static_cast<std::size_t>(config.channels * config.image_size() * config.image_size()));
    draws_.clear();
    replayed_ = replayed_orders_ = 0;
    run_job(tape_, plan_, [&] { run(task, classes, rule, bytes.data()); });
    return bytes;
}

void FractalSampler::run(const EditTask* task, std::span<const std::int64_t> classes, const SampleRule& rule,
                         std::uint8_t* bytes) {
    const FractalConfig& config = model_.config();
    std::vector<std::int32_t> ids;
    Sequences sequences;
    for (const std::int64_t label : classes) {
        ids.push_back(static_cast<std::int32_t>(label + 1));
        sequences.paths.push_back(rule.first_image + sequences.count());
        sequences.origins.push_back({0, 0});
    }
    if (guided_) ids.resize(2 * ids.size(), 0);
    Job job{rule, task, {}, {}, {}};
    if (task != nullptr) job.picture = normalized_picture(config, task->picture);
    for (std::size_t level = 0; level < config.generators(); ++level) {
        job.generators.emplace_back();
        if (!config.is_mar(level)) job.generators.back() = model_.ar_level(level).pack_for_sampling(tape_);
        job.guiding.push_back(config.guides(level)
                                  ? model_.mar_level(level).guiding_level()->pack_for_sampling(tape_)
                                  : Tensor());
    }
    job.guiding.push_back(model_.pixel_level().pack_for_sampling(tape_));
    const Tensor images = sample_level(job, 0, sequences, model_.class_condition(tape_, ids), rule.guidance);
    if (tape_.planning()) return;
    std::vector<float> normalized(classes.size() * static_cast<std::size_t>(images.width()));
    copy_from_tensor(tape_, normalized.data(), images, normalized.size() * sizeof(float));
    to_bytes(config, normalized, bytes);
}

Tensor FractalSampler::sample_level(Job& job, std::size_t level, const Sequences& sequences,
                                    const Tensor& condition, float guidance) {
    const FractalConfig& config = model_.config();
    if (level == config.generators())
        return sample_pixel(job, level, sequences, condition, guidance, Tensor());
    const std::int64_t rows = condition.rows(), C = config.channels, size = config.img_size_list[level],
                       p = config.patch_size(level), L = config.tokens(level);
    const Tensor patches = tape_.create(rows * L, C * p * p, false);
    if (job.task == nullptr) {
        zero_tensor(tape_, patches);
    } else if (!tape_.planning()) {
        const std::vector<float> known =
            known_patches(config, level, *job.task, job.picture, sequences.origins);
        for (std::int64_t first = 0; first < rows; first += sequences.count())
            copy_to_tensor(tape_, tape_.slice(patches, first * L, sequences.count() * L), known.data(),
                           known.size() * sizeof(float));
    }
    if (config.is_mar(level))
        mar_steps(job, level, sequences, condition, patches, guidance);
    else
        ar_steps(job, level, sequences, condition, patches, guidance);
    return unpatchify(tape_, patches, C, size, p);
}

void FractalSampler::ar_steps(Job& job, std::size_t level, const Sequences& sequences,
                              const Tensor& condition, const Tensor& patches, float guidance) {
    const FractalConfig& config = model_.config();
    const std::int64_t L = config.tokens(level), rows = condition.rows();
    const ArLevel& generator = model_.ar_level(level);
    const ArLevel::Cache cache = generator.create_cache(tape_, rows);
    std::vector<std::uint8_t> hidden = hidden_patches(config, level, job.task, sequences.origins);
    if (level == 0) report_step(job, patches, hidden);
    tape_.arena().loop(L, [&](std::int64_t t) {
        const float step_guidance =
            level == 0 && job.rule.linear_schedule
                ? 1 + (guidance - 1) * static_cast<float>(t + 1) / static_cast<float>(L)
                : guidance;
        const Tensor previous = take_token(tape_, patches, std::max<std::int64_t>(t - 1, 0), L);
        const Tensor outputs = generator.step(tape_, t, condition, previous, *job.generators[level], cache);
        std::vector<std::int32_t> chosen;
        for (std::int64_t m = 0; m < sequences.count(); ++m)
            if (hidden[static_cast<std::size_t>(m * L + t)] != 0)
                chosen.push_back(static_cast<std::int32_t>(m * L + t));
        sample_children(
            job, level, sequences, chosen,
            [&](std::span<const std::int32_t> both_halves, const Tensor&) {
                std::vector<std::int32_t> from(both_halves.begin(), both_halves.end());
                for (std::int32_t& index : from) index /= static_cast<std::int32_t>(L);
                return gather_rows(tape_, outputs,
                                   device_copy(tape_, from, static_cast<std::int64_t>(from.size())));
            },
            patches, step_guidance);
        for (const std::int32_t index : chosen) hidden[static_cast<std::size_t>(index)] = 0;
        if (level == 0) report_step(job, patches, hidden);
    });
}

void FractalSampler::mar_steps(Job& job, std::size_t level, const Sequences& sequences,
                               const Tensor& condition, const Tensor& patches, float guidance) {
    const FractalConfig& config = model_.config();
    const std::int64_t L = config.tokens(level), M = sequences.count(), rows = condition.rows();
    const MarLevel& generator = model_.mar_level(level);
    std::vector<std::uint8_t> hidden = hidden_patches(config, level, job.task, sequences.origins);
    Order order = random_orders(job, level, sequences, hidden);
    const Tensor guide =
        config.guides(level) ? guiding_pixel(job, level, sequences, condition, guidance) : Tensor();
    std::int64_t steps = 0;
    for (const std::int64_t K : order.total) steps = std::max(steps, std::min(K, iterations_[level]));
    if (level == 0) report_step(job, patches, hidden);
    tape_.arena().loop(steps, [&](std::int64_t s) {
        std::vector<std::uint8_t> both_halves;
        for (std::int64_t half = 0; half < rows / M; ++half)
            both_halves.insert(both_halves.end(), hidden.begin(), hidden.end());
        const Tensor outputs = generator.forward(tape_, patches, condition, guide,
                                                 device_copy(tape_, both_halves, rows), Tensor(), {});
        const std::vector<std::int32_t> chosen = next_patches(order, level, s);
        for (const std::int32_t index : chosen) hidden[static_cast<std::size_t>(index)] = 0;
        const auto shown = static_cast<float>(L - std::max<std::int64_t>(order.hidden[0], 1));
        const float step_guidance = level == 0 && job.rule.linear_schedule
                                        ? 1 + (guidance - 1) * shown / static_cast<float>(L)
                                        : guidance;
        sample_children(
            job, level, sequences, chosen,
            [&](std::span<const std::int32_t>, const Tensor& index) {
                return neighbour_conditions(tape_, outputs, index, Tensor(), generator.neighbours());
            },
            patches, step_guidance);
        if (level == 0) report_step(job, patches, hidden);
    });
}

FractalSampler::Order FractalSampler::random_orders(const Job& job, std::size_t level,
                                                    const Sequences& sequences,
                                                    std::span<const std::uint8_t> hidden) {
    const std::int64_t L = model_.config().tokens(level);
    const PhiloxKey key = random_key(job.rule.seed, "order/" + std::to_string(level));
    const std::vector<std::int64_t>* recorded = nullptr;
    if (!replay_orders_.empty() && !tape_.planning()) recorded = &replay_orders_.at(replayed_orders_++);
    Order order;
    std::vector<std::int32_t> all(static_cast<std::size_t>(L));
    for (std::int64_t m = 0; m < sequences.count(); ++m) {
        const auto begin = static_cast<std::size_t>(m * L);
        if (recorded != nullptr)
            std::copy_n(recorded->begin() + m * L, L, all.begin());
        else
            random_order(all, key, sequences.paths[static_cast<std::size_t>(m)], 0);
        order.patches.resize(begin);
        for (const std::int32_t t : all)
            if (hidden[begin + static_cast<std::size_t>(t)] != 0) order.patches.push_back(t);
        order.total.push_back(static_cast<std::int64_t>(order.patches.size() - begin));
    }
    order.patches.resize(static_cast<std::size_t>(sequences.count() * L));
    order.hidden = order.total;
    return order;
}

std::vector<std::int32_t> FractalSampler::next_patches(Order& order, std::size_t level,
                                                       std::int64_t s) const {
    const std::int64_t L = model_.config().tokens(level), iterations = iterations_[level];
    const auto M = static_cast<std::int64_t>(order.total.size());
    std::vector<std::int32_t> chosen;
    if (tape_.planning()) {
        for (std::int64_t i = 0; i < M * largest_step(L, iterations); ++i)
            chosen.push_back(static_cast<std::int32_t>(i));
        return chosen;
    }
    for (std::int64_t m = 0; m < M; ++m) {
        const std::int64_t K = order.total[static_cast<std::size_t>(m)], S = std::min(K, iterations);
        if (s >= S) continue;
        std::int64_t& current = order.hidden[static_cast<std::size_t>(m)];
        const std::int64_t next = s + 1 == S ? 0 : hidden_after(K, S, s, current);
        for (std::int64_t i = next; i < current; ++i)
            chosen.push_back(static_cast<std::int32_t>(m * L) +
                             order.patches[static_cast<std::size_t>(m * L + i)]);
        current = next;
    }
    std::ranges::sort(chosen);
    return chosen;
}

void FractalSampler::sample_children(Job& job, std::size_t level, const Sequences& sequences,
                                     std::span<const std::int32_t> chosen, const Conditions& conditions,
                                     const Tensor& patches, float guidance) {
    const FractalConfig& config = model_.config();
    const std::int64_t L = config.tokens(level), chunk = chunks_[level + 1],
                       total = static_cast<std::int64_t>(chosen.size()),
                       unconditional = sequences.count() * L;
    tape_.arena().loop((total + chunk - 1) / chunk, [&](std::int64_t i) {
        const auto part = chosen.subspan(static_cast<std::size_t>(i * chunk),
                                         static_cast<std::size_t>(std::min(chunk, total - i * chunk)));
        Sequences children;
        for (const std::int32_t index : part) {
            const auto m = static_cast<std::size_t>(index / L);
            children.paths.push_back(sequences.paths[m] * L + index % L);
            children.origins.push_back(patch_origin(config, level, sequences.origins[m], index % L));
        }
        std::vector<std::int32_t> indices(part.begin(), part.end());
        if (guided_)
            for (const std::int32_t index : part)
                indices.push_back(index + static_cast<std::int32_t>(unconditional));
        const Tensor index = device_copy(tape_, indices, static_cast<std::int64_t>(indices.size()));
        const Tensor condition = conditions(indices, index);
        scatter_rows(tape_, patches, sample_level(job, level + 1, children, condition, guidance), index);
    });
}

Tensor FractalSampler::guiding_pixel(Job& job, std::size_t level, const Sequences& sequences,
                                     const Tensor& condition, float guidance) {
    const FractalConfig& config = model_.config();
    const Tensor first = first_condition(tape_, condition, config.condition_width(level));
    const Tensor limits = device_copy(tape_, guiding_limits(config, level, job.task, sequences.origins),
                                      config.channels * sequences.count());
    return sample_pixel(job, level, sequences, first, guidance, limits);
}

Tensor FractalSampler::sample_pixel(Job& job, std::size_t level, const Sequences& sequences,
                                    const Tensor& condition, float guidance, const Tensor& limits) {
    const FractalConfig& config = model_.config();
    const PixelLevel& model =
        level == config.generators() ? model_.pixel_level() : *model_.mar_level(level).guiding_level();
    const Tensor margins = tape_.create(config.channels, sequences.count(), false);
    const Tensor numbers = uniforms(job, level, sequences);
    const Guidance how{job.rule.temperature, guidance, job.rule.filter_threshold, job.rule.greedy};
    const Tensor values = sample_pixels(tape_, condition, numbers, job.guiding[level], model.sampler_shape(),
                                        how, margins, limits);
    if (record_draws_ && !tape_.planning()) record_draws(level, sequences, values, numbers, margins);
    return normalize_values(tape_, values, config.pixel_mean(), config.pixel_deviation());
}

Tensor FractalSampler::uniforms(const Job& job, std::size_t level, const Sequences& sequences) {
    const std::int64_t C = model_.config().channels, count = sequences.count();
    const bool pixels = level == model_.config().generators();
    const PhiloxKey key =
        random_key(job.rule.seed, pixels ? "draw" : "guiding draw/" + std::to_string(level));
    const Tensor numbers = uniforms_by_path(tape_, device_copy(tape_, sequences.paths, count), count, C, key);
    if (!replay_.empty() && !tape_.planning()) {
        const auto used = static_cast<std::size_t>(C * count);
        copy_to_tensor(tape_, numbers, replay_.subspan(replayed_, used).data(), used * sizeof(float));
        replayed_ += used;
    }
    return numbers;
}

void FractalSampler::record_draws(std::size_t level, const Sequences& sequences, const Tensor& values,
                                  const Tensor& numbers, const Tensor& margins) {
    const std::int64_t C = model_.config().channels, count = sequences.count();
    const auto size = static_cast<std::size_t>(C * count);
    std::vector<std::int32_t> drawn(size);
    std::vector<float> uniform(size), margin(size);
    copy_from_tensor(tape_, drawn.data(), values, size * sizeof(std::int32_t));
    copy_from_tensor(tape_, uniform.data(), numbers, size * sizeof(float));
    copy_from_tensor(tape_, margin.data(), margins, size * sizeof(float));
    for (std::int64_t channel = 0; channel < C; ++channel)
        for (std::int64_t row = 0; row < count; ++row) {
            const auto i = static_cast<std::size_t>(channel * count + row);
            draws_.push_back({level, sequences.paths[static_cast<std::size_t>(row)], channel,
                              drawn[static_cast<std::size_t>(row * C + channel)], uniform[i], margin[i]});
        }
}

void FractalSampler::report_step(const Job& job, const Tensor& patches,
                                 std::span<const std::uint8_t> hidden) {
    if (!trace_ || tape_.planning()) return;
    const FractalConfig& config = model_.config();
    const auto count = static_cast<std::int64_t>(hidden.size()) / config.tokens(0);
    std::vector<float> values(hidden.size() * static_cast<std::size_t>(patches.width()));
    copy_from_tensor(tape_, values.data(), patches, values.size() * sizeof(float));
    const TraceFrame frame = trace_frame(config, job.task, job.picture, values, hidden, count);
    trace_(frame.images, frame.known);
}
