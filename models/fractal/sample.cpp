#include "models/fractal/sample.h"

#include <algorithm>
#include <array>
#include <bit>
#include <numeric>
#include <optional>
#include <stdexcept>

#include "models/fractal/edit.h"
#include "models/fractal/image_values.h"
#include "models/fractal/patch_order.h"
#include "runtime/base/error.h"
#include "runtime/device/profile.h"
#include "runtime/ops/image_ops.h"
#include "runtime/ops/row_ops.h"
#include "runtime/tensor/require_memory.h"

struct FractalSampler::Job {
    const SampleRule& rule;
    const EditTask* task;                                    // null: nothing is known
    std::vector<float> picture;                              // the task's, moved
    std::vector<std::optional<ArLevel::Packed>> generators;  // weights laid out for sampling
    Tensor settings;                                         // of the draws, at this step (device_settings)
    std::vector<PhiloxKey> keys;                             // of the orders by level, then of the draws
    Tensor device_keys;                                      // the same on the device
    std::vector<Tensor> guiding;  // of guiding pixels by level, last the pixel level's
    std::vector<Tensor> levels;   // weights of levels in one kernel, none of others
};

namespace {

Guidance guidance_of(const SampleRule& rule, float scale) {
    return {rule.temperature, scale, rule.filter_threshold, rule.greedy};
}

std::vector<PhiloxKey> random_keys(std::uint64_t seed, std::size_t generators) {
    std::vector<PhiloxKey> keys;
    for (const char* purpose : {"order/", "guiding draw/"})
        for (std::size_t level = 0; level < generators; ++level)
            keys.push_back(random_key(seed, purpose + std::to_string(level)));
    keys.push_back(random_key(seed, "draw"));
    return keys;
}

}  // namespace

FractalSampler::FractalSampler(const FractalModel& model, std::int64_t batch, bool guided,
                               std::vector<std::int64_t> iterations, ChunkSizes chunks, ValueSource* source)
    : model_(model),
      batch_(batch),
      guided_(guided),
      iterations_(iterations.empty() ? recommended_iterations(model.config()) : std::move(iterations)),
      chunks_(chunks.empty() ? model.default_chunks() : std::move(chunks)),
      source_(source),
      tape_(model.backend()) {
    const FractalConfig& config = model.config();
    if (guided && config.class_num == 0)
        fail_usage("the model is unlabelled: a guidance scale other than 1 needs classes");
    if (iterations_.size() != config.generators())
        fail_usage("{} numbers of steps given, expected one per level above the pixels, {}",
                   iterations_.size(), config.generators());
    if (!model.pixel_level().can_sample(model.backend().device))
        fail("the pixel level, width {} with {} blocks, is too large for its sampler",
             config.embed_dim_list.back(), config.num_blocks_list.back());
    std::int64_t sequences = batch;  // of a level at once, at most
    for (std::size_t level = 0; level < config.generators(); ++level) {
        if (level > 0) sequences = std::min(sequences, chunks_[level]);
        in_one_kernel_.push_back(config.is_mar(level) &&
                                 model.mar_level(level).fits_one_kernel(tape_, sequences * (guided ? 2 : 1)));
        sequences *= PatchOrder::most_drawn(config, level, iterations_[level]);
    }
    const std::vector<std::int64_t> classes(static_cast<std::size_t>(batch), -1);
    SampleRule rule;
    rule.guidance = guided ? 2.0f : 1.0f;
    std::vector<float> none;
    plan_ = plan_job(tape_, [&] { run(nullptr, classes, rule, none); });
}

std::vector<std::uint8_t> FractalSampler::sample(std::span<const std::int64_t> classes,
                                                 const SampleRule& rule) {
    return to_bytes(model_.config(), draw(nullptr, classes, rule));
}

std::vector<std::int32_t> FractalSampler::sample_codes(std::span<const std::int64_t> classes,
                                                       const SampleRule& rule) {
    return to_codes(model_.config(), draw(nullptr, classes, rule));
}

std::vector<std::uint8_t> FractalSampler::edit(const EditTask& task, std::span<const std::int64_t> classes,
                                               const SampleRule& rule) {
    return to_bytes(model_.config(), draw(&task, classes, rule));
}

std::vector<std::int32_t> FractalSampler::edit_codes(const EditTask& task,
                                                     std::span<const std::int64_t> classes,
                                                     const SampleRule& rule) {
    return to_codes(model_.config(), draw(&task, classes, rule));
}

std::vector<float> FractalSampler::draw(const EditTask* task, std::span<const std::int64_t> classes,
                                        const SampleRule& rule) {
    if (task != nullptr) require_editable(model_.config(), task->mask);
    if (static_cast<std::int64_t>(classes.size()) > batch_ || classes.empty() ||
        guided_ != (rule.guidance != 1))
        throw std::logic_error("sampler: a batch size or guidance other than planned");
    const FractalConfig& config = model_.config();
    for (const std::int64_t label : classes)
        if (label < -1 || label >= config.class_num)
            fail_usage("class {} is out of range: the model has classes 0 to {}", label,
                       config.class_num - 1);
    require_memory(tape_, plan_, fmt::format("sampling {} images at once", batch_),
                   "draw fewer at once (--batch, of an edit --count, while training --sheet-rows)",
                   GraphCache::memory(tape_.device()));
    std::vector<float> images;
    draws_.clear();
    replayed_ = replayed_orders_ = 0;
    run_job(tape_, plan_, [&] { run(task, classes, rule, images); });
    return images;
}

void FractalSampler::run(const EditTask* task, std::span<const std::int64_t> classes, const SampleRule& rule,
                         std::vector<float>& moved) {
    const FractalConfig& config = model_.config();
    const auto count = static_cast<std::int64_t>(classes.size());
    std::vector<std::int32_t> ids;
    for (const std::int64_t label : classes) ids.push_back(static_cast<std::int32_t>(label + 1));
    if (guided_) ids.resize(2 * ids.size(), 0);
    const std::vector<PhiloxKey> keys = random_keys(rule.seed, config.generators());
    Job job{rule,
            task,
            {},
            {},
            device_settings(tape_, std::array{guidance_of(rule, rule.guidance)}),
            keys,
            device_keys(tape_, keys),
            {},
            {}};
    if (task != nullptr) job.picture = to_moved(config, task->picture);
    for (std::size_t level = 0; level < config.generators(); ++level) {
        job.generators.emplace_back();
        if (!config.is_mar(level)) job.generators.back() = model_.ar_level(level).pack_for_sampling(tape_);
        job.guiding.push_back(config.guides(level)
                                  ? model_.mar_level(level).guiding_level()->pack_for_sampling(tape_)
                                  : Tensor());
        job.levels.push_back(in_one_kernel_[level] ? model_.mar_level(level).pack_for_sampling(tape_)
                                                   : Tensor());
    }
    job.guiding.push_back(model_.pixel_level().pack_for_sampling(tape_));
    std::vector<std::int64_t> sequence_ids(classes.size());
    std::iota(sequence_ids.begin(), sequence_ids.end(), rule.first_image);
    SampledImages images{count, device_copy(tape_, sequence_ids, count), {}, {}};
    if (task != nullptr) {
        images.host_sequence_ids = sequence_ids;
        images.origins.assign(classes.size(), {0, 0});
    }
    if (source_ != nullptr) source_->begin(tape_, count);
    const Tensor drawn = sample_level(job, 0, images, model_.class_condition(tape_, ids));
    if (source_ != nullptr) source_->end(tape_);
    if (tape_.planning()) return;
    moved.resize(classes.size() * static_cast<std::size_t>(drawn.width()));
    copy_from_tensor(tape_, moved.data(), drawn, moved.size() * sizeof(float));
}

Tensor FractalSampler::sample_level(Job& job, std::size_t level, const SampledImages& images,
                                    const Tensor& condition) {
    const ProfileRange range("level", static_cast<int>(level));
    const FractalConfig& config = model_.config();
    if (level == config.generators())
        return moved_values(tape_, config, draw_pixel(job, level, images, condition, Tensor(), {}));
    const std::int64_t rows = condition.rows(), C = config.channels, size = config.img_size_list[level],
                       p = config.patch_size(level), L = config.tokens(level);
    const Tensor patches = tape_.create(rows * L, C * p * p, false);
    if (job.task == nullptr) {
        zero_tensor(tape_, patches);
    } else {
        const std::vector<float> known = known_patches(config, level, *job.task, job.picture, images.origins);
        for (std::int64_t first = 0; first < rows; first += images.count)
            copy_to_tensor(tape_, tape_.slice(patches, first * L, images.count * L), known.data(),
                           known.size() * sizeof(float));
    }
    if (config.is_mar(level))
        mar_steps(job, level, images, condition, patches);
    else
        ar_steps(job, level, images, condition, patches);
    return unpatchify(tape_, patches, C, size, p);
}

void FractalSampler::ar_steps(Job& job, std::size_t level, const SampledImages& images,
                              const Tensor& condition, const Tensor& patches) {
    const std::int64_t L = model_.config().tokens(level);
    const ArLevel& generator = model_.ar_level(level);
    const ArLevel::Cache cache = generator.create_cache(tape_, condition.rows());
    PatchOrder order = patch_order(job, level, images);
    const Tensor schedule = settings_schedule(job, level, order);
    report_step(job, level, patches, order, 0);
    tape_.arena().loop(order.steps(), [&](std::int64_t t) {
        set_settings(job, schedule, t);
        run_step(job, level, images, t, [&] {
            const Tensor previous = take_token(tape_, patches, std::max<std::int64_t>(t - 1, 0), L);
            const Tensor outputs =
                generator.step(tape_, t, condition, previous, *job.generators[level], cache);
            sample_children(
                job, level, images, order.next(t, condition.rows() / images.count, chunks_[level + 1]),
                [&](const ChildRows& rows, std::int64_t) {
                    return gather_rows(tape_, outputs, rows.parents);
                },
                patches);
        });
        report_step(job, level, patches, order, t + 1);
    });
}

void FractalSampler::mar_steps(Job& job, std::size_t level, const SampledImages& images,
                               const Tensor& condition, const Tensor& patches) {
    const MarLevel& generator = model_.mar_level(level);
    PatchOrder order = patch_order(job, level, images);
    const Tensor schedule = settings_schedule(job, level, order);
    const Tensor guide =
        model_.config().guides(level) ? guiding_pixel(job, level, images, condition) : Tensor();
    const bool in_one_kernel = in_one_kernel_[level],
               drawn_rows_alone = outputs_drawn_rows_alone(model_.config(), level, iterations_[level]);
    const std::int64_t halves = condition.rows() / images.count;
    const MarLevel::Prefix prefix = generator.prefix(tape_, condition, guide);
    report_step(job, level, patches, order, 0);
    tape_.arena().loop(order.steps(), [&](std::int64_t s) {
        set_settings(job, schedule, s);
        run_step(job, level, images, order.drawn_by(s), [&] {
            const ChosenPatches chosen = order.next(s, halves, chunks_[level + 1]);
            const auto draw = [&](const Conditions& conditions) {
                sample_children(job, level, images, chosen, conditions, patches);
            };
            if (in_one_kernel) {
                const Tensor all = generator.sampling_conditions(tape_, patches, prefix, chosen.mask,
                                                                 chosen.rows.patches, job.levels[level]);
                draw([&](const ChildRows& rows, std::int64_t first) {
                    return tape_.slice(all, first, rows.patches.rows());
                });
            } else if (drawn_rows_alone) {
                const auto last = generator.attend(tape_, patches, prefix, chosen.mask);
                draw([&](const ChildRows& rows, std::int64_t) {
                    return generator.next_conditions(tape_, last, rows.patches);
                });
            } else {
                const Tensor outputs = generator.forward(tape_, patches, prefix, chosen.mask, Tensor(), {});
                draw([&](const ChildRows& rows, std::int64_t) {
                    return neighbour_conditions(tape_, outputs, rows.patches, Tensor(),
                                                generator.neighbours());
                });
            }
        });
        report_step(job, level, patches, order, s + 1);
    });
}

PatchOrder FractalSampler::patch_order(const Job& job, std::size_t level, const SampledImages& images) {
    OrderRule rule{iterations_[level],
                   job.keys[level],
                   tape_.slice(job.device_keys, static_cast<std::int64_t>(level), 1),
                   {}};
    if (model_.config().is_mar(level) && !replay_orders_.empty() && !tape_.planning())
        rule.recorded = replay_orders_.at(replayed_orders_++);
    return PatchOrder(tape_, model_.config(), level, job.task, images, rule);
}

Tensor FractalSampler::settings_schedule(const Job& job, std::size_t level, const PatchOrder& order) {
    if (level > 0) return Tensor();
    const float guidance = job.rule.guidance;
    std::vector<Guidance> settings;
    for (const float shown : order.shown())
        settings.push_back(
            guidance_of(job.rule, job.rule.linear_schedule ? 1 + (guidance - 1) * shown : guidance));
    // As many rows as planned, also for an edit, which may take fewer steps.
    settings.resize(static_cast<std::size_t>(model_.config().tokens(0)));
    return device_settings(tape_, settings);
}

void FractalSampler::set_settings(const Job& job, const Tensor& schedule, std::int64_t step) {
    if (schedule) take_row(tape_, job.settings, schedule, step);
}

template <class Step>
void FractalSampler::run_step(const Job& job, std::size_t level, const SampledImages& images,
                              std::int64_t kind, const Step& step) {
    if (level != 1 || tape_.planning() || !replayable(job)) return step();
    // Parameters::use_values may have replaced the weights.
    const auto weights = std::bit_cast<std::int64_t>(model_.parameters().all().front().value),
               sequence_ids = std::bit_cast<std::int64_t>(tape_.value<std::int64_t>(images.sequence_ids));
    graphs_.run(tape_.device(), tape_.stream(), tape_.planning(), {kind, images.count, sequence_ids, weights},
                step);
}

bool FractalSampler::replayable(const Job& job) const {
    return use_graphs_ && job.task == nullptr && source_ == nullptr && !record_draws_ && replay_.empty() &&
           replay_orders_.empty() && !profiling();
}

void FractalSampler::sample_children(Job& job, std::size_t level, const SampledImages& images,
                                     const ChosenPatches& chosen, const Conditions& conditions,
                                     const Tensor& patches) {
    const FractalConfig& config = model_.config();
    const std::int64_t L = config.tokens(level), chunk = chunks_[level + 1],
                       total = chosen.sequence_ids.rows(), halves = guided_ ? 2 : 1;
    tape_.arena().loop((total + chunk - 1) / chunk, [&](std::int64_t i) {
        const std::int64_t begin = i * chunk, count = std::min(chunk, total - begin);
        SampledImages children{count, tape_.slice(chosen.sequence_ids, begin, count), {}, {}};
        if (job.task != nullptr)
            for (std::int64_t child = begin; child < begin + count; ++child) {
                const std::int32_t index = chosen.host_index[static_cast<std::size_t>(child)];
                children.host_sequence_ids.push_back(
                    chosen.host_sequence_ids[static_cast<std::size_t>(child)]);
                children.origins.push_back(patch_origin(
                    config, level, images.origins[static_cast<std::size_t>(index / L)], index % L));
            }
        const ChildRows rows{tape_.slice(chosen.rows.patches, halves * begin, halves * count),
                             tape_.slice(chosen.rows.parents, halves * begin, halves * count)};
        const Tensor condition = conditions(rows, halves * begin);
        if (level + 1 == config.generators() && !config.of_codes()) {
            const ProfileRange range("level", static_cast<int>(level) + 1);
            draw_pixel(job, level + 1, children, condition, Tensor(),
                       {patches, rows.patches, config.pixel_mean(), config.pixel_deviation()});
        } else {
            scatter_rows(tape_, patches, sample_level(job, level + 1, children, condition), rows.patches);
        }
    });
}

Tensor FractalSampler::guiding_pixel(Job& job, std::size_t level, const SampledImages& images,
                                     const Tensor& condition) {
    const FractalConfig& config = model_.config();
    const Tensor first = first_condition(tape_, condition, config.condition_width(level));
    const Tensor limits = tape_.create(config.channels * images.count, 2, false, Element::u8);
    if (job.task != nullptr) {
        const std::vector<std::uint8_t> allowed = guiding_limits(config, level, *job.task, images.origins);
        copy_to_tensor(tape_, limits, allowed.data(), allowed.size());
    }
    return moved_values(tape_, config,
                        draw_pixel(job, level, images, first, job.task == nullptr ? Tensor() : limits, {}));
}

Tensor FractalSampler::draw_pixel(Job& job, std::size_t level, const SampledImages& images,
                                  const Tensor& condition, const Tensor& limits, const NormalizedRows& into) {
    const FractalConfig& config = model_.config();
    const PixelLevel& model =
        level == config.generators() ? model_.pixel_level() : *model_.mar_level(level).guiding_level();
    if (source_ != nullptr) {
        const Tensor values =
            source_->values(tape_, condition, job.guiding[level], model.sampler_shape(), images.sequence_ids);
        if (into.y) scatter_normalized_values(tape_, into, values);
        return values;
    }
    const Tensor margins = tape_.create(config.channels, images.count, false);
    const Uniforms numbers = uniforms(job, level, images);
    const Tensor values = model.sample(tape_, condition, numbers, job.guiding[level], guided_, job.settings,
                                       margins, limits, into);
    if (record_draws_ && !tape_.planning()) record_draws(level, images, values, numbers.numbers, margins);
    return values;
}

Uniforms FractalSampler::uniforms(const Job& job, std::size_t level, const SampledImages& images) {
    const FractalConfig& config = model_.config();
    const std::size_t row = config.generators() + level;  // behind those of the orders
    Uniforms uniforms{tape_.create(config.channels, images.count, false), false, images.sequence_ids,
                      tape_.slice(job.device_keys, static_cast<std::int64_t>(row), 1)};
    const bool replays = !replay_.empty() && !tape_.planning();
    if (config.of_codes() || record_draws_ || replays) uniforms_by_sequence(tape_, uniforms);
    if (replays) {
        const auto used = static_cast<std::size_t>(config.channels * images.count);
        copy_to_tensor(tape_, uniforms.numbers, replay_.subspan(replayed_, used).data(),
                       used * sizeof(float));
        replayed_ += used;
    }
    return uniforms;
}

void FractalSampler::record_draws(std::size_t level, const SampledImages& images, const Tensor& values,
                                  const Tensor& numbers, const Tensor& margins) {
    const std::int64_t C = model_.config().channels, count = images.count;
    const auto size = static_cast<std::size_t>(C * count);
    std::vector<std::int64_t> sequence_ids(static_cast<std::size_t>(count));
    std::vector<std::int32_t> drawn(size);
    std::vector<float> uniform(size), margin(size);
    copy_from_tensor(tape_, sequence_ids.data(), images.sequence_ids,
                     sequence_ids.size() * sizeof(std::int64_t));
    copy_from_tensor(tape_, drawn.data(), values, size * sizeof(std::int32_t));
    copy_from_tensor(tape_, uniform.data(), numbers, size * sizeof(float));
    copy_from_tensor(tape_, margin.data(), margins, size * sizeof(float));
    for (std::int64_t channel = 0; channel < C; ++channel)
        for (std::int64_t row = 0; row < count; ++row) {
            const auto i = static_cast<std::size_t>(channel * count + row);
            draws_.push_back({level, sequence_ids[static_cast<std::size_t>(row)], channel,
                              drawn[static_cast<std::size_t>(row * C + channel)], uniform[i], margin[i]});
        }
}

void FractalSampler::report_step(const Job& job, std::size_t level, const Tensor& patches,
                                 const PatchOrder& order, std::int64_t done) {
    if (level != 0 || tape_.planning()) return;
    if (watch_) watch_(done, order.steps());
    if (!trace_) return;
    const std::vector<std::uint8_t> hidden = order.hidden();
    const FractalConfig& config = model_.config();
    const auto count = static_cast<std::int64_t>(hidden.size()) / config.tokens(0);
    std::vector<float> values(hidden.size() * static_cast<std::size_t>(patches.width()));
    copy_from_tensor(tape_, values.data(), patches, values.size() * sizeof(float));
    const TraceFrame frame = trace_frame(config, job.task, job.picture, values, hidden, count);
    if (config.of_codes())
        trace_(to_codes(config, frame.images), frame.known);
    else
        trace_(to_bytes(config, frame.images), frame.known);
}
