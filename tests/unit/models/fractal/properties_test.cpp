// Properties of fractal models of any configuration, for any weights.
#include <doctest/doctest.h>
#include <unistd.h>

#include <cmath>
#include <fstream>
#include <functional>
#include <numbers>
#include <numeric>

#include "models/fractal/fractal.h"
#include "models/fractal/sample.h"
#include "models/metrics/likelihood.h"
#include "runtime/base/error.h"
#include "runtime/ops/image_ops.h"
#include "runtime/tensor/optimizer.h"
#include "tests/unit/kernels/kernel_check.h"
#include "tests/unit/models/fractal/random_fractal.h"

using namespace kernel_check;
using namespace random_fractal;

namespace {

// Samples with consecutive numbers.
struct Samples {
    std::vector<std::int32_t> values, ids;
    std::int64_t first = 0;

    std::int64_t count() const { return static_cast<std::int64_t>(ids.size()); }
    Samples part(std::int64_t begin, std::int64_t length) const {
        const std::int64_t dims = static_cast<std::int64_t>(values.size()) / count();
        return {{values.begin() + begin * dims, values.begin() + (begin + length) * dims},
                {ids.begin() + begin, ids.begin() + begin + length},
                first + begin};
    }
};

Samples random_samples(const FractalConfig& config, std::int64_t count) {
    Samples samples;
    samples.values = random_images(config, count, 3).values();
    for (const std::int32_t id : integers(count, 4, static_cast<std::int32_t>(config.class_num) + 1))
        samples.ids.push_back(id);
    samples.first = 40;
    return samples;
}

// The samples' images as the model takes them.
Tensor images_of(Tape& tape, const FractalConfig& config, const Samples& samples) {
    return device_images(tape, config, HostImages(config, samples.values).view(), samples.count());
}

std::vector<std::int64_t> sample_numbers(const Samples& samples) {
    std::vector<std::int64_t> numbers(samples.ids.size());
    std::iota(numbers.begin(), numbers.end(), samples.first);
    return numbers;
}

// Masks of a training step, or masks that hide everything.
using DrawMasks = std::function<FractalMasks(const FractalConfig&, const Samples&)>;

DrawMasks drawn_masks(std::uint64_t seed, std::uint32_t step) {
    return [=](const FractalConfig& config, const Samples& samples) {
        return training_masks(config, sample_numbers(samples), seed, step);
    };
}

FractalMasks everything(const FractalConfig& config, const Samples& samples) {
    return {config, sample_numbers(samples), [](std::size_t, std::int64_t, std::span<std::uint8_t> mask) {
                std::ranges::fill(mask, std::uint8_t{1});
            }};
}

struct PassResult {
    std::vector<double> totals, terms;
    std::vector<float> gradients;
    std::size_t used = 0, planned = 0;
};

ChunkSizes whole(const FractalConfig& config, std::int64_t count) {
    ChunkSizes chunks{count};
    for (std::size_t level = 0; level < config.generators(); ++level)
        chunks.push_back(chunks.back() * config.tokens(level));
    return chunks;
}

// Losses and gradients of the parts of a batch, one after the other, their mean taken over all of them.
PassResult run_pass(FractalModel& model, const std::vector<Samples>& parts, const PassRule& rule,
                    const ChunkSizes& chunks, const DrawMasks& draw,
                    GradientReadyListener* listener = nullptr) {
    const FractalConfig& config = model.config();
    std::vector<FractalMasks> masks;
    PassResult result;
    result.terms.resize(config.generators() + 1);
    for (const Samples& samples : parts) {
        masks.push_back(draw(config, samples));
        const std::vector<double> part = loss_terms(config, masks.back());
        std::ranges::transform(result.terms, part, result.terms.begin(), std::plus<>());
    }
    const std::vector<float> scales = loss_scales(config, 5, result.terms);
    result.totals.resize(scales.size());
    model.parameters().zero_gradients();
    for (std::size_t i = 0; i < parts.size(); ++i) {
        Tape tape(Device::cpu);
        tape.arena().poison_released(true);
        tape.set_recording(true);
        const auto job = [&] {
            const Tensor images = images_of(tape, config, parts[i]);
            const Tensor totals = tape.create(static_cast<std::int64_t>(result.terms.size()), config.channels,
                                              false, Element::f64);
            copy_to_tensor(tape, totals, result.totals.data(), result.totals.size() * 8);
            model.loss(tape, images, parts[i].ids, masks[i], scales, totals, rule, chunks,
                       tape.planning() ? nullptr : listener);
            copy_from_tensor(tape, result.totals.data(), totals, result.totals.size() * 8);
        };
        const Plan plan = plan_job(tape, job);
        run_job(tape, plan, job);
        CHECK(tape.live_nodes() == 0);
        result.used = tape.arena().used_bytes();
        result.planned = plan.bytes;
    }
    const Parameters& parameters = model.parameters();
    result.gradients.assign(parameters.gradients(), parameters.gradients() + parameters.slab_floats());
    return result;
}

PassResult run_pass(FractalModel& model, const Samples& samples, const PassRule& rule,
                    const ChunkSizes& chunks) {
    return run_pass(model, std::vector<Samples>{samples}, rule, chunks, drawn_masks(1, 0));
}

// Largest difference of any parameter's gradient relative to that gradient's largest element.
double gradient_difference(const FractalModel& model, const PassResult& a, const PassResult& b) {
    double worst = 0;
    for (const Parameter& parameter : model.parameters().all()) {
        const auto slice = [&](const PassResult& result) {
            const auto begin = result.gradients.begin() + static_cast<std::ptrdiff_t>(parameter.offset);
            return std::vector<float>(begin, begin + parameter.count);
        };
        worst = std::max(worst, relative_error(slice(a), widened(slice(b))));
    }
    return worst;
}

void check_close(const FractalModel& model, const PassResult& a, const PassResult& b) {
    for (std::size_t c = 0; c < a.totals.size(); ++c)
        CHECK(a.totals[c] == doctest::Approx(b.totals[c]).epsilon(1e-5));
    CHECK(gradient_difference(model, a, b) < 1e-5);
}

PassRule dropping(std::uint64_t seed, std::uint32_t step) {
    return {0.2f, false, 0.01f, seed, step};
}

// Logits of every pixel and channel, given all pixels before: [pixels of all samples in the order of patches,
// C, values].
std::vector<float> all_logits(const FractalModel& model, const Samples& samples) {
    const FractalConfig& config = model.config();
    Tape tape(Device::cpu);
    std::vector<float> logits;
    const auto job = [&] {
        Tensor condition = model.class_condition(tape, samples.ids), image = images_of(tape, config, samples);
        for (std::size_t level = 0; level < config.generators(); ++level) {
            image =
                patchify(tape, image, config.channels, config.img_size_list[level], config.patch_size(level));
            condition = model.ar_level(level).forward(tape, image, condition, Tensor(), {});
        }
        const Tensor values = image_values(tape, config, image);
        const std::int64_t C = config.channels, V = config.values();
        logits.resize(static_cast<std::size_t>(image.rows() * C * V));
        for (std::int64_t c = 0; c < C; ++c) {
            const Tensor row = model.pixel_level().logits(tape, condition, values, c);
            if (tape.planning()) continue;
            for (std::int64_t n = 0; n < image.rows(); ++n)
                std::copy_n(tape.value(row) + n * V, V, logits.begin() + (n * C + c) * V);
        }
    };
    run_job(tape, plan_job(tape, job), job);
    return logits;
}

std::vector<FractalConfig> all_ar_configs() {
    std::vector<FractalConfig> all = ar_configs;
    all.insert(all.end(), code_ar_configs.begin(), code_ar_configs.end());
    return all;
}

// Where pixel n in the order of patches lies in an image: row * size + column.
std::int64_t place_of(const FractalConfig& config, std::int64_t n) {
    std::int64_t row = 0, column = 0;
    for (std::size_t level = config.generators(); level-- > 0;) {
        const std::int64_t L = config.tokens(level), p = config.patch_size(level),
                           side = config.img_size_list[level] / p;
        row += n % L / side * p;
        column += n % L % side * p;
        n /= L;
    }
    return row * config.image_size() + column;
}

std::size_t resident_bytes() {
    std::size_t total = 0, resident = 0;
    std::ifstream("/proc/self/statm") >> total >> resident;
    return resident * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
}

}  // namespace

TEST_CASE("fractal: a value influences only what follows it") {
    for (const FractalConfig& config : all_ar_configs()) {
        const auto model = random_model(config);
        const Samples samples = random_samples(config, 1);
        const std::vector<float> before = all_logits(*model, samples);
        const std::int64_t C = config.channels, V = config.values(),
                           pixels = config.image_size() * config.image_size();
        std::int64_t early = 0, late = 0;
        for (std::int64_t n = 0; n < pixels; n += 5)
            for (std::int64_t c = 0; c < C; ++c) {
                Samples changed = samples;
                auto& value = changed.values[static_cast<std::size_t>(c * pixels + place_of(config, n))];
                value = static_cast<std::int32_t>((value + V / 2) % V);
                const std::vector<float> after = all_logits(*model, changed);
                const auto mismatch = std::ranges::mismatch(before, after).in1 - before.begin();
                if (mismatch < (n * C + c + 1) * V) ++early;
                if (mismatch == (n * C + c + 1) * V) ++late;
            }
        CAPTURE(config.img_size_list.size());
        CHECK(early == 0);
        CHECK(late > pixels / 5 * C / 2);  // most often the very next logits change
    }
}

TEST_CASE("fractal: losses and gradients do not depend on the chunks") {
    for (const FractalConfig& config : configs) {
        const auto model = random_model(config);
        const std::size_t n = config.img_size_list.size();
        CAPTURE(n);
        const Samples samples = random_samples(config, 4);
        const ChunkSizes all = whole(config, 4);
        const PassResult reference = run_pass(*model, samples, dropping(1, 3), all);
        if (!has_mar(config)) CHECK(reference.used == reference.planned);
        CHECK(reference.used <= reference.planned);
        ChunkSizes even, odd;
        for (std::size_t level = 0; level < n; ++level) {
            even.push_back(all[level] / (level == 0 ? 4 : 8));
            odd.push_back(2 * static_cast<std::int64_t>(level) + 3);
        }
        const PassResult in_even = run_pass(*model, samples, dropping(1, 3), even);
        if (!has_mar(config)) CHECK(in_even.used == in_even.planned);
        CHECK(in_even.planned < reference.planned);
        check_close(*model, in_even, reference);
        const PassResult in_odd = run_pass(*model, samples, dropping(1, 3), odd);
        CHECK(in_odd.used <= in_odd.planned);
        check_close(*model, in_odd, reference);
        check_close(*model, run_pass(*model, samples, dropping(1, 3), model->default_chunks()), reference);
    }
}

TEST_CASE("fractal: the memory of a step does not depend on the masks") {
    for (const FractalConfig& config : mar_configs) {
        const auto model = random_model(config);
        const Samples samples = random_samples(config, 4);
        const ChunkSizes chunks = whole(config, 2);
        const PassResult all = run_pass(*model, {samples}, {}, chunks, everything);
        CHECK(all.used == all.planned);
        bool fewer = false;
        for (std::uint32_t step = 0; step < 4; ++step) {
            const PassResult some = run_pass(*model, {samples}, {}, chunks, drawn_masks(1, step));
            CHECK(some.planned == all.planned);
            CHECK(some.used <= all.planned);
            fewer = fewer || some.terms.back() < all.terms.back();
        }
        CHECK(fewer);
    }
}

TEST_CASE("fractal: recomputed blocks give the same bits in less memory") {
    for (const FractalConfig& config : configs) {
        const auto model = random_model(config);
        const Samples samples = random_samples(config, 3);
        const ChunkSizes chunks = whole(config, 1);
        PassRule rule = dropping(1, 3);
        const PassResult stored = run_pass(*model, samples, rule, chunks);
        rule.recompute = true;
        const PassResult recomputed = run_pass(*model, samples, rule, chunks);
        CHECK(recomputed.totals == stored.totals);
        CHECK(same_bits(recomputed.gradients, stored.gradients));
        CHECK(recomputed.planned <= stored.planned);
    }
}

TEST_CASE("fractal: dropout is a function of seed, step and sample") {
    const auto model = random_model(configs[0]);
    const Samples samples = random_samples(configs[0], 2);
    const ChunkSizes chunks = model->default_chunks();
    const PassResult reference = run_pass(*model, samples, dropping(1, 3), chunks);
    const PassResult again = run_pass(*model, samples, dropping(1, 3), chunks);
    CHECK(again.totals == reference.totals);
    CHECK(same_bits(again.gradients, reference.gradients));
    Samples renamed = samples;
    renamed.first += 1;
    CHECK(run_pass(*model, samples, dropping(1, 4), chunks).totals != reference.totals);
    CHECK(run_pass(*model, samples, dropping(2, 3), chunks).totals != reference.totals);
    CHECK(run_pass(*model, renamed, dropping(1, 3), chunks).totals != reference.totals);
    CHECK(run_pass(*model, samples, {}, chunks).totals != reference.totals);
    CHECK(run_pass(*model, renamed, {}, chunks).totals == run_pass(*model, samples, {}, chunks).totals);
    const auto mar = random_model(mar_configs[0]);
    const PassResult plain = run_pass(*mar, samples, {}, chunks);
    CHECK(run_pass(*mar, renamed, {}, chunks).totals != plain.totals);  // other masks
    CHECK(run_pass(*mar, samples, dropping(1, 3), chunks).totals != plain.totals);
}

TEST_CASE("fractal: jitter decides the halves of guiding pixels, and nothing else") {
    const FractalConfig& config = mar_configs[1];
    const auto model = random_model(config);
    Samples samples = random_samples(config, 2);
    // Patches of two neighbouring brightnesses in equal parts: their mean lies between two values.
    for (std::size_t i = 0; i < samples.values.size(); ++i)
        samples.values[i] = static_cast<std::int32_t>(100 + i % 2);
    PassRule rule;
    const PassResult plain = run_pass(*model, samples, rule, model->default_chunks());
    rule.jitter = 0.01f;
    const PassResult jittered = run_pass(*model, samples, rule, model->default_chunks());
    CHECK(jittered.totals != plain.totals);
    CHECK(std::equal(jittered.totals.end() - 3, jittered.totals.end(), plain.totals.end() - 3));
    CHECK(run_pass(*model, samples, rule, whole(config, 2)).terms == jittered.terms);
    std::ranges::fill(samples.values, 100);
    const PassResult whole_values = run_pass(*model, samples, rule, model->default_chunks());
    rule.jitter = 0;
    CHECK(run_pass(*model, samples, rule, model->default_chunks()).totals == whole_values.totals);
}

TEST_CASE("fractal: accumulated batches equal the large one") {
    for (const FractalConfig& config : configs) {
        const auto model = random_model(config);
        const Samples samples = random_samples(config, 5);
        const PassResult large = run_pass(*model, samples, dropping(1, 3), model->default_chunks());
        check_close(*model,
                    run_pass(*model, {samples.part(0, 2), samples.part(2, 1), samples.part(3, 2)},
                             dropping(1, 3), model->default_chunks(), drawn_masks(1, 0)),
                    large);
    }
}

TEST_CASE("fractal: gradients said to be complete do not change any more") {
    struct Announced : GradientReadyListener {
        explicit Announced(const Parameters& all) : parameters(all) {}
        void ready_from(std::size_t offset) override {
            tails.push_back(
                {offset,
                 {parameters.gradients() + offset, parameters.gradients() + parameters.slab_floats()}});
        }
        const Parameters& parameters;
        std::vector<std::pair<std::size_t, std::vector<float>>> tails;
    };
    for (const FractalConfig& config : configs)
        for (const bool recomputed : {false, true}) {
            CAPTURE(config.generator_type_list);
            const auto model = random_model(config);
            const Samples samples = random_samples(config, 3);
            ChunkSizes chunks{2};  // the last chunk of each level is smaller than the others
            for (std::size_t level = 0; level < config.generators(); ++level) chunks.push_back(5);
            PassRule rule = dropping(1, 0);
            rule.recompute = recomputed;
            Announced announced(model->parameters());
            const PassResult result =
                run_pass(*model, {samples}, rule, chunks, drawn_masks(1, 0), &announced);
            std::size_t before = model->parameters().slab_floats();
            for (const auto& [offset, tail] : announced.tails) {
                CHECK(offset <= before);
                before = offset;
                CHECK(std::ranges::equal(tail, std::span(result.gradients).subspan(offset)));
            }
            // Level 0's blocks one by one, and whatever lies below it in time for them.
            CHECK(announced.tails.size() >=
                  static_cast<std::size_t>(config.num_blocks_list[0]) + config.generators());
        }
}

TEST_CASE("fractal: every parameter has a gradient") {
    for (const FractalConfig& config : configs) {
        const auto model = random_model(config);
        Samples samples = random_samples(config, 6);
        samples.ids[0] = 0;
        run_pass(*model, samples, {}, model->default_chunks());
        for (const Parameter& parameter : model->parameters().all()) {
            CAPTURE(parameter.name);
            const bool moved = std::any_of(parameter.gradient, parameter.gradient + parameter.count,
                                           [](float value) { return value != 0.0f && std::isfinite(value); });
            CHECK(moved);
        }
    }
}

TEST_CASE("fractal: one batch can be learned by heart") {
    for (const FractalConfig& config : {ar_configs[0], ar_configs[1], mar_configs[0], mar_configs[2],
                                        code_ar_configs[0], code_mar_configs[1]}) {
        FractalModel model(config, Device::cpu);
        model.parameters().allocate(Device::cpu, true);
        model.parameters().initialize(1);
        Optimizer optimizer(model.parameters(), Device::cpu, {});
        Samples samples = random_samples(config, 3);
        const auto V = static_cast<std::int32_t>(config.values());
        for (std::int32_t& value : samples.values) value = value % 4 * (V / 4);
        const auto loss = [&](const PassResult& result) {
            return std::accumulate(result.totals.end() - config.channels, result.totals.end(), 0.0) /
                   (result.terms.back() * static_cast<double>(config.channels));
        };
        const double first = loss(run_pass(model, samples, {}, model.default_chunks()));
        CHECK(first == doctest::Approx(std::log(V)).epsilon(0.05));
        for (std::int64_t step = 0; step < 150; ++step) {
            run_pass(model, samples, {}, model.default_chunks());
            optimizer.update(step, 1e-2f);
        }
        CHECK(loss(run_pass(model, samples, {}, model.default_chunks())) < first / 3);
    }
}

// Along each parameter's gradient the loss grows by that gradient's length.
TEST_CASE("fractal: gradients of models of codes agree with differences of the loss") {
    for (const auto* part : {&code_ar_configs, &code_mar_configs})
        for (const FractalConfig& config : *part) {
            const auto model = random_model(config);
            const Samples samples = random_samples(config, 4);
            const auto pass = [&] { return run_pass(*model, samples, {}, model->default_chunks()); };
            const PassResult result = pass();
            const std::vector<float> scales = loss_scales(config, 5, result.terms);
            const auto loss = [&] {
                const std::vector<double> totals = pass().totals;
                double sum = 0;
                for (std::size_t i = 0; i < totals.size(); ++i)
                    sum += static_cast<double>(scales[i]) * totals[i];
                return sum;
            };
            for (const Parameter& parameter : model->parameters().all()) {
                CAPTURE(parameter.name);
                const float* const gradient = result.gradients.data() + parameter.offset;
                const auto count = static_cast<std::size_t>(parameter.count);
                double square = 0;
                for (std::size_t i = 0; i < count; ++i)
                    square += static_cast<double>(gradient[i]) * static_cast<double>(gradient[i]);
                const double length = std::sqrt(square), step = 4e-3;
                const std::vector<float> before(parameter.value, parameter.value + count);
                const auto loss_at = [&](double distance) {
                    for (std::size_t i = 0; i < count; ++i)
                        parameter.value[i] = before[i] + static_cast<float>(distance / length) * gradient[i];
                    return loss();
                };
                const double slope =
                    (8 * (loss_at(step) - loss_at(-step)) - (loss_at(2 * step) - loss_at(-2 * step))) /
                    (12 * step);
                std::ranges::copy(before, parameter.value);
                CHECK(slope == doctest::Approx(length).epsilon(0.01).scale(0.01));
            }
        }
}

TEST_CASE("fractal: the likelihood of codes is their mean -log2 probability") {
    for (const FractalConfig& config : code_ar_configs) {
        const auto model = random_model(config);
        Samples samples = random_samples(config, 2);
        std::ranges::fill(samples.ids, 0);
        const std::vector<float> logits = all_logits(*model, samples);
        const std::int64_t V = config.values(), tokens = config.image_size() * config.image_size();
        double bits = 0;
        for (std::int64_t i = 0; i < 2 * tokens; ++i) {
            const float* const row = logits.data() + i * V;
            double sum = 0;
            for (std::int64_t v = 0; v < V; ++v) sum += std::exp(static_cast<double>(row[v]));
            const std::int64_t place = i / tokens * tokens + place_of(config, i % tokens);
            bits +=
                std::log2(sum) -
                static_cast<double>(row[samples.values[static_cast<std::size_t>(place)]]) / std::numbers::ln2;
        }
        Likelihood likelihood(*model, 2);
        likelihood.add(samples.values, std::vector<std::int64_t>{-1, -1});
        CHECK(likelihood.exact());
        CHECK(likelihood.bits_per_dim() ==
              doctest::Approx(bits / static_cast<double>(2 * tokens)).epsilon(1e-5));
    }
}

TEST_CASE("sampler: a greedy image is the most likely continuation at every value") {
    for (const FractalConfig& config : all_ar_configs()) {
        const auto model = random_model(config);
        const std::vector<std::int64_t> classes =
            config.class_num > 0 ? std::vector<std::int64_t>{3, -1} : std::vector<std::int64_t>{-1, -1};
        SampleRule rule;
        rule.greedy = true;
        Samples samples;
        FractalSampler sampler(*model, 2, false);
        samples.values = drawn_values(config, sampler, classes, rule);
        for (const std::int64_t label : classes) samples.ids.push_back(static_cast<std::int32_t>(label + 1));
        const std::vector<float> logits = all_logits(*model, samples);
        const std::int64_t C = config.channels, V = config.values(),
                           pixels = config.image_size() * config.image_size();
        std::int64_t different = 0;
        for (std::int64_t i = 0; i < 2 * pixels; ++i)
            for (std::int64_t c = 0; c < C; ++c) {
                const float* row = logits.data() + (i * C + c) * V;
                const std::int64_t place = (i / pixels * C + c) * pixels + place_of(config, i % pixels);
                if (std::max_element(row, row + V) - row != samples.values[static_cast<std::size_t>(place)])
                    ++different;
            }
        CHECK(different == 0);
        CHECK(std::ranges::count(samples.values, samples.values[0]) <
              static_cast<std::int64_t>(samples.values.size()));
    }
}

TEST_CASE("fractal: planning the paper's models takes no memory") {
    const std::size_t before = resident_bytes();
    for (const FractalPreset& preset : fractal_presets()) {
        CAPTURE(preset.name);
        const FractalConfig& config = preset.config;
        const FractalModel model(config, Device::cpu);
        Tape tape(Device::cpu);
        tape.set_recording(true);
        const std::int64_t C = config.channels;
        const std::vector<float> scales((config.generators() + 1) * static_cast<std::size_t>(C));
        constexpr std::int64_t images_at_once = 64;  // more than the smallest preset takes as one chunk
        const std::vector<std::int32_t> ids(images_at_once);
        const auto plan_with = [&](const ChunkSizes& chunks) {
            return plan_job(tape, [&] {
                const Tensor images = tape.create(images_at_once,
                                                  C * config.image_size() * config.image_size(), false),
                             totals = tape.create(static_cast<std::int64_t>(config.generators()) + 1, C,
                                                  false, Element::f64);
                model.loss(tape, images, ids, {}, scales, totals, {0.1f, false, 0.01f, 1, 1}, chunks);
            });
        };
        const Plan chunked = plan_with(model.default_chunks()),
                   at_once = plan_with(whole(config, images_at_once));
        CHECK(chunked.bytes < at_once.bytes);
        CHECK(tape.arena().slab_bytes() == 0);
        CHECK(tape.live_nodes() == 0);
        const FractalSampler sampler(model, 1, false);
        // Level 0 holds a vector for each patch: in MAR its sequence, in AR the keys and values of each
        // block.
        const std::int64_t vectors =
            config.tokens(0) * (config.is_mar(0) ? 1 : 2 * config.num_blocks_list[0]);
        CHECK(sampler.plan().bytes >=
              static_cast<std::size_t>(vectors * config.embed_dim_list[0]) * sizeof(float));
        if (preset.name == "fractalmar_huge_in256") CHECK(at_once.bytes > std::size_t{100} << 30);
    }
    CHECK(resident_bytes() < before + (std::size_t{64} << 20));
}
