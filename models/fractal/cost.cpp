#include "models/fractal/cost.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "runtime/base/error.h"

namespace {

using Kind = NetworkCost::Kind;

// The sizes of one network as the formulas need them.
struct Shape {
    Kind kind;
    double L, D, n, H, F = 0;
    double P = 0;         // inputs of a patch's embedding, for generators
    double values = 0;    // in a patch
    double table = 0;     // elements of the codes' embeddings
    double E = 0, K = 1;  // width and number of conditions
    double C = 0, V = 0;  // channels and the values of each
    double G = 0;         // 1 if the guiding pixel is a token
    double handed = 0;    // conditions per patch for the next level

    bool is_pixel_model() const { return kind == Kind::pixel || kind == Kind::guiding_pixel; }
    bool is_causal() const { return kind != Kind::mar; }
};

// Counts of tokens and pairs under one convention, and the terms left out.
struct Count {
    double tokens, pairs, patches;
    bool conditions;
};

Count engine_count(const Shape& s) {
    if (s.kind == Kind::mar) {
        const double T = s.L + s.K + s.G;
        return {T, T * T, s.L, true};
    }
    return {s.L, s.L * (s.L + 1) / 2, s.L - 1, true};
}

Count published_count(const Shape& s) {
    const double T = s.L + (s.kind == Kind::mar ? s.K + s.G : 1);
    return {T, T * T, s.L, false};
}

// Multiply-adds of the products that read patches.
double input_multiply_adds(const Shape& s, const Count& count) {
    return s.is_pixel_model() ? 0 : (count.patches * s.P + s.G * s.C) * s.D;
}

double multiply_adds(const Shape& s, const Count& count) {
    const double D = s.D, feed_forward = s.kind == Kind::ar ? 3 * D * s.F : 8 * D * D;
    double sum = s.n * (count.tokens * (4 * D * D + feed_forward) + 2 * D * count.pairs);
    sum += input_multiply_adds(s, count);
    if (s.is_pixel_model()) sum += s.V * s.C * D;
    if (count.conditions) sum += s.K * s.E * D;
    return sum;
}

std::int64_t count_parameters(const Shape& s) {
    const double D = s.D, norm = 2 * D, condition = s.E * D + D;
    double sum = condition + norm + norm + s.table;  // the norms before the first and behind the last block
    if (s.kind == Kind::ar) {
        sum += s.n * (4 * D * D + 3 * D * s.F + 2 * D);
        sum += (s.L + 1) * D + s.P * D + D;
    } else {
        sum += s.n * (12 * D * D + 9 * D + 2 * norm);  // biases: 3 D, D, 4 D, D
        if (s.kind == Kind::mar)
            sum += (s.L + s.K + s.G) * D + s.P * D + D + D + s.G * (s.C * D + D);
        else
            sum += s.C * s.V * (D + 1);
    }
    return static_cast<std::int64_t>(sum);
}

// Floats of a sequence's activations saved for its backward pass. Per token and block the tape saves the
// inputs of the backward kernels: both norms' inputs and outputs (4 D) with their statistics, q, k and v,
// attention's output and log-sum-exp, and the feed-forward's hidden activations: both halves and their
// product (3 F), or before and after GELU (8 D). Dropout saves nothing: its mask is recomputed. Around the
// blocks: the first and the last norm's input and statistics. A generator also holds its patches (an AR level
// a copy without the last one too) and, while the next level runs, that level's conditions with their
// gradients; a pixel model holds its output with its gradient, one channel's logits with the loss, and the
// values.
double activation_floats(const Shape& s) {
    const double D = s.D, T = engine_count(s).tokens;
    const double statistics = s.kind == Kind::ar ? 1 : 2;  // RMSNorm, LayerNorm
    const double feed_forward = s.kind == Kind::ar ? 3 * s.F : 8 * D;
    const double sum = s.n * T * (8 * D + s.H + 2 * statistics + feed_forward) + 2 * T * (D + 2);
    if (s.is_pixel_model()) return sum + 2 * T * D + s.V + 1 + s.C;
    const double read = s.kind == Kind::ar ? s.L - 1 : s.L;  // patches that the embedding reads
    const double copies = s.kind == Kind::ar ? read * s.values : s.G * s.C;
    // The codes of a patch as they are looked up, and their embeddings.
    const double embedded = s.table > 0 ? read * (s.values + s.P) : 0;
    return sum + s.L * s.values + copies + embedded + 2 * s.handed * s.L * D;
}

Shape generator_shape(const FractalConfig& config, std::size_t level) {
    const std::int64_t p = config.patch_size(level);
    Shape s{config.is_mar(level) ? Kind::mar : Kind::ar, static_cast<double>(config.tokens(level)),
            static_cast<double>(config.embed_dim_list[level]),
            static_cast<double>(config.num_blocks_list[level]),
            static_cast<double>(config.num_heads_list[level])};
    s.F = static_cast<double>(config.gated_width(level));
    s.C = static_cast<double>(config.channels);
    s.V = static_cast<double>(config.values());
    s.values = s.P = s.C * static_cast<double>(p * p);
    if (config.of_codes()) {
        s.P *= static_cast<double>(config.code_width());
        s.table = s.V * static_cast<double>(config.code_width());
    }
    s.E = static_cast<double>(config.condition_width(level));
    s.K = static_cast<double>(config.conditions(level));
    s.G = config.guides(level) ? 1 : 0;
    s.handed = static_cast<double>(config.conditions(level + 1));
    return s;
}

Shape pixel_shape(Kind kind, const FractalConfig& config, std::size_t level, std::int64_t width,
                  std::int64_t blocks, std::int64_t heads) {
    Shape s{kind, static_cast<double>(config.channels), static_cast<double>(width),
            static_cast<double>(blocks), static_cast<double>(heads)};
    s.E = static_cast<double>(config.condition_width(level));
    s.C = static_cast<double>(config.channels);
    s.V = static_cast<double>(config.values());
    return s;
}

// Sequences of a level per image.
struct Sequences {
    double all = 1, training = 1;
};

// Of sampling: rows of a sequence, with guidance two, steps of a MAR level, and whether its last outputs are those of
// the drawn rows alone.
struct SamplingPasses {
    double rows = 1, steps = 1;
    bool drawn_rows_alone = false;
};

// Operations of a sequence in sampling, `forward` those of a pass. Conditions and the guiding pixel are projected
// once for all steps.
double sampling_operations(const Shape& s, double forward, const SamplingPasses& passes) {
    const double prefix = 2 * (s.K * s.E + s.G * s.C) * s.D, step = forward - prefix;
    if (!passes.drawn_rows_alone) return passes.rows * (prefix + passes.steps * step);
    const double row = 2 * 9 * s.D * s.D;
    return passes.rows *
           (prefix + passes.steps * (step - engine_count(s).tokens * row) + s.L * s.handed * row);
}

NetworkCost network_cost(const Shape& s, std::size_t level, const Sequences& sequences,
                         const SamplingPasses& passes) {
    const Count engine = engine_count(s);
    const double forward = 2 * multiply_adds(s, engine);
    NetworkCost cost;
    cost.kind = s.kind;
    cost.level = level;
    cost.tokens = static_cast<std::int64_t>(s.L);
    cost.width = static_cast<std::int64_t>(s.D);
    cost.blocks = static_cast<std::int64_t>(s.n);
    cost.heads = static_cast<std::int64_t>(s.H);
    cost.parameters = count_parameters(s);
    cost.sequences = sequences.all;
    cost.training_sequences = sequences.training;
    cost.published_forward = sequences.all * 2 * multiply_adds(s, published_count(s));
    cost.forward = sequences.all * forward;
    // Nothing needs the gradient of pixels.
    const double no_gradient = s.table > 0 ? 0 : 2 * input_multiply_adds(s, engine);
    cost.training = sequences.training * (3 * forward - no_gradient);
    cost.sampling = sequences.all * sampling_operations(s, forward, passes);
    cost.attention_entries = sequences.all * s.L * s.L;
    cost.activation_bytes = sizeof(float) * activation_floats(s);
    cost.cache_bytes = s.kind == Kind::ar ? sizeof(float) * 2 * s.n * s.L * s.D : 0;
    return cost;
}

}  // namespace

std::int64_t FractalCost::parameters() const {
    std::int64_t total = class_parameters;
    for (const NetworkCost& network : networks) total += network.parameters;
    return total;
}

double FractalCost::sum(double NetworkCost::*quantity) const {
    double total = 0;
    for (const NetworkCost& network : networks) total += network.*quantity;
    return total;
}

FractalCost fractal_cost(const FractalConfig& config, const SamplingCostRule& rule) {
    if (rule.iterations.size() != config.generators())
        fail_usage("--iters: {} numbers, expected one per level above the pixels, {}", rule.iterations.size(),
                   config.generators());
    for (const std::int64_t steps : rule.iterations)
        if (steps < 1) fail_usage("--iters {}: expected at least 1 step", steps);
    if (rule.guided && config.class_num == 0)
        fail_usage("the model is unlabelled: a guidance scale other than 1 needs classes");
    FractalCost cost;
    cost.class_parameters = (1 + config.class_num) * config.embed_dim_list[0];
    const double rows = rule.guided ? 2 : 1;
    Sequences sequences;
    for (std::size_t level = 0; level < config.generators(); ++level) {
        const std::int64_t L = config.tokens(level);
        if (config.guides(level))
            cost.networks.push_back(
                network_cost(pixel_shape(Kind::guiding_pixel, config, level, FractalConfig::guiding_width,
                                         FractalConfig::guiding_blocks, FractalConfig::guiding_heads),
                             level, sequences, {rows}));
        SamplingPasses passes{rows};
        if (config.is_mar(level)) {
            passes.steps = static_cast<double>(std::min(L, rule.iterations[level]));
            passes.drawn_rows_alone = outputs_drawn_rows_alone(config, level, rule.iterations[level]);
        }
        cost.networks.push_back(network_cost(generator_shape(config, level), level, sequences, passes));
        sequences.all *= static_cast<double>(L);
        sequences.training *= config.is_mar(level) ? expected_masked_patches(L) : static_cast<double>(L);
    }
    const std::size_t last = config.generators();
    cost.networks.push_back(
        network_cost(pixel_shape(Kind::pixel, config, last, config.embed_dim_list[last],
                                 config.num_blocks_list[last], config.num_heads_list[last]),
                     last, sequences, {rows}));
    return cost;
}

double full_attention_entries(const FractalConfig& config) {
    const auto pixels = static_cast<double>(config.image_size() * config.image_size());
    return pixels * pixels;
}

double expected_masked_patches(std::int64_t tokens) {
    constexpr double deviation = 0.25;
    const auto below = [](double x) {  // P(ratio < x) up to the truncation's constant
        return std::erfc((1 - x) / deviation / std::numbers::sqrt2) / 2;
    };
    // E[ceil(L r)] = sum over k < L of P(L r > k).
    double expectation = 0;
    for (std::int64_t k = 0; k < tokens; ++k)
        expectation +=
            (below(1) - below(static_cast<double>(k) / static_cast<double>(tokens))) / (below(1) - below(0));
    return expectation;
}

MemoryCost memory_cost(const FractalCost& cost, std::int64_t batch, std::int64_t rows,
                       std::span<const std::int64_t> chunks) {
    MemoryCost memory;
    memory.weights = memory.gradients = sizeof(float) * static_cast<double>(cost.parameters());
    memory.moments = 2 * memory.weights;
    auto waiting = static_cast<double>(batch);  // sequences that the level above has for this level at once
    for (const NetworkCost& network : cost.networks) {
        const double together = std::min(waiting, static_cast<double>(chunks[network.level]));
        memory.caches += static_cast<double>(rows) * network.cache_bytes;
        if (network.kind == Kind::guiding_pixel) continue;
        memory.activations += together * network.activation_bytes;
        waiting = together * static_cast<double>(network.tokens);
    }
    return memory;
}
