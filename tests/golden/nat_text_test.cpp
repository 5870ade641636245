// The transformer conditioned on texts against the authors' releases: logits, loss, gradients, masks, and tokens drawn
// by AutoNAT's loop.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <numeric>
#include <span>
#include <string>
#include <vector>

#include "models/nat/checkpoint.h"
#include "models/nat/generate.h"
#include "models/nat/masks.h"
#include "models/text/text_checkpoint.h"
#include "runtime/files/open_tensor_file.h"
#include "runtime/ops/ops.h"
#include "tests/golden/clip_weights.h"
#include "tests/golden/golden_file.h"
#include "tests/golden/stored_form.h"
#include "tests/test_devices.h"
#include "tests/unit/models/device_model.h"

namespace {

constexpr double fp32_tolerance = 1e-5, gradient_tolerance = 1e-4;

struct TextGolden {
    explicit TextGolden(Backend backend) : device(backend.device) {
        const GoldenFile weights("nat_text_tiny_ema.pth");
        const auto file = open_tensor_file(weights.path());
        const NatConfig config = parse_nat_config(arrays.metadata("model"), "the golden");
        model = std::make_unique<NatTransformer>(read_nat_metadata(*file, config).config, backend);
        model->parameters().allocate(backend, true);
        load_slab(*file, model->parameters(), "", model->parameters().values());
        model->parameters().round_values();
    }

    std::vector<std::int32_t> integers(const std::string& name) const {
        const auto wide = arrays.integers(name);
        return {wide.begin(), wide.end()};
    }

    Device device;
    SafetensorsFile arrays{GoldenFile("nat_text_tiny.safetensors").path()};
    std::unique_ptr<NatTransformer> model;
};

std::vector<float> run_forward(const TextGolden& golden) {
    const NatConfig& config = golden.model->config();
    std::vector<std::int32_t> ids = golden.integers("train.token_ids");
    const auto mask = golden.arrays.bytes_u8("train.mask");
    for (std::size_t i = 0; i < ids.size(); ++i)
        if (mask[i] == 1) ids[i] = config.mask_id();
    std::vector<float> logits(ids.size() * static_cast<std::size_t>(config.codebook_size));
    Tape tape(golden.model->backend());
    const auto job = [&] {
        const Tensor contexts =
            golden.model->embed_contexts(tape, {{}, golden.arrays.floats("train.context")}, 4);
        const Tensor y = golden.model->forward(tape, device_copy(tape, ids, 4), contexts, {});
        copy_from_tensor(tape, logits.data(), y, logits.size() * sizeof(float));
    };
    run_job(tape, plan_job(tape, job), job);
    return logits;
}

double run_loss(const TextGolden& golden, bool recomputed, std::int64_t chunk) {
    const std::vector<std::int32_t> tokens = golden.integers("train.token_ids");
    const auto bytes = golden.arrays.bytes_u8("train.mask");
    const std::vector<std::uint8_t> mask(bytes.begin(), bytes.end());
    std::vector<std::int64_t> samples(4);
    std::iota(samples.begin(), samples.end(), 0);
    const auto hidden = static_cast<double>(std::ranges::count(mask, 1));
    Tape tape(golden.model->backend());
    tape.set_recording(true);
    golden.model->parameters().zero_gradients();
    double sum = 0;
    NatPass pass;
    pass.recompute = recomputed;
    const auto job = [&] {
        const Tensor total = tape.create(1, 1, false, Element::f64);
        zero_tensor(tape, total);
        golden.model->loss(tape, {tokens, {{}, golden.arrays.floats("train.context")}, mask, samples},
                           {0.1f, static_cast<float>(1 / hidden)}, total, pass, chunk);
        copy_from_tensor(tape, &sum, total, sizeof sum);
    };
    const Plan plan = plan_job(tape, job);
    run_job(tape, plan, job);
    CHECK(tape.arena().used_bytes() <= plan.bytes);
    CHECK(tape.live_nodes() == 0);
    return sum / hidden;
}

std::vector<double> schedule(const TextGolden& golden, const char* name) {
    const auto values = golden.arrays.floats(std::string("generate_autonat.manual_") + name);
    return {values.begin(), values.end()};
}

// Features of three texts and of the empty one.
std::vector<float> text_table(const TextGolden& golden) {
    const auto texts = golden.arrays.floats("generate_autonat.context"),
               empty = golden.arrays.floats("generate_autonat.empty_context");
    std::vector<float> table(texts.begin(), texts.end());
    table.insert(table.end(), empty.begin(), empty.end());
    return table;
}

}  // namespace

DEVICE_TEST("golden: logits of a transformer conditioned on texts") {
    const TextGolden golden({device, Precision::fp32});
    CHECK(relative_difference(run_forward(golden), golden.arrays.floats("train.logits")) < fp32_tolerance);
}

DEVICE_TEST("golden: loss and gradients of a transformer conditioned on texts") {
    const TextGolden golden({device, Precision::fp32});
    for (const auto& [recomputed, chunk] : {std::pair{false, 4}, {true, 3}}) {
        CAPTURE(recomputed);
        CHECK(run_loss(golden, recomputed, chunk) ==
              doctest::Approx(golden.arrays.floats("train.loss")[0]).epsilon(fp32_tolerance));
        for (const Parameter& parameter : golden.model->parameters().all()) {
            CAPTURE(parameter.name);
            std::vector<float> gradient(static_cast<std::size_t>(parameter.count));
            copy_from_device(device, gradient.data(), parameter.gradient, gradient.size() * sizeof(float));
            CHECK(difference_from(golden.arrays, "train.grad." + parameter.name, gradient) <
                  gradient_tolerance);
        }
    }
}

DEVICE_TEST("golden: tokens of texts, from their features and through their encoder") {
    [[maybe_unused]] const HostAccessAllowed open;
    const TextGolden golden({device, Precision::fp32});
    const Strategy strategy{schedule(golden, "ratios"), schedule(golden, "temp"),
                            schedule(golden, "samp_temp"), schedule(golden, "cfg")};
    const std::vector<std::int64_t> texts = {0, 1, 2};
    const auto drawn_with = [&](const NatContexts& table) {
        NatGenerator generator(*golden.model, 3, true);
        generator.use_texts(table);
        generator.replay(golden.arrays.floats("generate_autonat.uniforms"),
                         golden.arrays.floats("generate_autonat.gumbel"));
        generator.watch(
            [&](const DecodedStep& step) {
                if (step.step == 2)
                    CHECK(relative_difference(step.guided_logits,
                                              golden.arrays.floats("generate_autonat.guided_logits_step2")) <
                          fp32_tolerance);
            },
            true);
        CHECK(generator.generate(texts, strategy, {}) == golden.integers("generate_autonat.final_ids"));
    };
    const std::vector<float> features = text_table(golden);
    drawn_with({{}, features});
    const ClipWeights weights;
    const auto file = open_tensor_file(weights.transformers());
    const auto encoder = load_text_encoder(*file, TextConfig{1000, 64, 2, 4}, device);
    golden.model->use_encoder(*encoder);
    const auto wide =
        SafetensorsFile(GoldenFile("clip_text_tiny.safetensors").path()).integers("pad_zero.ids");
    std::vector<std::int32_t> ids(wide.begin() + 77, wide.begin() + 4 * 77);
    ids.insert(ids.end(), wide.begin(), wide.begin() + 77);
    drawn_with({ids});
}

TEST_CASE("golden: Muse's masks hide the same tokens") {
    const TextGolden golden(Device::cpu);
    const auto u = golden.arrays.floats("train.timesteps"),
               uniforms = golden.arrays.floats("train.order_uniforms");
    const auto counts = golden.arrays.integers("train.masked_count");
    const auto mask = golden.arrays.bytes_u8("train.mask");
    for (std::size_t sample = 0; sample < u.size(); ++sample) {
        CHECK(masked_tokens(golden.model->config(), cosine_ratio(u[sample])) == counts[sample]);
        std::vector<std::size_t> order(64);
        std::iota(order.begin(), order.end(), 0);
        std::ranges::sort(order, {}, [&](std::size_t p) { return uniforms[sample * 64 + p]; });
        for (std::size_t p = 0; p < order.size(); ++p)
            CHECK((mask[sample * 64 + p] == 1) == (static_cast<std::int64_t>(order[p]) < counts[sample]));
    }
}
