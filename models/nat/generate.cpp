#include "models/nat/generate.h"

#include <algorithm>
#include <array>
#include <bit>
#include <stdexcept>

#include "models/nat/halton_order.h"
#include "models/nat/strategy_heuristics.h"
#include "models/nat/strategy_steps.h"
#include "runtime/base/error.h"
#include "runtime/device/profile.h"
#include "runtime/ops/ops.h"
#include "runtime/ops/row_ops.h"
#include "runtime/ops/sampling_ops.h"
#include "runtime/tensor/random.h"
#include "runtime/tensor/require_memory.h"

namespace {

// The first `count` elements.
template <class T>
std::vector<T> host_copy(Tape& tape, const Tensor& tensor, std::int64_t count) {
    std::vector<T> values(static_cast<std::size_t>(count));
    copy_from_tensor(tape, values.data(), tensor, values.size() * sizeof(T));
    return values;
}

// Of the tokens' fixed order. Where no strategy has one, so that no kernel reads them, zeros.
std::vector<std::int32_t> token_ranks(std::span<const Strategy> strategies, std::int64_t side) {
    const auto is_fixed = [](const Strategy& strategy) { return strategy.order == TokenOrder::halton; };
    if (std::ranges::any_of(strategies, is_fixed)) return halton_ranks(side);
    return std::vector<std::int32_t>(static_cast<std::size_t>(side * side));
}

}  // namespace

struct NatGenerator::Job {
    std::int64_t images, steps, strategies;
    Tensor schedule, ranks, key, numbers;  // decode_ops.h
    Tensor contexts, ids;  // fp32 [halves * images * places, D] and int32 [halves * images, N]
    TokenDraw draw;
};

NatGenerator::NatGenerator(const NatTransformer& model, std::int64_t batch, bool guided,
                           Continuation continuation)
    : model_(model),
      batch_(batch),
      guided_(guided),
      continuation_(std::move(continuation)),
      tape_(model.backend()) {
    const NatConfig& config = model.config();
    if (config.codebook_size > cpu::token_draw_max_codes)
        fail_usage("a model of {} codes, expected at most {} for decoding", config.codebook_size,
                   cpu::token_draw_max_codes);
    if (config.tokens() > max_decoded_tokens)
        fail_usage("a model of {} tokens an image, expected at most {} for decoding", config.tokens(),
                   max_decoded_tokens);
    const std::vector<std::int64_t> classes(static_cast<std::size_t>(batch), -1);
    const Strategy longest = named_strategy("cosine", max_decoding_steps, 0);
    plan_ = plan_job(tape_, [&] { run(classes, {&longest, 1}, {}, nullptr); });
}

std::vector<std::int32_t> NatGenerator::generate(std::span<const std::int64_t> classes,
                                                 const Strategy& strategy, const GenerationRule& rule) {
    return generate(classes, std::span(&strategy, 1), rule);
}

std::vector<std::int32_t> NatGenerator::generate(std::span<const std::int64_t> classes,
                                                 std::span<const Strategy> strategies,
                                                 const GenerationRule& rule) {
    const std::size_t images = classes.size() * strategies.size();
    if (images == 0 || static_cast<std::int64_t>(images) > batch_)
        throw std::logic_error("generator: a batch size other than planned");
    if (static_cast<std::int64_t>(strategies.size()) * strategies[0].steps() > max_decoding_steps)
        throw std::logic_error("generator: more steps in all than planned");
    for (const Strategy& strategy : strategies) {
        strategy.validate("the strategy");
        if (strategy.guided() && !guided_)
            throw std::logic_error("generator: guidance, which was not planned");
        if (strategy.steps() != strategies[0].steps())
            throw std::logic_error("generator: strategies of different lengths");
    }
    const NatConfig& config = model_.config();
    if (config.takes_texts() && texts_.ids.empty() && texts_.features.empty())
        throw std::logic_error("generator: a model of texts without texts");
    for (const std::int64_t label : classes)
        if (label < -1 || label >= class_num())
            fail_usage("class {} is out of range: the model has classes 0 to {}", label, class_num() - 1);
    require_memory(tape_, plan_, fmt::format("generating {} images at once", batch_),
                   "draw fewer at once (--batch)", GraphCache::memory(tape_.device()));
    std::vector<std::int32_t> tokens(images * static_cast<std::size_t>(config.tokens()));
    run_job(tape_, plan_, [&] { run(classes, strategies, rule, tokens.data()); });
    return tokens;
}

void NatGenerator::use_texts(const NatContexts& texts) {
    const NatConfig& config = model_.config();
    const bool given = texts.features.empty() ? model_.encoder() != nullptr : model_.encoder() == nullptr;
    if (!config.takes_texts() || !given)
        throw std::logic_error("generator: texts in another form than the model takes");
    texts_ = texts;
}

std::int64_t NatGenerator::class_num() const {
    const NatConfig& config = model_.config();
    const auto L = static_cast<std::size_t>(config.num_clip_token),
               C = static_cast<std::size_t>(config.clip_dim);
    if (!config.takes_texts()) return config.num_classes - 1;
    return static_cast<std::int64_t>(texts_.features.empty() ? texts_.ids.size() / L
                                                             : texts_.features.size() / (L * C)) -
           1;
}

Tensor NatGenerator::contexts(std::span<const std::int64_t> classes) {
    const NatConfig& config = model_.config();
    const auto rows = static_cast<std::int64_t>(classes.size());
    if (!config.takes_texts()) {
        std::vector<std::int32_t> ids;
        for (const std::int64_t label : classes)
            ids.push_back(label < 0 ? config.no_class() : static_cast<std::int32_t>(label));
        return model_.embed_contexts(tape_, {ids}, rows);
    }
    const std::int64_t places = config.context_places();
    // Of each distinct text its number, and of each row's places those of its text among them.
    std::vector<std::int64_t> distinct;
    std::vector<std::int32_t> index;
    for (const std::int64_t label : classes) {
        const auto found = std::ranges::find(distinct, label);
        const std::int64_t at = found - distinct.begin();
        if (found == distinct.end()) distinct.push_back(label);
        for (std::int64_t place = 0; place < places; ++place)
            index.push_back(static_cast<std::int32_t>(at * places + place));
    }
    const Tensor all = tape_.create(rows * places, config.embed_dim, false),
                 of_rows = device_copy(tape_, index, rows * places);
    // In a loop: whatever the number of distinct texts, buffers behind it lie in the same places.
    tape_.arena().loop(1, [&](std::int64_t) {
        const bool by_features = model_.encoder() == nullptr;
        std::vector<std::int32_t> ids;
        std::vector<float> features(by_features ? 1 : 0);
        auto texts = guided_ ? batch_ + 1 : batch_;
        if (!tape_.planning()) {
            texts = static_cast<std::int64_t>(distinct.size());
            features.clear();
            for (const std::int64_t label : distinct) {
                const auto row = static_cast<std::size_t>(label < 0 ? class_num() : label);
                const auto append = [&](auto& to, const auto& from) {
                    const std::size_t each = from.size() / static_cast<std::size_t>(class_num() + 1);
                    const auto part = from.subspan(row * each, each);
                    to.insert(to.end(), part.begin(), part.end());
                };
                append(ids, texts_.ids);
                append(features, texts_.features);
            }
        }
        gather_rows(tape_, all, model_.embed_contexts(tape_, {ids, features}, texts), of_rows);
    });
    return all;
}

void NatGenerator::run(std::span<const std::int64_t> classes, std::span<const Strategy> strategies,
                       const GenerationRule& rule, std::int32_t* tokens) {
    const NatConfig& config = model_.config();
    const auto images = static_cast<std::int64_t>(classes.size() * strategies.size()),
               rows = guided_ ? 2 * images : images;
    const std::int64_t steps = strategies[0].steps();
    std::vector<std::int64_t> labels, numbers;
    std::vector<DecodingStep> schedule(static_cast<std::size_t>(steps) * strategies.size());
    for (std::size_t s = 0; s < strategies.size(); ++s) {
        for (std::size_t i = 0; i < classes.size(); ++i) {
            labels.push_back(classes[i]);
            numbers.push_back(rule.numbers.empty() ? rule.first_image + static_cast<std::int64_t>(i)
                                                   : rule.numbers[i]);
        }
        const std::vector<DecodingStep> own = decoding_steps(strategies[s], config.tokens());
        for (std::size_t t = 0; t < own.size(); ++t) schedule[t * strategies.size() + s] = own[t];
    }
    labels.resize(static_cast<std::size_t>(rows), -1);
    const std::vector<std::int32_t> masks(static_cast<std::size_t>(rows * config.tokens()), config.mask_id());
    const Job job{images,
                  steps,
                  static_cast<std::int64_t>(strategies.size()),
                  decoding_schedule(tape_, steps, static_cast<std::int64_t>(strategies.size()), schedule),
                  device_copy(tape_, token_ranks(strategies, config.img_size), config.tokens()),
                  device_keys(tape_, std::array{random_key(rule.seed, "tokens")}),
                  device_copy(tape_, numbers, images),
                  contexts(labels),
                  device_copy(tape_, masks, rows),
                  create_token_draw(tape_, images, config.tokens())};
    // A loop of one iteration: a replayed graph requests none of the buffers planned for its steps.
    tape_.arena().loop(1, [&](std::int64_t) { decode(job); });
    if (continuation_) continuation_(tape_, job.draw.filled);
    if (tape_.planning()) return;
    const auto bytes = static_cast<std::size_t>(images * config.tokens()) * sizeof(std::int32_t);
    copy_from_tensor(tape_, tokens, job.draw.filled, bytes);
}

void NatGenerator::decode(const Job& job) {
    const auto steps = [&] { tape_.arena().loop(job.steps, [&](std::int64_t t) { step(job, t); }); };
    if (!use_graphs_ || watch_ || !uniforms_.empty() || profiling()) return steps();
    // Parameters::use_values may have put others in the weights' place.
    const auto weights = std::bit_cast<std::int64_t>(model_.parameters().all().front().value);
    graphs_.run(tape_.device(), tape_.stream(), tape_.planning(),
                {job.images, job.strategies, job.steps, weights}, steps);
}

void NatGenerator::step(const Job& job, std::int64_t t) {
    const ProfileRange range("step", static_cast<int>(t));
    const std::int64_t rows = job.draw.filled.rows();
    const bool watched = watch_ && !tape_.planning();
    DecodedStep seen;
    if (watched) seen.ids = host_copy<std::int32_t>(tape_, job.ids, rows);
    const Tensor logits = model_.forward(tape_, job.ids, job.contexts, {});
    draw_tokens(tape_, job.draw, logits, job.ids, noise(job, t), job.schedule, t, watched && watch_logits_);
    if (watched && watch_logits_) seen.guided_logits = host_copy<float>(tape_, logits, rows * logits.width());
    if (t + 1 < job.steps)
        remask_tokens(tape_, job.ids, job.draw, job.ranks, job.schedule, t, model_.config().codebook_size);
    if (watched) report(job, t, seen);
}

TokenNoise NatGenerator::noise(const Job& job, std::int64_t t) {
    const std::int64_t N = model_.config().tokens();
    TokenNoise noise = token_noise(tape_, job.numbers, job.key, N, t);
    if (!uniforms_.empty() && !tape_.planning()) {
        const auto count = static_cast<std::size_t>(job.images * N),
                   first = static_cast<std::size_t>(t) * count;
        copy_to_tensor(tape_, noise.uniforms, uniforms_.subspan(first, count).data(), count * sizeof(float));
        copy_to_tensor(tape_, noise.gumbel, gumbel_.subspan(first, count).data(), count * sizeof(float));
    }
    return noise;
}

void NatGenerator::report(const Job& job, std::int64_t t, DecodedStep& seen) {
    const std::int64_t rows = job.draw.filled.rows();
    seen.step = t;
    seen.drawn = host_copy<std::int32_t>(tape_, job.draw.drawn, rows);
    seen.filled = host_copy<std::int32_t>(tape_, job.draw.filled, rows);
    seen.confidence = host_copy<float>(tape_, job.draw.confidence, rows);
    seen.next = t + 1 < job.steps ? host_copy<std::int32_t>(tape_, job.ids, rows) : seen.filled;
    watch_(seen);
}
