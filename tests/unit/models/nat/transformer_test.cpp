// Properties of the masked-token transformer, with patches of one token and of several.
#include "models/nat/transformer.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "models/nat/masks.h"
#include "runtime/ops/ops.h"
#include "tests/unit/kernels/kernel_check.h"

using namespace kernel_check;

namespace {

NatConfig tiny(std::int64_t patch, bool skip = true) {
    return {4, 12, 16, 2, 2, 4, false, 4, skip, patch};
}

// Of texts of five ids, with an encoder of its own.
NatConfig tiny_of_texts() {
    NatConfig config = tiny(1);
    config.num_classes = 1;
    config.clip_dim = 8;
    config.num_clip_token = 5;
    config.text_encoder = TextConfig{20, 8, 1, 2};
    config.text_encoder->context_length = 5;
    return config;
}

// A model with weights large enough for the logits to differ, and a batch of three images.
struct Bench {
    Bench(const NatConfig& config, Device where)
        : device(where),
          model(config, where),
          tokens(integers(3 * config.tokens(), 5, static_cast<std::int32_t>(config.codebook_size))) {
        model.parameters().allocate(device, true);
        model.parameters().initialize(2);
        std::vector<float> values = read(model.parameters().values());
        for (const Parameter& parameter : model.parameters().all())
            for (std::int64_t i = 0; i < parameter.count && parameter.decays(); ++i)
                values[parameter.offset + static_cast<std::size_t>(i)] *= 8;
        write(values);
        mask = draw_masks(config, {3, 2}, samples, 4, 0).mask;
        if (config.takes_texts()) contexts = integers(3 * config.num_clip_token, 6, 20);
    }

    std::vector<float> read(const float* slab) const {
        std::vector<float> values(model.parameters().slab_floats());
        copy_from_device(device, values.data(), slab, values.size() * sizeof(float));
        return values;
    }
    void write(const std::vector<float>& values) {
        copy_to_device(device, model.parameters().values(), values.data(), values.size() * sizeof(float));
    }

    // The sum over the hidden tokens; gradients into the parameters' if `recording`.
    double loss(bool recording, const NatPass& pass = {}, std::int64_t chunk = 3,
                GradientReadyListener* listener = nullptr) {
        Tape tape(device);
        tape.arena().poison_released(true);
        tape.set_recording(recording);
        model.parameters().zero_gradients();
        double sum = 0;
        GradientReadyListener* told = nullptr;
        const auto job = [&] {
            const Tensor total = tape.create(1, 1, false, Element::f64);
            zero_tensor(tape, total);
            model.loss(tape, {tokens, {contexts}, mask, samples}, {0, 1}, total, pass, chunk, told);
            copy_from_tensor(tape, &sum, total, sizeof sum);
        };
        const Plan plan = plan_job(tape, job);
        told = listener;
        run_job(tape, plan, job);
        CHECK(tape.live_nodes() == 0);
        return sum;
    }

    std::vector<float> logits() {
        const NatConfig& config = model.config();
        std::vector<std::int32_t> ids = tokens;
        for (std::size_t i = 0; i < ids.size(); ++i)
            if (mask[i] != 0) ids[i] = config.mask_id();
        std::vector<float> values(ids.size() * static_cast<std::size_t>(config.codebook_size));
        Tape tape(device);
        const auto job = [&] {
            const Tensor hidden = tape.create(3, config.tokens(), false, Element::i32);
            copy_to_tensor(tape, hidden, ids.data(), ids.size() * 4);
            copy_from_tensor(tape, values.data(),
                             model.forward(tape, hidden, model.embed_contexts(tape, {contexts}, 3), {}),
                             values.size() * 4);
        };
        const Plan plan = plan_job(tape, job);
        run_job(tape, plan, job);
        return values;
    }

    Device device;
    NatTransformer model;
    std::vector<std::int32_t> tokens, contexts{0, 3, 2};
    std::vector<std::int64_t> samples{10, 11, 12};
    std::vector<std::uint8_t> mask;
};

// Copies the gradients reported as final, to compare them with those at the end.
struct Snapshots : GradientReadyListener {
    explicit Snapshots(const Bench& on) : bench(on) {}
    void ready_from(std::size_t offset) override {
        const std::vector<float> gradients = bench.read(bench.model.parameters().gradients());
        kept.emplace_back(offset, std::vector<float>(gradients.begin() + static_cast<std::ptrdiff_t>(offset),
                                                     gradients.end()));
    }

    const Bench& bench;
    std::vector<std::pair<std::size_t, std::vector<float>>> kept;
};

}  // namespace

DEVICE_TEST(
    "nat: the loss is the cross-entropy of the logits at the hidden tokens, with and without patches") {
    for (const std::int64_t patch : {1, 2, 4}) {
        CAPTURE(patch);
        Bench bench(tiny(patch), device);
        const std::vector<float> logits = bench.logits();
        const auto K = static_cast<std::size_t>(bench.model.config().codebook_size);
        double expected = 0;
        for (std::size_t i = 0; i < bench.tokens.size(); ++i) {
            if (bench.mask[i] == 0) continue;
            double sum = 0;
            for (std::size_t v = 0; v < K; ++v) sum += std::exp(static_cast<double>(logits[i * K + v]));
            expected += std::log(sum) -
                        static_cast<double>(logits[i * K + static_cast<std::size_t>(bench.tokens[i])]);
        }
        CHECK(bench.loss(false) == doctest::Approx(expected).epsilon(1e-5));
        CHECK(bench.loss(true, {}, 2) == doctest::Approx(expected).epsilon(1e-5));
        CHECK(expected > 10);
    }
}

// Along its gradient g a loss rises by |g|^2 a unit.
DEVICE_TEST("nat: the gradient is the loss's slope, with patches and without skips") {
    for (const NatConfig& config : {tiny(2), tiny(1, false), tiny(4), tiny_of_texts()}) {
        Bench bench(config, device);
        bench.loss(true);
        const std::vector<float> gradient = bench.read(bench.model.parameters().gradients()),
                                 values = bench.read(bench.model.parameters().values());
        // The head's table has no gradient through the head, so the slope must not move it there: the
        // embeddings stay as they are.
        const Parameter& words = bench.model.parameters().find("token_emb.word_embeddings.weight");
        const auto first = static_cast<std::size_t>(words.offset),
                   end = first + static_cast<std::size_t>(words.count);
        for (const Parameter& parameter : bench.model.parameters().all())
            if (parameter.name.starts_with("text_encoder.") && parameter.name.ends_with(".weight"))
                CHECK(std::any_of(
                    gradient.begin() + static_cast<std::ptrdiff_t>(parameter.offset),
                    gradient.begin() + static_cast<std::ptrdiff_t>(parameter.offset) + parameter.count,
                    [](float value) { return value != 0; }));
        double square = 0;
        for (std::size_t i = 0; i < gradient.size(); ++i)
            if (i < first || i >= end)
                square += static_cast<double>(gradient[i]) * static_cast<double>(gradient[i]);
        const double step = 2e-3 / std::sqrt(square);
        const auto loss_at = [&](double distance) {
            std::vector<float> moved = values;
            for (std::size_t i = 0; i < moved.size(); ++i)
                if (i < first || i >= end)
                    moved[i] += static_cast<float>(distance * static_cast<double>(gradient[i]));
            bench.write(moved);
            return bench.loss(false);
        };
        const double slope =
            (8 * (loss_at(step) - loss_at(-step)) - (loss_at(2 * step) - loss_at(-2 * step))) / (12 * step);
        CHECK(slope == doctest::Approx(square).epsilon(5e-3));
    }
}

DEVICE_TEST(
    "nat: chunks, and computing blocks again, change nothing but rounding; dropout is the sample's own") {
    Bench bench(tiny(2), device);
    const NatPass dropping{0.3f, false, 5, 7};
    const double whole = bench.loss(true, dropping);
    const std::vector<float> gradient = bench.read(bench.model.parameters().gradients());
    CHECK(bench.loss(true, {0.3f, true, 5, 7}, 1) == doctest::Approx(whole).epsilon(1e-6));
    CHECK(relative_error(bench.read(bench.model.parameters().gradients()), widened(gradient)) < 1e-5);
    CHECK(std::abs(bench.loss(false, {0.3f, false, 5, 8}) - whole) > 1e-3);
    CHECK(std::abs(bench.loss(false) - whole) > 1e-3);
    CHECK(bench.loss(true, dropping) == whole);
    CHECK(same_bits(bench.read(bench.model.parameters().gradients()), gradient));
}

DEVICE_TEST("nat: gradients said to be complete change no more") {
    for (const NatConfig& config : {tiny(2), tiny_of_texts()}) {
        Bench bench(config, device);
        Snapshots listener(bench);
        bench.loss(true, {}, 2, &listener);
        CHECK(listener.kept.size() == 4);  // one before each block, one before the last norm
        const std::vector<float> last = bench.read(bench.model.parameters().gradients());
        for (const auto& [offset, gradients] : listener.kept)
            CHECK(std::equal(gradients.begin(), gradients.end(),
                             last.begin() + static_cast<std::ptrdiff_t>(offset)));
    }
}
