// Losses, conditions, logits and every gradient against the authors' release.
#include "runtime/ops/image_ops.h"
#include "runtime/ops/masking_ops.h"
#include "runtime/ops/row_ops.h"
#include "tests/bf16_devices.h"
#include "tests/golden/fractal_golden.h"
#include "tests/skip.h"

namespace {

constexpr double fp32_tolerance = 1e-5;

const std::vector<std::string> all_goldens = {"fractalar_tiny", "fractalar_two_level_tiny", "fractalmar_tiny",
                                              "fractalmar_guided_tiny"};

// Row of (fake_latent, class_emb) of each image: unconditional in the likelihood pass.
std::vector<std::int32_t> condition_ids(const FractalGolden& golden, const std::string& pass) {
    std::vector<std::int32_t> ids;
    for (const std::int64_t label : golden.arrays.integers("labels"))
        ids.push_back(pass == "train" ? static_cast<std::int32_t>(label) + 1 : 0);
    return ids;
}

// Mean losses: the pixels' and each level's guiding pixels'.
struct LossResult {
    double pixels = 0;
    std::vector<double> guiding;
};

LossResult run_loss(FractalGolden& golden, const std::string& pass, const ChunkSizes& chunks,
                    bool recomputed) {
    const FractalConfig& config = golden.model.config();
    const auto images = golden.arrays.bytes_u8("images_u8");
    const std::vector<std::int32_t> ids = condition_ids(golden, pass);
    const auto batch = static_cast<std::int64_t>(ids.size());
    const std::int64_t C = config.channels, dims = C * config.image_size() * config.image_size();
    const FractalMasks masks = golden.masks(pass);
    const std::vector<float> scales =
        loss_scales(config, pass == "train" ? 5.0 : 1.0, loss_terms(config, masks));
    std::vector<double> sums(scales.size());
    Tape tape(golden.model.backend());
    tape.arena().poison_released(true);
    tape.set_recording(pass == "train");
    golden.model.parameters().zero_gradients();
    const auto job = [&] {
        const Tensor bytes = tape.create(batch, dims, false, Element::u8),
                     totals = tape.create(static_cast<std::int64_t>(sums.size()) / C, C, false, Element::f64);
        copy_to_tensor(tape, bytes, images.data(), images.size());
        zero_tensor(tape, totals);
        PassRule rule;
        rule.recompute = recomputed;
        golden.model.loss(tape, normalize_pixels(tape, bytes, config.pixel_mean(), config.pixel_deviation()),
                          ids, masks, scales, totals, rule, chunks);
        copy_from_tensor(tape, sums.data(), totals, sums.size() * 8);
    };
    const Plan plan = plan_job(tape, job);
    run_job(tape, plan, job);
    CHECK(tape.arena().used_bytes() <= plan.bytes);
    if (!config.is_mar(0)) CHECK(tape.arena().used_bytes() == plan.bytes);
    CHECK(tape.live_nodes() == 0);
    LossResult result;
    for (std::size_t row = 0; row <= config.generators(); ++row) {
        double loss = 0;
        for (std::size_t i = row * static_cast<std::size_t>(C); i < (row + 1) * static_cast<std::size_t>(C);
             ++i)
            loss += static_cast<double>(scales[i]) * sums[i];
        if (row < config.generators())
            result.guiding.push_back(loss);
        else
            result.pixels = loss;
    }
    return result;
}

void check_losses(const FractalGolden& golden, const std::string& pass, const LossResult& result,
                  double tolerance = fp32_tolerance) {
    double total = result.pixels;
    for (std::size_t level = 0; level < result.guiding.size(); ++level) {
        total += result.guiding[level];
        // The release records the loss under the level that passes its condition on.
        const std::string name = pass + ".level" + std::to_string(level) + ".guiding_loss";
        if (golden.arrays.contains(name))
            CHECK(result.guiding[level] == doctest::Approx(golden.arrays.floats(name)[0]).epsilon(tolerance));
    }
    CHECK(total == doctest::Approx(golden.arrays.floats(pass + ".loss")[0]).epsilon(tolerance));
}

void check_training(Device device, const std::string& name, const ChunkSizes& chunks, bool recomputed) {
    CAPTURE(chunks.back());
    CAPTURE(recomputed);
    FractalGolden golden(name, device);
    check_losses(golden, "train", run_loss(golden, "train", chunks, recomputed));
    for (const Parameter& parameter : golden.model.parameters().all()) {
        CAPTURE(parameter.name);
        CHECK(difference_from(golden.arrays, "train.grad." + parameter.name, golden.gradient(parameter)) <
              fp32_tolerance);
    }
}

// One level of a pass without chunks: conditions and patches for the next one.
struct LevelOutput {
    Tensor patches, conditions;
};

LevelOutput run_level(Tape& tape, const FractalGolden& golden, const FractalMasks& masks, std::size_t level,
                      const Tensor& images, const Tensor& condition) {
    const FractalConfig& config = golden.model.config();
    const std::int64_t size = config.img_size_list[level], M = condition.rows(), L = config.tokens(level);
    const Tensor patches = patchify(tape, images, config.channels, size, config.patch_size(level));
    if (!config.is_mar(level))
        return {patches, golden.model.ar_level(level).forward(tape, patches, condition, Tensor(), {})};
    const MarLevel& generator = golden.model.mar_level(level);
    const LevelMasks& hidden = masks.level(level);
    const Tensor mask = tape.create(M, L, false, Element::u8),
                 selected =
                     tape.create(static_cast<std::int64_t>(hidden.selected.size()), 1, false, Element::i32);
    copy_to_tensor(tape, mask, hidden.mask.data(), hidden.mask.size());
    copy_to_tensor(tape, selected, hidden.selected.data(), hidden.selected.size() * 4);
    const Tensor guide = config.guides(level) ? mean_pixels(tape, images, config.channels, size) : Tensor();
    const Tensor outputs =
        generator.forward(tape, patches, generator.prefix(tape, condition, guide), mask, Tensor(), {});
    return {gather_rows(tape, patches, selected),
            neighbour_conditions(tape, outputs, selected, Tensor(), generator.neighbours())};
}

std::vector<float> read(Tape& tape, const Tensor& tensor) {
    std::vector<float> values(static_cast<std::size_t>(tensor.rows() * tensor.width()));
    copy_from_tensor(tape, values.data(), tensor, values.size() * sizeof(float));
    return values;
}

void check_level(Tape& tape, const FractalGolden& golden, const std::string& prefix, std::size_t level,
                 const LevelOutput& output) {
    if (tape.planning()) return;
    CAPTURE(prefix);
    CHECK(relative_difference(read(tape, output.patches), golden.arrays.floats(prefix + "patches")) <
          fp32_tolerance);
    const auto n = static_cast<std::size_t>(golden.model.config().conditions(level + 1));
    const auto width = static_cast<std::size_t>(golden.model.config().embed_dim_list[level]);
    const std::vector<float> all = read(tape, output.conditions);
    for (std::size_t j = 0; j < n; ++j) {
        CAPTURE(j);
        std::vector<float> conditions;
        for (std::size_t k = j * width; k < all.size(); k += n * width)
            conditions.insert(conditions.end(), all.begin() + static_cast<std::ptrdiff_t>(k),
                              all.begin() + static_cast<std::ptrdiff_t>(k + width));
        CHECK(difference_from(golden.arrays, prefix + "cond." + std::to_string(j), conditions) <
              fp32_tolerance);
    }
}

void check_logits(Tape& tape, const FractalGolden& golden, const LevelOutput& output) {
    const FractalConfig& config = golden.model.config();
    const auto expected = golden.arrays.integers("eval.pixel.targets");
    const std::int64_t pixels = std::ssize(expected) / config.channels;
    std::vector<float> logits(expected.size() * 256);  // [pixels, channels, 256]
    const Tensor values = pixel_values(tape, tape.slice(output.patches, 0, pixels), config.pixel_mean(),
                                       config.pixel_deviation());
    const Tensor chosen = tape.slice(output.conditions, 0, pixels);
    for (std::int64_t channel = 0; channel < config.channels; ++channel) {
        const Tensor drawn = golden.model.pixel_level().logits(tape, chosen, values, channel);
        if (tape.planning()) continue;
        const std::vector<float> rows = read(tape, drawn);
        for (std::int64_t n = 0; n < pixels; ++n)
            std::copy_n(rows.begin() + n * 256, 256, logits.begin() + (n * config.channels + channel) * 256);
    }
    if (tape.planning()) return;
    CHECK(difference_from(golden.arrays, "eval.pixel.logits", logits) < fp32_tolerance);
    std::vector<std::int32_t> targets(static_cast<std::size_t>(pixels * config.channels));
    copy_from_tensor(tape, targets.data(), values, targets.size() * 4);
    CHECK(std::ranges::equal(targets, expected));
}

}  // namespace

DEVICE_TEST("golden fractalar_tiny: training loss and every gradient") {
    check_training(device, "fractalar_tiny", {4, 64, 1024}, false);  // one chunk a level
    check_training(device, "fractalar_tiny", {3, 7, 13}, false);     // odd chunks
    check_training(device, "fractalar_tiny", {4, 10, 16}, true);     // recomputed
}

DEVICE_TEST("golden fractalar_two_level_tiny: training loss and every gradient") {
    check_training(device, "fractalar_two_level_tiny", {4, 256}, false);  // one chunk a level
    check_training(device, "fractalar_two_level_tiny", {3, 31}, true);    // odd chunks
}

DEVICE_TEST("golden fractalmar_tiny: training loss and every gradient") {
    check_training(device, "fractalmar_tiny", {4, 64, 1024}, false);  // one chunk a level
    check_training(device, "fractalmar_tiny", {3, 7, 13}, false);     // odd chunks
    check_training(device, "fractalmar_tiny", {1, 10, 16}, true);     // recomputed
}

DEVICE_TEST("golden fractalmar_guided_tiny: training loss, guiding losses and every gradient") {
    check_training(device, "fractalmar_guided_tiny", {2, 32, 128, 2048}, false);  // one chunk a level
    check_training(device, "fractalmar_guided_tiny", {1, 7, 13, 101}, false);     // odd chunks
    check_training(device, "fractalmar_guided_tiny", {2, 5, 9, 70}, true);        // recomputed
}

// Losses to 1 %, and gradients that point the same way.
BF16_TEST("golden losses in bf16") {
    for (const std::string& name : all_goldens) {
        CAPTURE(name);
        FractalGolden golden(name, backend);
        check_losses(golden, "eval", run_loss(golden, "eval", golden.model.default_chunks(), false), 0.01);
        check_losses(golden, "train", run_loss(golden, "train", golden.model.default_chunks(), false), 0.01);
        double product = 0, ours = 0, theirs = 0;
        for (const Parameter& parameter : golden.model.parameters().all()) {
            const std::string name_in_golden = "train.grad." + parameter.name;
            const std::vector<float> gradient =
                as_stored(golden.arrays, name_in_golden, golden.gradient(parameter));
            const auto expected = stored(golden.arrays, name_in_golden);
            for (std::size_t i = 0; i < gradient.size(); ++i) {
                product += static_cast<double>(gradient[i]) * expected[i];
                ours += static_cast<double>(gradient[i]) * gradient[i];
                theirs += static_cast<double>(expected[i]) * expected[i];
            }
        }
        CHECK(product / std::sqrt(ours * theirs) > 0.999);
        CHECK(std::sqrt(ours / theirs) == doctest::Approx(1).epsilon(0.02));
    }
}

DEVICE_TEST("golden: unconditional likelihood") {
    for (const std::string& name : all_goldens) {
        CAPTURE(name);
        FractalGolden golden(name, device);
        check_losses(golden, "eval", run_loss(golden, "eval", golden.model.default_chunks(), false));
    }
}

DEVICE_TEST("golden: patches and conditions of every level, and pixel logits") {
    for (const std::string& name : all_goldens) {
        for (const std::string pass : {"train", "eval"}) {
            CAPTURE(name);
            const FractalGolden golden(name, device);
            const FractalConfig& config = golden.model.config();
            const auto images = golden.arrays.floats("images_normalized");
            const std::vector<std::int32_t> ids = condition_ids(golden, pass);
            const FractalMasks masks = golden.masks(pass);
            Tape tape(golden.device);
            const auto job = [&] {
                const Tensor image =
                    tape.create(static_cast<std::int64_t>(ids.size()),
                                config.channels * config.image_size() * config.image_size(), false);
                copy_to_tensor(tape, image, images.data(), images.size() * 4);
                LevelOutput output{image, golden.model.class_condition(tape, ids)};
                for (std::size_t level = 0; level < config.generators(); ++level) {
                    output = run_level(tape, golden, masks, level, output.patches, output.conditions);
                    const std::string prefix = pass + ".level" + std::to_string(level) + ".";
                    if (golden.arrays.contains(prefix + "patches"))
                        check_level(tape, golden, prefix, level, output);
                }
                if (pass == "eval") check_logits(tape, golden, output);
            };
            run_job(tape, plan_job(tape, job), job);
        }
    }
}
