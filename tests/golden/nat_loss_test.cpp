// Logits, loss and every gradient of the masked-token transformer against the authors' release.
#include <numeric>

#include "runtime/files/open_tensor_file.h"
#include "runtime/ops/ops.h"
#include "tests/bf16_devices.h"
#include "tests/golden/nat_golden.h"
#include "tests/skip.h"

namespace {

constexpr double fp32_tolerance = 1e-5, gradient_tolerance = 1e-4;

struct Inputs {
    explicit Inputs(const NatGolden& golden)
        : tokens(golden.integers("train.token_ids")),
          contexts(golden.integers("train.context")),
          mask(golden.arrays.bytes_u8("train.mask").begin(), golden.arrays.bytes_u8("train.mask").end()),
          samples(contexts.size()) {
        std::iota(samples.begin(), samples.end(), 0);
    }

    NatBatch batch() const { return {tokens, {contexts}, mask, samples}; }
    std::int64_t hidden() const { return std::ranges::count(mask, 1); }

    std::vector<std::int32_t> tokens, contexts;
    std::vector<std::uint8_t> mask;
    std::vector<std::int64_t> samples;
};

std::vector<float> run_forward(NatGolden& golden, bool recomputed) {
    const Inputs inputs(golden);
    const NatConfig& config = golden.model.config();
    std::vector<std::int32_t> ids = inputs.tokens;
    for (std::size_t i = 0; i < ids.size(); ++i)
        if (inputs.mask[i] == 1) ids[i] = config.mask_id();
    const auto B = static_cast<std::int64_t>(inputs.contexts.size());
    std::vector<float> logits(ids.size() * static_cast<std::size_t>(config.codebook_size));
    Tape tape(golden.model.backend());
    tape.arena().poison_released(true);
    NatPass rule;
    rule.recompute = recomputed;
    const auto job = [&] {
        const Tensor on_device = tape.create(B, config.tokens(), false, Element::i32),
                     contexts = golden.model.embed_contexts(tape, {inputs.contexts}, B);
        copy_to_tensor(tape, on_device, ids.data(), ids.size() * 4);
        const Tensor y = golden.model.forward(tape, on_device, contexts, rule);
        CHECK(y.rows() == B * config.tokens());
        copy_from_tensor(tape, logits.data(), y, logits.size() * 4);
    };
    const Plan plan = plan_job(tape, job);
    run_job(tape, plan, job);
    CHECK(tape.live_nodes() == 0);
    return logits;
}

// The mean loss at the hidden tokens; its gradient in the parameters'.
double run_loss(NatGolden& golden, bool recomputed, std::int64_t chunk) {
    const Inputs inputs(golden);
    const auto hidden = static_cast<double>(inputs.hidden());
    Tape tape(golden.model.backend());
    tape.arena().poison_released(true);
    tape.set_recording(true);
    golden.model.parameters().zero_gradients();
    double sum = 0;
    NatPass pass;
    pass.recompute = recomputed;
    const auto job = [&] {
        const Tensor total = tape.create(1, 1, false, Element::f64);
        zero_tensor(tape, total);
        golden.model.loss(tape, inputs.batch(), {0.1f, static_cast<float>(1 / hidden)}, total, pass, chunk);
        copy_from_tensor(tape, &sum, total, sizeof sum);
    };
    const Plan plan = plan_job(tape, job);
    run_job(tape, plan, job);
    CHECK(tape.arena().used_bytes() <= plan.bytes);
    CHECK(tape.live_nodes() == 0);
    return sum / hidden;
}

}  // namespace

DEVICE_TEST("nat golden: logits") {
    NatGolden golden("train", {device, Precision::fp32});
    const std::span<const float> expected = golden.arrays.floats("train.logits");
    CHECK(relative_difference(run_forward(golden, false), expected) < fp32_tolerance);
}

DEVICE_TEST("nat golden: loss and gradients, whole and in chunks, stored and computed again") {
    NatGolden golden("train", {device, Precision::fp32});
    for (const auto& [recomputed, chunk] : {std::pair{false, 4}, {true, 4}, {false, 3}, {true, 1}}) {
        CAPTURE(recomputed);
        CAPTURE(chunk);
        CHECK(run_loss(golden, recomputed, chunk) ==
              doctest::Approx(golden.arrays.floats("train.loss")[0]).epsilon(fp32_tolerance));
        for (const Parameter& parameter : golden.model.parameters().all()) {
            CAPTURE(parameter.name);
            CHECK(difference_from(golden.arrays, "train.grad." + parameter.name, golden.gradient(parameter)) <
                  gradient_tolerance);
        }
    }
}

// A code that does not occur in the input: only the head reads its embedding.
DEVICE_TEST("nat golden: the word embeddings get no gradient through the head") {
    NatGolden golden("train", {device, Precision::fp32});
    run_loss(golden, false, 4);
    const Inputs inputs(golden);
    const NatConfig& config = golden.model.config();
    std::vector<bool> seen(static_cast<std::size_t>(config.codebook_size));
    for (std::size_t i = 0; i < inputs.tokens.size(); ++i)
        if (inputs.mask[i] == 0) seen[static_cast<std::size_t>(inputs.tokens[i])] = true;
    REQUIRE(std::ranges::count(seen, false) > 0);
    const std::vector<float> gradient =
        golden.gradient(golden.model.parameters().find("token_emb.word_embeddings.weight"));
    for (std::size_t code = 0; code < seen.size(); ++code)
        for (std::int64_t i = 0; i < config.embed_dim && !seen[code]; ++i)
            CHECK(gradient[code * static_cast<std::size_t>(config.embed_dim) + static_cast<std::size_t>(i)] ==
                  0.0f);
}

BF16_TEST("nat golden: the loss in bf16") {
    NatGolden golden("train", backend);
    CHECK(run_loss(golden, false, 4) == doctest::Approx(golden.arrays.floats("train.loss")[0]).epsilon(0.01));
    CHECK(relative_difference(run_forward(golden, false), golden.arrays.floats("train.logits")) < 0.05);
}

TEST_CASE("nat golden: the published .pth holds the model's weights and nothing else") {
    const NatGolden golden("train", {Device::cpu, Precision::fp32});
    CHECK_NOTHROW(require_fitting(*open_tensor_file(GoldenFile("nat_tiny_train_ema.pth").path()),
                                  golden.model.parameters(), ""));
}
