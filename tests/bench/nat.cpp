// The NAT pipeline: an image tokenizer's two ways and a training step of it, and the masked-token
// transformer's training step, forward pass and whole generation.
//
// Operations are counted by models/nat/cost.h, two per multiply-add; a training step does three passes'
// products. Its discriminator's are left out, as in a tokenizer's first steps; a transformer's head works on
// hidden tokens alone, and its codes' embeddings take no gradient from the logits.
#include <fmt/format.h>

#include <memory>
#include <numeric>
#include <vector>

#include "data/fractals/fractals.h"
#include "models/nat/cost.h"
#include "models/nat/generate.h"
#include "models/nat/image_codec.h"
#include "models/nat/masks.h"
#include "models/nat/pictures.h"
#include "models/nat/strategy_heuristics.h"
#include "runtime/base/error.h"
#include "runtime/ops/adversarial_ops.h"
#include "runtime/ops/image_ops.h"
#include "runtime/ops/ops.h"
#include "runtime/tensor/optimizer.h"
#include "tests/bench/nat_workload.h"
#include "tests/bench/table.h"

namespace {

constexpr std::int64_t decoding_steps = 8;

NatWorkload workload_of(const Table& table, bool paper) {
    if (table.effort().smoke) return smoke_nat_workload();
    const bool cpu = table.backend().device == Device::cpu;
    if (cpu && !paper) return preset_workload("vqgan_mini_f4", "nat_mini", 16, 32, {1, 16});
    return cpu ? preset_workload("vqgan_f16", "autonat_s", 1, 4, {1, 16})
               : preset_workload("vqgan_f16", "autonat_s", 16, 256, {1, 16});
}

std::vector<std::uint8_t> pictures_of(std::int64_t count, std::int64_t size) {
    const std::int64_t dims = 3 * size * size;
    std::vector<std::uint8_t> pixels(static_cast<std::size_t>(count * dims));
    for (std::int64_t i = 0; i < count; ++i)
        draw_fractal(pixels.data() + i * dims, static_cast<int>(size), static_cast<int>(i % fractal_classes),
                     0, static_cast<std::uint64_t>(i));
    return pixels;
}

Tensor zero_total(Tape& tape) {
    const Tensor total = tape.create(1, 1, false, Element::f64);
    zero_tensor(tape, total);
    return total;
}

template <class Model>
void start(Model& model, bool gradients) {
    model.parameters().allocate(model.backend(), gradients);
    model.parameters().initialize(0);
}

void bench_codec(Table& table, const NatWorkload& work) {
    Tokenizer tokenizer(work.tokenizer, table.backend());
    start(tokenizer, false);
    const std::int64_t count = work.pictures, size = work.image_size();
    ImageCodec codec(tokenizer, size, count, "bench");
    const std::vector<std::uint8_t> pictures = pictures_of(count, size);
    std::vector<std::int32_t> codes;
    const double images = static_cast<double>(count);
    const auto row = [&](std::string_view way, double multiply_adds, const std::function<void()>& job) {
        table.job(fmt::format("tokenizer, {}, {}, batch {}", work.tokenizer_name, way, count), images,
                  2 * images * multiply_adds, 0, job);
    };
    row("encode", encoder_multiply_adds(work.tokenizer, work.side()),
        [&] { codes = codec.encode(pictures); });
    row("decode", decoder_multiply_adds(work.tokenizer, work.side()), [&] { codec.decode(codes); });
}

// One update of the mean distance and the quantiser's loss.
class TokenizerStep {
  public:
    TokenizerStep(const NatWorkload& work, const Backend& backend)
        : work_(work),
          tokenizer_(work.tokenizer, backend),
          tape_(backend),
          pixels_(pictures_of(work.pictures, work.image_size())) {
        tape_.set_recording(true);
        plan_ = plan_job(tape_, [&] { loss(); });
        start(tokenizer_, true);
        optimizer_ = std::make_unique<Optimizer>(tokenizer_.parameters(), backend.device, OptimizerRule{},
                                                 tape_.stream());
    }

    void run() {
        tokenizer_.parameters().zero_gradients(tape_.stream());
        run_job(tape_, plan_, [&] { loss(); });
        optimizer_->update(steps_++, 1e-4f);
    }

  private:
    void loss() {
        const std::int64_t size = work_.image_size(), values = std::ssize(pixels_);
        const MapSize picture{size, size}, grid{work_.side(), work_.side()};
        const Tensor bytes = tape_.create(work_.pictures, values / work_.pictures, false, Element::u8);
        copy_to_tensor(tape_, bytes, pixels_.data(), pixels_.size());
        const Tensor pictures = picture_maps(tape_, bytes, 3, size);
        const std::size_t mark = tape_.mark();
        {
            const Tensor z = tokenizer_.encode(tape_, pictures, picture), codes = tokenizer_.codes(tape_, z);
            const Tensor quantiser = zero_total(tape_), distance = zero_total(tape_);
            const Tensor entries = tokenizer_.quantise(
                tape_, z, codes, 1.0f / static_cast<float>(z.rows() * z.width()), quantiser);
            l1_loss(tape_, tokenizer_.decode(tape_, entries, grid), pictures,
                    1.0f / static_cast<float>(values), distance);
        }
        tape_.backward(mark);
    }

    const NatWorkload& work_;
    Tokenizer tokenizer_;
    Tape tape_;
    std::vector<std::uint8_t> pixels_;
    Plan plan_;
    std::unique_ptr<Optimizer> optimizer_;
    std::int64_t steps_ = 0;
};

void bench_tokenizer_step(Table& table, const NatWorkload& work) {
    TokenizerStep step(work, table.backend());
    const double images = static_cast<double>(work.pictures),
                 multiply_adds = encoder_multiply_adds(work.tokenizer, work.side()) +
                                 decoder_multiply_adds(work.tokenizer, work.side());
    table.job(fmt::format("tokenizer_step, {}, batch {}", work.tokenizer_name, work.pictures), images,
              6 * images * multiply_adds, 0, [&] { step.run(); });
}

// One update, with the paper's mask ratios and dropout.
class NatStep {
  public:
    NatStep(const NatWorkload& work, const Backend& backend)
        : model_(work.transformer, backend), tape_(backend) {
        const NatConfig& config = work.transformer;
        samples_.resize(static_cast<std::size_t>(work.sequences));
        std::iota(samples_.begin(), samples_.end(), 0);
        masks_ = draw_masks(config, {}, samples_, 0, 0);
        contexts_.resize(samples_.size());
        tokens_.resize(masks_.mask.size());
        for (std::size_t i = 0; i < tokens_.size(); ++i)
            tokens_[i] = static_cast<std::int32_t>(static_cast<std::int64_t>(i) * 37 % config.codebook_size);
        tape_.set_recording(true);
        plan_ = plan_job(tape_, [&] { loss(); });
        start(model_, true);
        optimizer_ =
            std::make_unique<Optimizer>(model_.parameters(), backend.device, OptimizerRule{}, tape_.stream());
    }

    void run() {
        model_.parameters().zero_gradients(tape_.stream());
        run_job(tape_, plan_, [&] { loss(); });
        optimizer_->update(steps_++, 1e-4f);
    }

    // For a transformer whose places hold one token each.
    double multiply_adds() const {
        const NatConfig& config = model_.config();
        const double D = static_cast<double>(config.embed_dim), K = static_cast<double>(config.codebook_size),
                     tokens = static_cast<double>(tokens_.size()),
                     hidden = static_cast<double>(masks_.hidden);
        const double trunks =
            static_cast<double>(samples_.size()) * pass_multiply_adds(config) - tokens * (D * D + K * D);
        return 3 * (trunks + hidden * D * D) + 2 * hidden * K * D;
    }

  private:
    void loss() {
        const SmoothedLoss rule{0.1f, 1.0f / static_cast<float>(masks_.hidden)};
        model_.loss(tape_, {tokens_, {contexts_}, masks_.mask, samples_}, rule, zero_total(tape_),
                    {.dropout = 0.1f}, model_.default_chunk());
    }

    NatTransformer model_;
    Tape tape_;
    std::vector<std::int64_t> samples_;
    std::vector<std::int32_t> contexts_, tokens_;
    NatMasks masks_;
    Plan plan_;
    std::unique_ptr<Optimizer> optimizer_;
    std::int64_t steps_ = 0;
};

void bench_nat_step(Table& table, const NatWorkload& work) {
    NatStep step(work, table.backend());
    table.job(fmt::format("nat_step, {}, batch {}", work.transformer_name, work.sequences),
              static_cast<double>(work.sequences), 2 * step.multiply_adds(), 0, [&] { step.run(); });
}

// All tokens' logits, of as many sequences as one step of the larger generation without guidance.
void bench_nat_forward(Table& table, const NatWorkload& work) {
    NatTransformer model(work.transformer, table.backend());
    start(model, false);
    const std::int64_t count = work.generated.back(), N = work.transformer.tokens();
    const std::vector<std::int32_t> ids(static_cast<std::size_t>(count * N), work.transformer.mask_id()),
        contexts(static_cast<std::size_t>(count));
    Tape tape(table.backend());
    const auto forward = [&] {
        const Tensor on_device = tape.create(count, N, false, Element::i32);
        copy_to_tensor(tape, on_device, ids.data(), ids.size() * sizeof(std::int32_t));
        model.forward(tape, on_device, model.embed_contexts(tape, {contexts}, count), {});
    };
    const Plan plan = plan_job(tape, forward);
    const double images = static_cast<double>(count);
    table.job(fmt::format("nat_forward, {}, batch {}", work.transformer_name, count), images,
              2 * images * pass_multiply_adds(work.transformer), 0, [&] {
                  run_job(tape, plan, forward);
                  synchronize(table.backend().device);
              });
}

}  // namespace

NatWorkload smoke_nat_workload() {
    return {"smoke",
            "smoke",
            {3, 3, 32, {1, 2}, 1, 32, 32, 16, 0.25},
            {4, 16, 32, 2, 2, 4, false, 11, true, 1},
            2,
            2,
            {1, 2}};
}

NatWorkload preset_workload(const std::string& tokenizer, const std::string& transformer,
                            std::int64_t pictures, std::int64_t sequences,
                            std::vector<std::int64_t> generated) {
    return {tokenizer,
            transformer,
            tokenizer_preset(tokenizer).config,
            nat_preset(transformer).config,
            pictures,
            sequences,
            std::move(generated)};
}

void bench_generation(Table& table, const NatWorkload& work) {
    NatTransformer model(work.transformer, table.backend());
    Tokenizer tokenizer(work.tokenizer, table.backend());
    start(model, false);
    start(tokenizer, false);
    const Strategy strategy = named_strategy("cosine", decoding_steps, 2);
    const double multiply_adds =
        generation_cost(work.transformer, work.tokenizer).multiply_adds(decoding_steps, true, true);
    for (const std::int64_t count : work.generated) {
        std::vector<std::uint8_t> bytes;
        NatGenerator generator(model, count, true, decode_into(tokenizer, work.side(), bytes));
        const std::vector<std::int64_t> classes(static_cast<std::size_t>(count));
        const double images = static_cast<double>(count);
        table.job(fmt::format("generation of {}, {}, {} steps, guided, {:.3g} TFLOP each", count,
                              work.transformer_name, decoding_steps, multiply_adds / 1e12),
                  images, 2 * images * multiply_adds, 0, [&] { generator.generate(classes, strategy, {}); });
    }
}

namespace {

void print_convention() {
    const GenerationCost cost =
        generation_cost(nat_preset("autonat_s").config, tokenizer_preset("vqgan_f16").config);
    const auto tera = [&](std::int64_t steps) { return cost.multiply_adds(steps, true, true) / 1e12; };
    fmt::print(
        "TFLOP each: per image as the paper counts, one operation per multiply-add, with guidance's rows and "
        "the decoder;\nautonat_s: {:.3f} in 4 steps, {:.3f} in 8 (published: 0.2, 0.3). GFLOP and shares "
        "count two per multiply-add.\n",
        tera(4), tera(8));
}

}  // namespace

void bench_nat(Table& table, bool paper) {
    const NatWorkload work = workload_of(table, paper);
    const auto measure = [&](std::string_view name, auto bench) {
        if (!table.wants(name)) return;
        try {
            bench(table, work);
        } catch (const Error& error) {
            table.note(name, error.what());
        }
    };
    measure("tokenizer", bench_codec);
    measure("tokenizer_step", bench_tokenizer_step);
    measure("nat_step", bench_nat_step);
    measure("nat_forward", bench_nat_forward);
    measure("generation", bench_generation);
    if (table.wants("generation")) print_convention();
}
