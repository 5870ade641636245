// A MAR level in one kernel against the separate kernels that it replaces, on the GPU in bf16.
#include "models/fractal/mar_level.h"

#include "runtime/ops/mar_level_ops.h"
#include "runtime/ops/row_ops.h"
#include "tests/unit/kernels/check_values.h"
#include "tests/unit/models/device_model.h"

using namespace device_model;

namespace {

// Levels of 64 columns a head, the last above the pixels.
FractalConfig level_config(std::int64_t heads, std::int64_t blocks, std::int64_t conditions, bool guiding) {
    FractalConfig config{{8, 4, 1},
                         {32, 64 * heads, 16},
                         {1, blocks, 1},
                         {2, heads, 2},
                         {"mar", "mar", "ar"},
                         conditions,
                         guiding,
                         5,
                         3};
    config.validate("test");
    return config;
}

// The device's: from compute capability 9.0 on.
bool has_clusters() {
    const auto cpu = random_fractal::random_model(level_config(1, 1, 1, false));
    const auto gpu = on_gpu(*cpu, Precision::bf16);
    Tape tape(gpu->backend());
    const bool fits = gpu->mar_level(1).fits_one_kernel(tape, 1);
#if __has_include("emulated/runtime_calls.h")
    CHECK(fits == (emulator::emulated_device().major >= 9));
#endif
    return fits;
}
constexpr const char* no_clusters = "no clusters of blocks on this GPU";

// By separate kernels, and in one kernel.
struct Outputs {
    std::vector<float> separate, together;
};

// Conditions of some patches, of random inputs, every third patch being hidden.
Outputs outputs_of(const FractalModel& model, std::int64_t rows) {
    const FractalConfig& config = model.config();
    const MarLevel& level = model.mar_level(1);
    const std::int64_t L = config.tokens(1), C = config.channels;
    Tape tape(model.backend());
    CHECK(level.fits_one_kernel(tape, rows));
    const auto random = [&](std::int64_t height, std::int64_t width, unsigned seed) {
        const Tensor tensor = tape.create(height, width, false);
        const auto values = kernel_check::uniform(height * width, seed);
        copy_to_tensor(tape, tensor, values.data(), values.size() * sizeof(float));
        return tensor;
    };
    Outputs outputs;
    const auto read = [&](const Tensor& x, std::vector<float>& to) {
        const Tensor floats = to_f32(tape, x);
        if (tape.planning()) return;
        to.resize(static_cast<std::size_t>(floats.rows() * floats.width()));
        copy_from_tensor(tape, to.data(), floats, to.size() * sizeof(float));
    };
    const auto job = [&] {
        const Tensor packed = level.pack_for_sampling(tape), patches = random(rows * L, C, 1),
                     conditions = random(rows, config.conditions(1) * config.condition_width(1), 2),
                     pixel = config.guides(1) ? random(rows, C, 3) : Tensor(),
                     mask = tape.create(rows, L, false, Element::u8);
        std::vector<std::uint8_t> hidden(static_cast<std::size_t>(rows * L));
        for (std::size_t i = 0; i < hidden.size(); ++i) hidden[i] = i % 3 == 0;
        copy_to_tensor(tape, mask, hidden.data(), hidden.size());
        const MarLevel::Prefix prefix = level.prefix(tape, conditions, pixel);
        // Corners, a border and the middle; of the first sequence two, of others one or none.
        std::vector<std::int32_t> drawn{0};
        for (std::int64_t patch = 5; patch < rows * L; patch += L - 1)
            drawn.push_back(static_cast<std::int32_t>(patch));
        const Tensor selected = device_copy(tape, drawn, static_cast<std::int64_t>(drawn.size()));
        read(neighbour_conditions(tape, level.forward(tape, patches, prefix, mask, Tensor(), {}), selected,
                                  Tensor(), level.neighbours()),
             outputs.separate);
        read(level.sampling_conditions(tape, patches, prefix, mask, selected, packed), outputs.together);
    };
    const Plan plan = plan_job(tape, job);
    run_job(tape, plan, job);
    return outputs;
}

}  // namespace

CUDA_TEST("level in one kernel: outputs are those of separate kernels") {
    if (!has_clusters()) return skip_test(no_clusters);
    struct Case {
        std::int64_t heads, blocks, conditions;
        bool guiding;
        std::int64_t sequences;
    };
    for (const Case& each :
         {Case{1, 1, 1, false, 1}, Case{1, 3, 5, true, 6}, Case{2, 2, 5, true, 2}, Case{4, 2, 5, true, 2}}) {
        CAPTURE(each.heads);
        const auto cpu = random_fractal::random_model(
            level_config(each.heads, each.blocks, each.conditions, each.guiding));
        const auto gpu = on_gpu(*cpu, Precision::bf16);
        const Outputs outputs = outputs_of(*gpu, each.sequences);
        REQUIRE(outputs.separate.size() == outputs.together.size());
        double largest = 0, squares = 0, norm = 0;
        for (std::size_t i = 0; i < outputs.separate.size(); ++i) {
            const double x = outputs.separate[i], difference = outputs.together[i] - x;
            largest = std::max(largest, std::abs(difference) / std::max(1.0, std::abs(x)));
            squares += difference * difference;
            norm += x * x;
        }
        // Roundings to bf16, of relative error 2^-9, fall otherwise where sums differ in their order, or GELU.
        CHECK(std::sqrt(squares / norm) < 0.004);
        CHECK(largest < 0.016);
    }
}

CUDA_TEST("level in one kernel: a sequence's bits do not depend on the others") {
    if (!has_clusters()) return skip_test(no_clusters);
    const auto cpu = random_fractal::random_model(level_config(1, 2, 5, true));
    const auto gpu = on_gpu(*cpu, Precision::bf16);
    // Two drawn patches of the first sequence, in both.
    const std::vector<float> one = outputs_of(*gpu, 1).together, two = outputs_of(*gpu, 2).together;
    CHECK(std::equal(one.begin(), one.end(), two.begin()));
}

namespace {

Drawn draw_one(const FractalModel& model, bool keeps_draws) {
    SampleRule rule;
    rule.guidance = 2.5f;
    FractalSampler sampler(model, 1, true, iterations(model.config()));
    sampler.keep_draws(keeps_draws);
    Drawn drawn;
    drawn.images = random_fractal::drawn_values(model.config(), sampler, first_labels(1), rule);
    drawn.draws = sampler.draws();
    return drawn;
}

}  // namespace

CUDA_TEST("level in one kernel: the sampler draws through it, with and without recorded graphs") {
    if (!has_clusters()) return skip_test(no_clusters);
    [[maybe_unused]] const HostAccessAllowed open;
    const auto cpu = random_fractal::random_model(level_config(1, 1, 5, true));
    const auto gpu = on_gpu(*cpu, Precision::bf16);
    const Drawn together = draw_one(*gpu, true);
    CHECK(draw_one(*gpu, false).images == together.images);
#if __has_include("emulated/runtime_calls.h")
    // A card without clusters takes separate kernels: the first draw that differs is of a number near an edge.
    const emulator::EmulatedDevice before = emulator::emulated_device();
    emulator::emulated_device().major = 8;
    const Drawn separate = draw_one(*gpu, true);
    emulator::emulated_device() = before;
    REQUIRE(separate.draws.size() == together.draws.size());
    for (std::size_t i = 0; i < separate.draws.size(); ++i) {
        const DrawRecord &a = separate.draws[i], &b = together.draws[i];
        REQUIRE(a.uniform == b.uniform);
        if (a.value == b.value) continue;
        CHECK(std::min(a.margin, b.margin) < 0.01f);
        break;
    }
#endif
}
