#include "tests/bench/latency.h"

#include <fmt/format.h>

#include <algorithm>
#include <any>
#include <stdexcept>
#include <string_view>

#include "models/fractal/sample.h"
#include "models/nat/generate.h"
#include "models/nat/image_codec.h"
#include "models/nat/pictures.h"
#include "models/nat/strategy_heuristics.h"
#include "tests/bench/costs.h"

namespace {

constexpr double memory_rate = 4.3e12, library_rate = 790e12, stream_rate = 55e9;
constexpr double node_seconds = 2e-6, early_node_seconds = node_seconds - 0.8e-6;
// mma.sync, which our kernels use, is issued once in 16 cycles for each quarter of a multiprocessor at best;
// with n other instructions beside each product it is once in max(16, n + 1). The tiles of attention have
// about 60 for each, the convolution's main loop fewer, but it waits for copies as they do, and a wgmma
// product of the data sheet's rate costs half an mma.sync of the same size: shares of 990 TFLOP/s.
constexpr double convolution_rate = 0.28 * 990e12, attention_rate = 0.28 * 990e12,
                 packed_rate = 0.25 * 990e12;
constexpr std::int64_t multiprocessors = 132;
// Of a cluster; of a product that waits for the one before it.
constexpr double barrier_seconds = 0.4e-6, product_seconds = 33 / 1.7e9;
constexpr double element = 2;  // bytes of a bf16

std::int64_t integer(const std::any& argument) {
    if (const auto* number = std::any_cast<int>(&argument)) return *number;
    return std::any_cast<std::int64_t>(argument);
}

// The argument of this type, after `before` others of it.
template <class T>
const T& argument_of(const CountedWork& work, int before = 0) {
    for (const std::any& each : work.arguments)
        if (const auto* found = std::any_cast<T>(&each); found != nullptr && before-- == 0) return *found;
    throw std::logic_error(fmt::format("latency: {} without the argument its cost depends on", work.kernel));
}

// Its last three arguments: rows, N, K.
LinearShape linear_shape(const CountedWork& work) {
    const auto last = work.arguments.last(3);
    return {integer(last[0]), integer(last[1]), integer(last[2])};
}

// Output of attention_decode: the arguments from its fifth on.
DecodeShape decode_shape(const CountedWork& work) {
    const auto of = [&](std::size_t i) { return integer(work.arguments[i]); };
    return {of(4), of(5), of(6), of(7) + 1};
}

struct Priced {
    Cost cost;
    double rate;       // of its operations
    double least = 0;  // seconds
    std::int64_t kernels = 1;
    bool early = true;  // they start before those in front of them have ended
};

// Of a pixel sampler in a cluster: its barriers, one behind every product and draw; the longest chain of dependent
// products, two sums side by side; and the weights of a block, each read once.
double pixel_cluster_seconds(const PixelSamplerShape& shape) {
    constexpr double ranks = 8;
    const auto [C, W, K, B, heads] = shape;
    const double barriers = 1 + static_cast<double>(C * (4 * B + 2)),
                 depth = static_cast<double>(K + C * W * (7 * B + 1)),
                 weights = elements(W, K + 12 * W * B + C * Shapes::vocabulary);
    return barriers * barrier_seconds + depth / 32 * product_seconds +
           element * weights / ranks / stream_rate;
}

// Tiles as pixel_sampler_plan.cuh chooses them with guidance and weights that are streamed, each reading all weights;
// few of a level whose blocks' weights exceed a block's shared memory in clusters.
Priced pixel_sample_price(const CountedWork& work) {
    constexpr double shared_bytes = 227 * 1024;
    const auto& shape = argument_of<PixelSamplerShape>(work);
    const std::int64_t draws = integer(work.arguments[6]),
                       rows = draws * (argument_of<Guidance>(work).scale == 1 ? 1 : 2);
    if (element * 12 * elements(shape.width, shape.width * shape.blocks) > shared_bytes &&
        draws <= 4 * WorkCount::resident_clusters)
        return {pixel_sample_cost(shape, draws, rows, element), packed_rate, pixel_cluster_seconds(shape)};
    const auto tiles = [&](std::int64_t each) { return (draws + each - 1) / each; };
    std::int64_t each = 1;
    while (each < 16 && tiles(each) > (each < 8 ? multiprocessors : 2 * multiprocessors)) each *= 2;
    const std::int64_t waves = (tiles(each) + multiprocessors - 1) / multiprocessors;
    return {pixel_sample_cost(shape, draws, rows, element), packed_rate,
            static_cast<double>(waves) * element * pixel_sample_weights(shape) / stream_rate};
}

// Of each of its blocks of the transformer: five barriers; the longest chain of dependent products, one for 16 of
// the depth of a product and 6 for attention; and what comes from partners: queries, keys and values of a head, then
// attention's result and both updates in bf16 and the parts of 32 columns in fp32, of all rows, in the last block of
// those that are drawn from.
Priced mar_level_price(const CountedWork& work) {
    constexpr double partner_rate = 20e9;
    constexpr int barriers = 5;
    const auto& shape = argument_of<MarLevelShape>(work);
    const double D = static_cast<double>(shape.width), blocks = static_cast<double>(shape.blocks),
                 rows = static_cast<double>(shape.length()), sequences = static_cast<double>(shape.sequences),
                 drawn_from =
                     std::min(rows, static_cast<double>(shape.drawn * shape.next_conditions) / sequences),
                 products = 3 * D / 16 + 6 + D / 128 * 8, heads = 80 * 64 * 2, row = D * (3 * 2 + 4),
                 bytes = blocks * heads + ((blocks - 1) * rows + drawn_from) * row;
    const std::int64_t turns =
        (shape.sequences + WorkCount::resident_clusters - 1) / WorkCount::resident_clusters;
    return {mar_level_cost(shape, element), packed_rate,
            static_cast<double>(turns) *
                (blocks * (barriers * barrier_seconds + products * product_seconds) + bytes / partner_rate)};
}

Priced price_of(const CountedWork& work) {
    const std::string_view kernel = work.kernel;
    if (kernel == "linear_forward") {
        const LinearShape shape = linear_shape(work);
        Priced price{linear_cost(shape, element, element), library_rate};
        // No product of the library has rows of an odd number of bf16: ours, the bias and the product apart.
        price.early = shape.K % 2 != 0;
        if (price.early && argument_of<ConstElementPointer>(work, 1).address != nullptr) price.kernels = 2;
        return price;
    }
    if (kernel == "linear_gelu_forward") {
        const bool keeps_input = argument_of<ElementPointer>(work, 1).address != nullptr;
        return {(keeps_input ? linear_gelu_cost : linear_cost)(linear_shape(work), element, element),
                library_rate, 0, 1, false};
    }
    if (kernel == "packed_linear_forward")
        return {packed_linear_cost(linear_shape(work), element), packed_rate};
    if (kernel == "conv2d_forward") {  // packs its weights first
        Priced price{conv2d_cost(argument_of<Conv2dShape>(work), element, element), convolution_rate};
        price.cost.bytes += 2 * element * static_cast<double>(argument_of<Conv2dShape>(work).weights());
        price.kernels = 2;
        return price;
    }
    if (kernel == "attention_forward")
        return {attention_cost(argument_of<AttentionShape>(work), element), attention_rate};
    if (kernel == "attention_decode")
        return {attention_decode_cost(decode_shape(work), element), attention_rate};
    if (kernel == "pixel_sample") return pixel_sample_price(work);
    if (kernel == "mar_level_forward") return mar_level_price(work);
    Priced price{{work.bytes, 0}, library_rate};
    if (kernel == "copy" || kernel == "fill") price.early = false;
    if (kernel == "groupnorm_forward") price.kernels = 3;
    if (kernel == "pixel_sampler_pack") {  // two for each linear layer and norm, one for each other codebook
        const auto& shape = argument_of<PixelSamplerShape>(work);
        price.kernels = 5 + 3 * shape.channels + 12 * shape.blocks;
    }
    if (kernel == "mar_level_pack") price.kernels = 8 + 14 * argument_of<MarLevelShape>(work).blocks;
    return price;
}

// "level 2" of nested levels, "steps" for every "step 3"; the sampler of pixels by itself, which levels with
// guiding pixels use as well.
std::string part_of(const CountedWork& work) {
    std::string part = "start";
    for (const std::string& range : work.ranges) {
        if (range.starts_with("level ") || range == "decoder") part = range;
        if (range.starts_with("step ")) part = "steps";
    }
    return std::string_view(work.kernel) == "pixel_sample" ? part + ", pixel sampler" : part;
}

const Backend gpu(Device::cuda, Precision::bf16);

}  // namespace

LaunchCost launch_cost(const CountedWork& work) {
    const Priced price = price_of(work);
    return {
        price.cost, price.kernels,
        std::max({price.cost.bytes / memory_rate, price.cost.operations / price.rate, price.least,
                  static_cast<double>(price.kernels) * (price.early ? early_node_seconds : node_seconds)})};
}

void PartCost::add(const LaunchCost& launch) {
    kernels += launch.kernels;
    cost.bytes += launch.cost.bytes;
    cost.operations += launch.cost.operations;
    seconds += launch.seconds;
}

PartCost PredictedJob::total() const {
    PartCost sum;
    for (const auto& [of, part] : parts) sum.add({part.cost, part.kernels, part.seconds});
    return sum;
}

void draw_fractals(const FractalConfig& config, const std::vector<std::int64_t>& iterations,
                   std::int64_t images, const Begin& begin) {
    FractalModel model(config, gpu);
    model.parameters().allocate(gpu, false);
    FractalSampler sampler(model, images, true, iterations);
    sampler.use_graphs(false);
    SampleRule rule;
    rule.guidance = 2;
    begin();
    sampler.sample(std::vector<std::int64_t>(static_cast<std::size_t>(images)), rule);
}

void draw_tokens(const NatConfig& config, const TokenizerConfig& tokenizer_config, std::int64_t steps,
                 std::int64_t images, const Begin& begin) {
    NatTransformer model(config, gpu);
    Tokenizer tokenizer(tokenizer_config, gpu);
    model.parameters().allocate(gpu, false);
    tokenizer.parameters().allocate(gpu, false);
    std::vector<std::uint8_t> bytes;
    NatGenerator generator(model, images, true, decode_into(tokenizer, config.img_size, bytes));
    generator.use_graphs(false);
    begin();
    generator.generate(std::vector<std::int64_t>(static_cast<std::size_t>(images)),
                       named_strategy("cosine", steps, 2), {});
}

PredictedJob predict(std::string name, std::int64_t images, const std::function<void(const Begin&)>& job) {
    PredictedJob predicted{std::move(name), images, {}};
    const WorkCount count(
        [&](const CountedWork& work) { predicted.parts[part_of(work)].add(launch_cost(work)); });
    job([&] { predicted.parts.clear(); });
    return predicted;
}

std::vector<PredictedJob> predicted_goals() {
    std::vector<PredictedJob> goals;
    for (const std::int64_t images : {1, 512})
        goals.push_back(predict("fractalmar_large_in256", images, [&](const Begin& begin) {
            draw_fractals(fractal_preset("fractalmar_large_in256").config, {64, 16, 16}, images, begin);
        }));
    goals.push_back(predict("autonat_l, 8 steps", 1, [](const Begin& begin) {
        draw_tokens(nat_preset("autonat_l").config, tokenizer_preset("vqgan_f16").config, 8, 1, begin);
    }));
    return goals;
}

std::string prediction_table(const std::vector<PredictedJob>& jobs) {
    std::string table =
        "| job and part, per picture | kernels | moves | operations | predicted "
        "|\n|---|---:|---:|---:|---:|\n";
    for (const PredictedJob& job : jobs) {
        const double images = static_cast<double>(job.images);
        const auto line = [&](const std::string& name, const PartCost& part) {
            table += fmt::format("| {} | {:.0f} | {:.3g} GB | {:.3g} TFLOP | {:.3g} ms |\n", name,
                                 static_cast<double>(part.kernels) / images, part.cost.bytes / images / 1e9,
                                 part.cost.operations / images / 1e12, part.seconds / images * 1e3);
        };
        line(fmt::format("**{}, {} at once**", job.name, job.images), job.total());
        for (const auto& [name, part] : job.parts) line(name, part);
    }
    return table;
}
