#include "models/fractal/sample.h"

#include <cmath>
#include <stdexcept>

#include "runtime/error.h"
#include "runtime/image_ops.h"

namespace {

// Normalised images to bytes, both [n, C, s, s].
void to_bytes(const FractalConfig& config, std::span<const float> normalized, std::uint8_t* bytes) {
    const auto plane = static_cast<std::size_t>(config.image_size() * config.image_size());
    for (std::size_t i = 0; i < normalized.size(); ++i) {
        const std::size_t c = i / plane % static_cast<std::size_t>(config.channels);
        const float unit = normalized[i] * config.pixel_deviation()[c] + config.pixel_mean()[c];
        bytes[i] = static_cast<std::uint8_t>(std::lround(unit * 255.0f));
    }
}

}  // namespace

FractalSampler::FractalSampler(const FractalModel& model, std::int64_t batch, bool guided)
    : model_(model), batch_(batch), guided_(guided), tape_(Device::cpu) {
    if (guided && model.config().class_num == 0)
        fail_usage("the model is unlabelled: a guidance scale other than 1 needs classes");
    const PixelSamplerShape pixels = model.pixel_level().sampler_shape();
    if (!pixel_sampler_fits(pixels))
        fail("the pixel level, width {} with {} blocks, is too large for its sampler", pixels.width,
             pixels.blocks);
    const std::vector<std::int64_t> classes(static_cast<std::size_t>(batch), -1);
    SampleRule rule;
    rule.guidance = guided ? 2.0f : 1.0f;
    plan_ = plan_job(tape_, [&] { run(classes, rule, nullptr); });
}

std::vector<std::uint8_t> FractalSampler::sample(std::span<const std::int64_t> classes,
                                                 const SampleRule& rule) {
    if (static_cast<std::int64_t>(classes.size()) > batch_ || classes.empty() ||
        guided_ != (rule.guidance != 1))
        throw std::logic_error("sampler: asked for what it was not planned for");
    const FractalConfig& config = model_.config();
    for (const std::int64_t label : classes)
        if (label < -1 || label >= config.class_num)
            fail_usage("class {} is out of range: the model has classes 0 to {}", label,
                       config.class_num - 1);
    std::vector<std::uint8_t> bytes(
        classes.size() *
        static_cast<std::size_t>(config.channels * config.image_size() * config.image_size()));
    draws_.clear();
    replayed_ = 0;
    run_job(tape_, plan_, [&] { run(classes, rule, bytes.data()); });
    return bytes;
}

struct FractalSampler::Job {
    const SampleRule& rule;
    std::int64_t draws;  // rows that draw; with guidance as many unconditional ones follow them
    std::vector<ArLevel::Packed> generators;  // weights laid out for sampling, and the pixel level's
    Tensor pixels;
};

void FractalSampler::run(std::span<const std::int64_t> classes, const SampleRule& rule, std::uint8_t* bytes) {
    const auto draws = static_cast<std::int64_t>(classes.size()), rows = guided_ ? 2 * draws : draws;
    std::vector<std::int32_t> ids(static_cast<std::size_t>(rows), 0);
    std::vector<std::int64_t> numbers(static_cast<std::size_t>(rows));
    for (std::size_t i = 0; i < classes.size(); ++i) ids[i] = static_cast<std::int32_t>(classes[i] + 1);
    for (std::int64_t row = 0; row < rows; ++row)
        numbers[static_cast<std::size_t>(row)] = rule.first_image + row % draws;
    const Tensor id = tape_.create(rows, 1, false, sizeof(std::int32_t));
    const Tensor paths = tape_.create(rows, 1, false, sizeof(std::int64_t));
    copy_to_tensor(tape_, id, ids.data(), ids.size() * sizeof(std::int32_t));
    copy_to_tensor(tape_, paths, numbers.data(), numbers.size() * sizeof(std::int64_t));
    Job job{rule, draws, {}, model_.pixel_level().pack_for_sampling(tape_)};
    for (std::size_t level = 0; level < model_.config().generators(); ++level)
        job.generators.push_back(model_.generator(level).pack_for_sampling(tape_));
    const Tensor images = sample_level(job, 0, model_.class_condition(tape_, id), paths, rule.guidance);
    if (!tape_.planning()) {
        std::vector<float> normalized(static_cast<std::size_t>(draws * images.width()));
        copy_from_tensor(tape_, normalized.data(), images, normalized.size() * sizeof(float));
        to_bytes(model_.config(), normalized, bytes);
    }
}

Tensor FractalSampler::sample_level(const Job& job, std::size_t level, const Tensor& condition,
                                    const Tensor& paths, float guidance) {
    const FractalConfig& config = model_.config();
    if (level == config.generators()) return sample_pixel(job, condition, paths, guidance);
    const std::int64_t rows = condition.rows(), C = config.channels, size = config.img_size_list[level],
                       patch_size = config.patch_size(level), L = config.tokens(level);
    const ArLevel& generator = model_.generator(level);
    const Tensor images = tape_.create(rows, C * size * size, false);
    const Tensor previous = tape_.create(rows, C * patch_size * patch_size, false);
    const ArLevel::Cache cache = generator.create_cache(tape_, rows);
    tape_.arena().loop(L, [&](std::int64_t t) {
        const float step_guidance =
            level == 0 && job.rule.linear_schedule
                ? 1 + (guidance - 1) * static_cast<float>(t + 1) / static_cast<float>(L)
                : guidance;
        const Tensor patch_condition =
            generator.step(tape_, t, condition, previous, job.generators[level], cache);
        const Tensor patch_paths = child_paths_at(tape_, paths, t, L);
        const Tensor patch = sample_level(job, level + 1, patch_condition, patch_paths, step_guidance);
        unpatchify_one(tape_, images, patch, t, C, size, patch_size);
        copy_tensor(tape_, previous, patch);
    });
    return images;
}

Tensor FractalSampler::sample_pixel(const Job& job, const Tensor& condition, const Tensor& paths,
                                    float guidance) {
    const FractalConfig& config = model_.config();
    const Tensor margins = tape_.create(config.channels, job.draws, false);
    const Tensor numbers = uniforms(job, paths);
    const Guidance how{job.rule.temperature, guidance, job.rule.filter_threshold, job.rule.greedy};
    const Tensor values = sample_pixels(tape_, condition, numbers, job.pixels,
                                        model_.pixel_level().sampler_shape(), how, margins);
    if (record_draws_ && !tape_.planning()) record_draws(job, values, numbers, margins);
    return normalize_values(tape_, values, config.pixel_mean(), config.pixel_deviation());
}

Tensor FractalSampler::uniforms(const Job& job, const Tensor& paths) {
    const std::int64_t C = model_.config().channels;
    if (replay_.empty() || tape_.planning())
        return uniforms_by_path(tape_, paths, job.draws, C, random_key(job.rule.seed, "draw"));
    const Tensor numbers = tape_.create(C, job.draws, false);
    const auto count = static_cast<std::size_t>(C * job.draws);
    copy_to_tensor(tape_, numbers, replay_.subspan(replayed_, count).data(), count * sizeof(float));
    replayed_ += count;
    return numbers;
}

void FractalSampler::record_draws(const Job& job, const Tensor& values, const Tensor& numbers,
                                  const Tensor& margins) {
    const std::int64_t C = model_.config().channels;
    for (std::int64_t channel = 0; channel < C; ++channel)
        for (std::int64_t row = 0; row < job.draws; ++row)
            draws_.push_back({tape_.value<std::int32_t>(values)[row * C + channel],
                              tape_.value(numbers)[channel * job.draws + row],
                              tape_.value(margins)[channel * job.draws + row]});
}
