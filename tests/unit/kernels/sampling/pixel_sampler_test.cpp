// The fused sampler against the same mathematics put together from the CPU's kernels that it replaces.
#include "kernels/sampling/pixel_sampler.h"

#include <doctest/doctest.h>

#include <deque>

#include "kernels/attention/attention.h"
#include "kernels/layout/embedding.h"
#include "kernels/linear/matmul.h"
#include "kernels/norm/layernorm.h"
#include "kernels/pointwise/gelu.h"
#include "tests/unit/kernels/bf16_check.h"
#include "tests/unit/kernels/kernel_check.h"

using namespace kernel_check;

namespace {

using Floats = std::vector<float>;
using Integers = std::vector<std::int32_t>;

constexpr std::int64_t vocabulary = 256;
constexpr float not_a_number = std::numeric_limits<float>::quiet_NaN();
constexpr std::size_t guard = 32;  // entries behind every output that the kernel must leave alone

// A value rounded to T.
template <class T>
std::vector<T> stored(const Floats& values) {
    if constexpr (std::is_same_v<T, float>)
        return values;
    else
        return to_bf16(values);
}
template <class T>
Floats rounded(Floats values) {
    if constexpr (std::is_same_v<T, float>)
        return values;
    else
        return to_floats(to_bf16(values));
}

// Weights on the host and on the device, there packed as T as well.
template <class T>
struct Level {
    Device device;
    PixelSamplerShape shape;
    PixelSamplerWeights weights{}, on_device{};
    std::vector<PixelSamplerBlock> blocks, blocks_on_device;
    std::deque<DeviceArray<float>> storage;
    std::vector<T> packed;

    Level(Device d, const PixelSamplerShape& s)
        : device(d),
          shape(s),
          blocks(static_cast<std::size_t>(s.blocks)),
          blocks_on_device(static_cast<std::size_t>(s.blocks)) {
        const std::int64_t W = s.width;
        linear(&PixelSamplerWeights::condition_weight, &PixelSamplerWeights::condition_bias, W,
               s.condition_width);
        for (std::size_t c = 0; c < static_cast<std::size_t>(s.channels); ++c) {
            weight(weights.codebooks[c], on_device.codebooks[c], vocabulary, W);
            bias(weights.biases[c], on_device.biases[c], vocabulary);
        }
        norm(&PixelSamplerWeights::ln_weight, &PixelSamplerWeights::ln_bias);
        norm(&PixelSamplerWeights::norm_weight, &PixelSamplerWeights::norm_bias);
        using Block = PixelSamplerBlock;
        for (block_ = 0; block_ < blocks.size(); ++block_) {
            norm(&Block::norm1_weight, &Block::norm1_bias);
            linear(&Block::qkv_weight, &Block::qkv_bias, 3 * W, W);
            linear(&Block::proj_weight, &Block::proj_bias, W, W);
            norm(&Block::norm2_weight, &Block::norm2_bias);
            linear(&Block::fc1_weight, &Block::fc1_bias, 4 * W, W);
            linear(&Block::fc2_weight, &Block::fc2_bias, W, 4 * W);
        }
        weights.blocks = blocks.data();
        on_device.blocks = blocks_on_device.data();
        pack();
    }

  private:
    std::size_t block_ = 0;

    void pack() {
        const auto count = static_cast<std::size_t>(SIZE_ON(device, pixel_sampler_packed_elements, shape));
        packed = stored<T>(Floats(count + guard, not_a_number));
        if constexpr (std::is_same_v<T, float>)
            RUN(device, pixel_sampler_pack, packed, on_device, shape);
        else
            RUN_CUDA(pixel_sampler_pack, packed, on_device, shape);
        for (std::size_t i = count; i < packed.size(); ++i) CHECK(std::isnan(to_float(packed[i])));
    }

    void keep(const float*& host, const float*& device_address, Floats values) {
        const DeviceArray<float>& array = storage.emplace_back(device, std::move(values));
        host = array.host().data();
        device_address = array.data();
    }
    Floats random(std::int64_t count, float low, float high) const {
        return uniform(count, static_cast<unsigned>(storage.size() + 1), low, high);
    }
    // Wide enough for logits that differ by several units.
    void weight(const float*& host, const float*& device_address, std::int64_t N, std::int64_t K) {
        const float bound = 2.5f / std::sqrt(static_cast<float>(K));
        keep(host, device_address, rounded<T>(random(N * K, -bound, bound)));
    }
    void bias(const float*& host, const float*& device_address, std::int64_t N) {
        keep(host, device_address, random(N, -0.5f, 0.5f));
    }
    // Members of the weights, or of their block block_.
    PixelSamplerWeights& part(const PixelSamplerWeights*, bool host) { return host ? weights : on_device; }
    PixelSamplerBlock& part(const PixelSamplerBlock*, bool host) {
        return (host ? blocks : blocks_on_device)[block_];
    }
    template <class Part>
    void linear(const float* Part::*matrix, const float* Part::*offset, std::int64_t N, std::int64_t K) {
        constexpr const Part* kind = nullptr;
        weight(part(kind, true).*matrix, part(kind, false).*matrix, N, K);
        bias(part(kind, true).*offset, part(kind, false).*offset, N);
    }
    template <class Part>
    void norm(const float* Part::*scale, const float* Part::*offset) {
        constexpr const Part* kind = nullptr;
        keep(part(kind, true).*scale, part(kind, false).*scale, random(shape.width, 0.5f, 1.5f));
        keep(part(kind, true).*offset, part(kind, false).*offset, random(shape.width, -0.3f, 0.3f));
    }
};

struct Draws {
    Integers values;
    Floats margins;
};

// Conditions, uniforms and limits of the same seed, whatever the guidance.
struct Batch {
    std::int64_t draws;
    Guidance guidance;
    Floats conditions, uniforms;
    std::vector<std::uint8_t> limits;

    Batch(const PixelSamplerShape& shape, std::int64_t d, const Guidance& g, bool limited = false)
        : draws(d),
          guidance(g),
          conditions(uniform(rows() * shape.condition_width, 77, -1.5f, 1.5f)),
          uniforms(uniform(shape.channels * d, 78, 0, 1)) {
        if (!limited) return;
        for (const std::int32_t low : integers(shape.channels * d, 79, vocabulary - 30)) {
            limits.push_back(static_cast<std::uint8_t>(low));
            limits.push_back(static_cast<std::uint8_t>(low + 1 + low % 29));
        }
    }
    bool guided() const { return guidance.scale != 1; }
    std::int64_t rows() const { return guided() ? 2 * draws : draws; }
};

template <class T>
Draws sample(const Level<T>& level, const Batch& batch) {
    const auto count = static_cast<std::size_t>(batch.rows() * level.shape.channels);
    const auto drawn = static_cast<std::size_t>(batch.draws * level.shape.channels);
    Draws result{Integers(count + guard, -1), Floats(drawn + guard, not_a_number)};
    const std::vector<T> conditions = stored<T>(batch.conditions);
    const auto* uniforms = batch.guidance.greedy ? nullptr : &batch.uniforms;
    const auto* limits = batch.limits.empty() ? nullptr : &batch.limits;
    if constexpr (std::is_same_v<T, float>)
        RUN(level.device, pixel_sample, result.values, result.margins, conditions, uniforms, level.packed,
            level.shape, batch.draws, batch.guidance, limits);
    else
        RUN_CUDA(pixel_sample, result.values, result.margins, conditions, uniforms, level.packed, level.shape,
                 batch.draws, batch.guidance, limits);
    for (std::size_t i = 0; i < guard; ++i) {
        CHECK(result.values[count + i] == -1);
        CHECK(std::isnan(result.margins[drawn + i]));
    }
    result.values.resize(count);
    result.margins.resize(drawn);
    return result;
}

Floats normalized(const Floats& x, const float* weight, const float* bias, std::int64_t W) {
    const std::int64_t rows = static_cast<std::int64_t>(x.size()) / W;
    Floats y(x.size()), mean(static_cast<std::size_t>(rows)), rstd(mean);
    cpu::layernorm_forward(y.data(), mean.data(), rstd.data(), x.data(), weight, bias, rows, W, 1e-6f);
    return y;
}

Floats projected(const Floats& x, const float* weight, const float* bias, std::int64_t N, std::int64_t K) {
    const std::int64_t rows = static_cast<std::int64_t>(x.size()) / K;
    Floats y(static_cast<std::size_t>(rows * N));
    cpu::linear_forward(y.data(), N, x.data(), K, weight, bias, rows, N, K);
    return y;
}

void add(Floats& x, const Floats& y) {
    for (std::size_t i = 0; i < x.size(); ++i) x[i] += y[i];
}

// The outputs [rows, channels, W] of the whole sequence at once, given `values`; inputs of products are
// rounded to T.
template <class T>
Floats transformer(const Level<T>& level, const Batch& batch, const Integers& values) {
    const std::int64_t W = level.shape.width, K = level.shape.condition_width, C = level.shape.channels,
                       rows = batch.rows();
    const PixelSamplerWeights& w = level.weights;
    const Floats conditions = rounded<T>(batch.conditions);
    Floats x(static_cast<std::size_t>(rows * C * W));
    cpu::linear_forward(x.data(), C * W, conditions.data(), K, w.condition_weight, w.condition_bias, rows, W,
                        K);
    for (std::int64_t c = 1; c < C; ++c)
        cpu::embedding_forward(x.data() + c * W, C * W, w.codebooks[c - 1], values.data() + c - 1, C, rows,
                               W);
    x = normalized(x, w.ln_weight, w.ln_bias, W);
    for (const PixelSamplerBlock& block : level.blocks) {
        const Floats normed = rounded<T>(normalized(x, block.norm1_weight, block.norm1_bias, W)),
                     qkv = rounded<T>(projected(normed, block.qkv_weight, block.qkv_bias, 3 * W, W));
        Floats attended(x.size()), log_sum_exp(static_cast<std::size_t>(rows * C * level.shape.heads));
        cpu::attention_forward(attended.data(), log_sum_exp.data(), qkv.data(),
                               AttentionShape{rows, C, level.shape.heads, W / level.shape.heads, true},
                               AttentionDropout{});
        add(x, projected(rounded<T>(attended), block.proj_weight, block.proj_bias, W, W));
        Floats hidden = projected(rounded<T>(normalized(x, block.norm2_weight, block.norm2_bias, W)),
                                  block.fc1_weight, block.fc1_bias, 4 * W, W);
        cpu::gelu_forward(hidden.data(), hidden.data(), static_cast<std::int64_t>(hidden.size()));
        add(x, projected(rounded<T>(hidden), block.fc2_weight, block.fc2_bias, W, 4 * W));
    }
    return rounded<T>(normalized(x, w.norm_weight, w.norm_bias, W));
}

// Draws of every channel, given the kernel's own values for the channels before it, so that one draw on the
// edge of rounding does not spoil the comparison of those after it.
template <class T>
Draws expected_draws(const Level<T>& level, const Batch& batch, const Integers& fed) {
    const std::int64_t W = level.shape.width, C = level.shape.channels, draws = batch.draws;
    const Floats outputs = transformer(level, batch, fed);
    Draws expected{Integers(fed.size()), Floats(static_cast<std::size_t>(draws * C))};
    for (std::int64_t c = 0; c < C; ++c) {
        Floats logits(static_cast<std::size_t>(batch.rows() * vocabulary));
        cpu::linear_forward(logits.data(), vocabulary, outputs.data() + c * W, C * W,
                            level.weights.codebooks[c], level.weights.biases[c], batch.rows(), vocabulary, W);
        Integers values(static_cast<std::size_t>(draws));
        cpu::categorical_sample(values.data(), expected.margins.data() + c * draws, logits.data(),
                                batch.guided() ? logits.data() + draws * vocabulary : nullptr,
                                batch.uniforms.data() + c * draws, draws, vocabulary, batch.guidance,
                                batch.limits.empty() ? nullptr : batch.limits.data() + 2 * c * draws);
        for (std::int64_t row = 0; row < batch.rows(); ++row)
            expected.values[static_cast<std::size_t>(row * C + c)] =
                values[static_cast<std::size_t>(row % draws)];
    }
    return expected;
}

// Tolerated differences between two computations of the same logits: rounding in float; in bf16 occasionally
// an activation rounded the other way.
struct Tolerance {
    float doubtful;  // draws with smaller margins are not compared
    double margin;   // of margins
};
template <class T>
Tolerance tolerance(const Guidance& guidance) {
    if (std::is_same_v<T, float>) return {1e-4f, 5e-5};
    // Of probabilities, or of guided logits, which are of the size of 3 times the scale. Guidance scales the
    // difference of two logits.
    return guidance.greedy ? Tolerance{5e-2f, 2e-2 * static_cast<double>(guidance.scale)}
                           : Tolerance{2e-2f * guidance.scale, 1e-2 * static_cast<double>(guidance.scale)};
}

// Returns the share of draws whose margin left no doubt.
template <class T>
double compare(const Level<T>& level, const Batch& batch) {
    const std::int64_t C = level.shape.channels, draws = batch.draws;
    const Draws actual = sample(level, batch);
    for (const std::int32_t value : actual.values) REQUIRE((value >= 0 && value < vocabulary));
    const Draws expected = expected_draws(level, batch, actual.values);
    const Tolerance allowed = tolerance<T>(batch.guidance);
    double clear = 0, wrong_values = 0, worst_margin = 0;
    for (std::int64_t row = 0; row < batch.rows(); ++row)
        for (std::int64_t c = 0; c < C; ++c) {
            const auto margin = static_cast<std::size_t>(c * draws + row % draws),
                       value = static_cast<std::size_t>(row * C + c);
            if (expected.margins[margin] < allowed.doubtful) continue;
            clear += 1;
            if (actual.values[value] != expected.values[value]) wrong_values += 1;
            const double difference = std::abs(static_cast<double>(actual.margins[margin]) -
                                               static_cast<double>(expected.margins[margin]));
            worst_margin = std::max(worst_margin, std::isnan(difference) ? 1.0 : difference);
        }
    CHECK(wrong_values == 0);
    CHECK(worst_margin < allowed.margin);
    return clear / static_cast<double>(batch.rows() * C);
}

// Fewer draws on the emulated device, which is slow.
const std::vector<std::int64_t>& draw_counts(Device device) {
    static const std::vector<std::int64_t> cpu = {1, 2, 5, 16, 33}, cuda = {9};
    return device == Device::cpu ? cpu : cuda;
}

const std::vector<Guidance> settings = {
    {1.03f, 1, 1e-4f, false}, {1, 1, 0, true}, {1.1f, 3, 1e-4f, false}, {1, 2.5f, 1e-4f, true}};

const std::vector<PixelSamplerShape> shapes = {{3, 12, 7, 1, 3},    {1, 12, 33, 3, 1}, {3, 20, 20, 3, 4},
                                               {3, 32, 1, 0, 2},    {1, 32, 64, 1, 2}, {3, 64, 128, 1, 4},
                                               {3, 128, 129, 3, 4}, {1, 7, 5, 1, 1},   {1, 128, 16, 0, 8}};

}  // namespace

DEVICE_TEST("the pixel sampler draws what the separate kernels draw") {
    for (const PixelSamplerShape& shape : shapes) {
        const Level<float> level(device, shape);
        double clear = 0, runs = 0;
        for (const Guidance& guidance : settings)
            for (const std::int64_t draws : draw_counts(device)) {
                CAPTURE(shape.width);
                CAPTURE(shape.blocks);
                CAPTURE(draws);
                CAPTURE(guidance.scale);
                CAPTURE(guidance.greedy);
                clear += compare(level, Batch(shape, draws, guidance));
                runs += 1;
            }
        CHECK(clear / runs > 0.9);
    }
}

DEVICE_TEST("a pixel drawn alone has the bits it has in a batch") {
    for (const PixelSamplerShape& shape : shapes)
        for (const Guidance& guidance : settings) {
            const std::int64_t draws = 21, C = shape.channels, K = shape.condition_width;
            const Level<float> level(device, shape);
            const Batch batch(shape, draws, guidance);
            const Draws together = sample(level, batch);
            for (std::int64_t draw = 0; draw < draws; draw += device == Device::cpu ? 1 : 10) {
                Batch single(shape, 1, guidance);
                for (std::int64_t half = 0; half < single.rows(); ++half)
                    std::copy_n(batch.conditions.data() + (half * draws + draw) * K, K,
                                single.conditions.data() + half * K);
                for (std::int64_t c = 0; c < C; ++c) single.uniforms[c] = batch.uniforms[c * draws + draw];
                const Draws alone = sample(level, single);
                for (std::int64_t c = 0; c < C; ++c) {
                    CHECK(alone.values[c] == together.values[draw * C + c]);
                    CHECK(alone.margins[c] == together.margins[c * draws + draw]);
                }
            }
            if (device == Device::cuda && shape.blocks > 1) break;
        }
}

DEVICE_TEST("the number of threads changes no draw") {
    for (const PixelSamplerShape& shape : shapes)
        for (const Guidance& guidance : settings) {
            const Level<float> level(device, shape);
            const Batch batch(shape, device == Device::cpu ? 33 : 9, guidance);
            CHECK(same_for_any_threads([&] {
                Draws draws = sample(level, batch);
                draws.margins.insert(draws.margins.end(), draws.values.begin(), draws.values.end());
                return draws.margins;
            }));
            if (device == Device::cuda) break;
        }
}

DEVICE_TEST("pixels can be drawn without margins, and no pixels at all") {
    const PixelSamplerShape shape{3, 20, 12, 1, 2};
    const Level<float> level(device, shape);
    const Batch batch(shape, 9, settings[2]);
    const Draws reference = sample(level, batch);
    Integers values(reference.values.size(), -1);
    RUN(device, pixel_sample, values, nullptr, batch.conditions, batch.uniforms, level.packed, shape,
        batch.draws, batch.guidance);
    CHECK(values == reference.values);
    const Floats nothing;
    RUN(device, pixel_sample, nullptr, nullptr, nothing, nullptr, level.packed, shape, 0, batch.guidance);
}

DEVICE_TEST("the pixel sampler draws shapes that barely fit") {
    const PixelSamplerShape widest{3, 512, 8, 1, 2};
    REQUIRE(SIZE_ON(device, pixel_sampler_fits, widest));
    compare(Level<float>(device, widest), Batch(widest, device == Device::cpu ? 9 : 2, settings[2]));
    // On an H100 4 of its rows fit.
    PixelSamplerShape deepest{3, 192, 8, 8, 2};
    if (device == Device::cpu) {
        deepest = {3, 32, 8, 1, 2};
        while (cpu::pixel_sampler_fits({3, 32, 8, deepest.blocks + 1, 2})) ++deepest.blocks;
        CHECK(deepest.blocks > 20);
    }
    compare(Level<float>(device, deepest), Batch(deepest, device == Device::cpu ? 16 : 3, settings[2]));
}

TEST_CASE("the pixel sampler says which shapes fit on the stack") {
    CHECK(cpu::pixel_sampler_fits({3, 128, 512, 3, 4}));
    CHECK_FALSE(cpu::pixel_sampler_fits({3, 512, 512, 5, 8}));
    CHECK_FALSE(cpu::pixel_sampler_fits({1, 4096, 512, 1, 16}));
}

DEVICE_TEST("limits bound the pixel sampler's draws, and those after them know") {
    const PixelSamplerShape shape{3, 20, 12, 1, 2};
    for (const Guidance& guidance : settings) {
        const Batch batch(shape, 21, guidance, true);
        CHECK(compare(Level<float>(device, shape), batch) > 0.7);
    }
}

CUDA_TEST("the pixel sampler in bf16 draws what the separate kernels draw with the same roundings") {
    std::vector<PixelSamplerShape> all = shapes;
    all.insert(all.end(), {{3, 64, 40, 1, 4}, {3, 96, 600, 2, 3}, {3, 48, 64, 2, 3}, {1, 192, 9, 1, 1}});
    for (const PixelSamplerShape& shape : all) {
        const Level<bf16> level(Device::cuda, shape);
        double clear = 0, runs = 0;
        for (const Guidance& guidance : settings) {
            CAPTURE(shape.width);
            CAPTURE(shape.blocks);
            CAPTURE(guidance.scale);
            CAPTURE(guidance.greedy);
            clear += compare(level, Batch(shape, 11, guidance, shape.channels == 1));
            runs += 1;
        }
        CHECK(clear / runs > 0.4);
    }
}

// The sizes of tiles, with weights that stay with a thread block, or stream (the last shape), for a few draws through a
// cluster, follow from the number of draws and of multiprocessors, 132 on an H100: 8, 16, 32 and 64 rows. At width 64 a
// warp has several tiles of outputs, together or one after the other.
CUDA_TEST("pixels drawn in bf16 have the same bits in batches of all sizes") {
    for (const PixelSamplerShape& shape :
         {PixelSamplerShape{1, 16, 8, 1, 2}, PixelSamplerShape{1, 64, 8, 1, 2},
          PixelSamplerShape{1, 16, 8, 0, 2}}) {
        const Level<bf16> level(Device::cuda, shape);
        const std::int64_t C = shape.channels, K = shape.condition_width;
        const Batch large(shape, 2125, settings[3]);
        const Draws reference = sample(level, large);
        for (const std::int64_t draws : {3, shape.blocks > 0 ? 1070 : 17}) {
            Batch batch(shape, draws, settings[3]);
            for (std::int64_t row = 0; row < batch.rows(); ++row)
                std::copy_n(large.conditions.data() + (row / draws * large.draws + row % draws) * K, K,
                            batch.conditions.data() + row * K);
            const Draws result = sample(level, batch);
            CHECK(std::equal(result.values.begin(), result.values.begin() + draws * C,
                             reference.values.begin()));
            for (std::int64_t c = 0; c < C; ++c)
                CHECK(std::equal(result.margins.begin() + c * draws, result.margins.begin() + (c + 1) * draws,
                                 reference.margins.begin() + c * large.draws));
        }
        compare(level, large);
    }
}

CUDA_TEST("the pixel sampler says which shapes fit on the chip") {
    if constexpr (cuda_backend_built) {
        CHECK(cuda::pixel_sampler_fits({3, 128, 512, 3, 4}));
        CHECK(cuda::pixel_sampler_fits({3, 192, 512, 8, 4}));
        CHECK_FALSE(cuda::pixel_sampler_fits({3, 1024, 512, 8, 8}));
        const PixelSamplerShape huge{1, 16384, 512, 1, 64};
        CHECK_THROWS_WITH(cuda::pixel_sample<float>(Stream(), nullptr, nullptr, nullptr, nullptr, nullptr,
                                                    huge, 1, Guidance{}),
                          "CUDA: the pixel sampler's activations exceed a block's shared memory");
    }
}
