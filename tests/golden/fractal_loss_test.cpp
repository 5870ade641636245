// Losses, conditions, logits and every gradient against the authors' release.
#include "runtime/image_ops.h"
#include "tests/golden/fractal_golden.h"

namespace {

constexpr double tolerance = 1e-5;

struct LossResult {
    std::vector<double> totals;
    double pixels;
};

// One pass over the golden's images; labels -1 mean unconditional.
LossResult run_loss(FractalGolden& golden, bool training, const ChunkSizes& chunks, bool recomputed) {
    const FractalConfig& config = golden.model.config();
    const auto images = golden.arrays.bytes_u8("images_u8");
    const auto labels = golden.arrays.integers("labels");
    const auto batch = static_cast<std::int64_t>(labels.size());
    const std::int64_t C = config.channels, dims = C * config.image_size() * config.image_size();
    const double pixels = static_cast<double>(batch * dims / C);
    std::vector<std::int32_t> ids;
    for (const std::int64_t label : labels)
        ids.push_back(training ? static_cast<std::int32_t>(label) + 1 : 0);
    const std::vector<float> scales = channel_scales(C, training ? 5.0 : 1.0, pixels);
    LossResult result{std::vector<double>(static_cast<std::size_t>(C)), pixels};
    Tape tape(golden.device);
    tape.arena().poison_released(true);
    tape.set_recording(training);
    golden.model.parameters().zero_gradients();
    const auto job = [&] {
        const Tensor bytes = tape.create(batch, dims, false, 1), id = tape.create(batch, 1, false, 4),
                     paths = tape.create(batch, 1, false, 8), totals = tape.create(1, C, false, 8);
        copy_to_tensor(tape, bytes, images.data(), images.size());
        copy_to_tensor(tape, id, ids.data(), ids.size() * 4);
        zero_tensor(tape, paths);
        zero_tensor(tape, totals);
        PassRule rule;
        rule.recompute = recomputed;
        golden.model.loss(tape, normalize_pixels(tape, bytes, config.pixel_mean(), config.pixel_deviation()),
                          id, paths, scales, totals, rule, chunks);
        copy_from_tensor(tape, result.totals.data(), totals, result.totals.size() * 8);
    };
    const Plan plan = plan_job(tape, job);
    run_job(tape, plan, job);
    CHECK(tape.arena().used_bytes() == plan.bytes);
    CHECK(tape.live_nodes() == 0);
    return result;
}

double mean_loss(const LossResult& result, double red_weight) {
    double loss = 0;
    for (std::size_t c = 0; c < result.totals.size(); ++c)
        loss += result.totals[c] * (c == 0 ? red_weight : 1.0);
    return loss / (result.pixels * (red_weight + static_cast<double>(result.totals.size() - 1)));
}

void check_training(Device device, const std::string& name, const ChunkSizes& chunks, bool recomputed) {
    CAPTURE(chunks.back());
    CAPTURE(recomputed);
    FractalGolden golden(name, device);
    const LossResult result = run_loss(golden, true, chunks, recomputed);
    CHECK(mean_loss(result, 5) == doctest::Approx(golden.arrays.floats("train.loss")[0]).epsilon(tolerance));
    for (const Parameter& parameter : golden.model.parameters().all()) {
        CAPTURE(parameter.name);
        CHECK(relative_difference(golden.gradient(parameter),
                                  golden.arrays.floats("train.grad." + parameter.name)) < tolerance);
    }
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

DEVICE_TEST("golden: unconditional likelihood") {
    for (const char* name : {"fractalar_tiny", "fractalar_two_level_tiny"}) {
        CAPTURE(name);
        FractalGolden golden(name, device);
        const LossResult result = run_loss(golden, false, golden.model.default_chunks(), false);
        CHECK(mean_loss(result, 1) ==
              doctest::Approx(golden.arrays.floats("eval.loss")[0]).epsilon(tolerance));
    }
}

DEVICE_TEST("golden: conditions of every level and pixel logits") {
    for (const std::string name : {"fractalar_tiny", "fractalar_two_level_tiny"}) {
        CAPTURE(name);
        FractalGolden golden(name, device);
        const FractalConfig& config = golden.model.config();
        const auto images = golden.arrays.floats("images_normalized");
        const auto batch = static_cast<std::int64_t>(golden.arrays.integers("labels").size());
        const std::size_t last = config.generators() - 1;
        Tape tape(device);
        std::vector<std::vector<float>> conditions(config.generators()), patches(config.generators());
        const auto job = [&] {
            Tensor image =
                tape.create(batch, config.channels * config.image_size() * config.image_size(), false);
            copy_to_tensor(tape, image, images.data(), images.size() * 4);
            const Tensor ids = tape.create(batch, 1, false, 4);
            zero_tensor(tape, ids);
            Tensor condition = golden.model.class_condition(tape, ids);
            for (std::size_t level = 0; level <= last; ++level) {
                image = patchify(tape, image, config.channels, config.img_size_list[level],
                                 config.patch_size(level));
                condition = golden.model.generator(level).forward(tape, image, condition, Tensor(), {});
                conditions[level].resize(static_cast<std::size_t>(condition.rows() * condition.width()));
                patches[level].resize(static_cast<std::size_t>(image.rows() * image.width()));
                copy_from_tensor(tape, conditions[level].data(), condition, conditions[level].size() * 4);
                copy_from_tensor(tape, patches[level].data(), image, patches[level].size() * 4);
            }
            const auto expected = golden.arrays.floats("eval.pixel.logits");
            const auto pixels = static_cast<std::int64_t>(expected.size()) / (config.channels * 256);
            const Tensor values = pixel_values(tape, tape.slice(image, 0, pixels), config.pixel_mean(),
                                               config.pixel_deviation());
            const Tensor chosen = tape.slice(condition, 0, pixels);
            for (std::int64_t channel = 0; channel < config.channels; ++channel) {
                std::vector<float> logits(static_cast<std::size_t>(pixels * 256)), reference;
                copy_from_tensor(tape, logits.data(),
                                 golden.model.pixel_level().logits(tape, chosen, values, channel),
                                 logits.size() * 4);
                for (std::int64_t n = 0; n < pixels; ++n) {
                    const auto row = expected.subspan(
                        static_cast<std::size_t>((n * config.channels + channel) * 256), 256);
                    reference.insert(reference.end(), row.begin(), row.end());
                }
                if (!tape.planning()) CHECK(relative_difference(logits, reference) < tolerance);
            }
            std::vector<std::int32_t> targets(static_cast<std::size_t>(pixels * config.channels));
            copy_from_tensor(tape, targets.data(), values, targets.size() * 4);
            if (!tape.planning())
                CHECK(std::ranges::equal(targets, golden.arrays.integers("eval.pixel.targets")));
        };
        run_job(tape, plan_job(tape, job), job);
        for (std::size_t level = 0; level <= last; ++level) {
            CAPTURE(level);
            const std::string prefix = "eval.level" + std::to_string(level) + ".";
            CHECK(relative_difference(patches[level], golden.arrays.floats(prefix + "patches")) < tolerance);
            CHECK(relative_difference(conditions[level], golden.arrays.floats(prefix + "cond.0")) <
                  tolerance);
        }
    }
}
