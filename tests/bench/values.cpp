// Losses, draws, pixels, sums and the optimizer: bound by memory.
#include <fmt/format.h>

#include "kernels/layout/codes.h"
#include "kernels/layout/pixels.h"
#include "kernels/linear/reduce.h"
#include "kernels/loss/cross_entropy.h"
#include "kernels/optimizer/adamw.h"
#include "kernels/sampling/categorical.h"
#include "kernels/sampling/uniform.h"
#include "runtime/device/launch.h"
#include "tests/bench/kernels.h"

namespace {

constexpr std::int64_t C = Shapes::channels, vocabulary = Shapes::vocabulary;
constexpr float mean[C] = {0.485f, 0.456f, 0.406f}, deviation[C] = {0.229f, 0.224f, 0.225f};

// Of a masked-token transformer: the codes' logits, with label smoothing.
void add_smoothed_loss(KernelList& list) {
    const TokenGrid grid = list.shapes().token_grid;
    const std::int64_t rows = grid.tokens(), codes = list.shapes().codebook.codes;
    const std::string shape = fmt::format("{} x {}, smoothed", rows, codes);
    const double count = elements(rows, codes), a = list.activation_bytes();
    list.add("cross_entropy_forward", shape, Bound::memory, {a * count, 22 * count}, [=](Operands& in) {
        const LaunchSite on = in.site();
        float* losses = in.floats(rows);
        const ElementPointer logits = in.activations(rows * codes);
        std::int32_t* targets = in.integers(rows, static_cast<std::int32_t>(codes));
        return [=] {
            LAUNCH_ON(on.device, on.stream, cross_entropy_forward, losses, logits, targets, std::int64_t{1},
                      rows, codes, 0.1f);
        };
    });
    list.add("cross_entropy_forward_backward", shape, Bound::memory, {2 * a * count, 25 * count},
             [=](Operands& in) {
                 const LaunchSite on = in.site();
                 float* losses = in.floats(rows);
                 const ElementPointer logits = in.activations(rows * codes);
                 std::int32_t* targets = in.integers(rows, static_cast<std::int32_t>(codes));
                 return [=] {
                     LAUNCH_ON(on.device, on.stream, cross_entropy_forward_backward, losses, logits, targets,
                               std::int64_t{1}, rows, codes, 1.0f, 0.1f);
                 };
             });
}

// One channel of all pixels.
void add_losses(KernelList& list) {
    const std::int64_t pixels = list.shapes().pixels.count;
    const std::string shape = fmt::format("{} x {}", pixels, vocabulary);
    const double count = elements(pixels, vocabulary), a = list.activation_bytes();
    list.add("cross_entropy_forward", shape, Bound::memory, {a * count, 20 * count}, [=](Operands& in) {
        const LaunchSite on = in.site();
        float* losses = in.floats(pixels);
        const ElementPointer logits = in.activations(pixels * vocabulary);
        std::int32_t* targets = in.integers(pixels * C, vocabulary);
        return [=] {
            LAUNCH_ON(on.device, on.stream, cross_entropy_forward, losses, logits, targets, C, pixels,
                      vocabulary);
        };
    });
    list.add("cross_entropy_forward_backward", shape, Bound::memory, {2 * a * count, 22 * count},
             [=](Operands& in) {
                 const LaunchSite on = in.site();
                 float* losses = in.floats(pixels);
                 const ElementPointer logits = in.activations(pixels * vocabulary);
                 std::int32_t* targets = in.integers(pixels * C, vocabulary);
                 return [=] {
                     LAUNCH_ON(on.device, on.stream, cross_entropy_forward_backward, losses, logits, targets,
                               C, pixels, vocabulary, 1.0f);
                 };
             });
    add_smoothed_loss(list);
    list.add("sum_accumulate", fmt::format("{}", pixels), Bound::memory,
             {4 * elements(pixels, 1), elements(pixels, 1)}, [=](Operands& in) {
                 const LaunchSite on = in.site();
                 double* total = in.doubles(1);
                 float* losses = in.floats(pixels);
                 return [=] { LAUNCH_ON(on.device, on.stream, sum_accumulate, total, losses, pixels, 1.0); };
             });
}

void add_draw(KernelList& list, const std::string& note, const Guidance& guidance) {
    const std::int64_t rows = list.shapes().draws;
    const bool guided = guidance.scale != 1;
    list.add("categorical_sample", fmt::format("{} x {}{}", rows, vocabulary, note), Bound::memory,
             {(guided ? 8 : 4) * elements(rows, vocabulary), 0}, [=](Operands& in) {
                 const LaunchSite on = in.site();
                 std::int32_t* values = in.integers(rows, vocabulary);
                 float *margins = in.floats(rows), *uniforms = in.uniforms(rows),
                       *conditional = in.floats(rows * vocabulary),
                       *unconditional = guided ? in.floats(rows * vocabulary) : nullptr;
                 return [=] {
                     LAUNCH_ON(on.device, on.stream, categorical_sample, values, margins, conditional,
                               unconditional, uniforms, rows, vocabulary, guidance);
                 };
             });
}

// As build/sample draws: one pixel of each image at a time.
void add_draws(KernelList& list) {
    const std::int64_t rows = list.shapes().draws;
    list.add("uniform_by_sequence", fmt::format("{} x {}", C, rows), Bound::memory,
             {(4 * C + 8) * elements(rows, 1), 0}, [=](Operands& in) {
                 const LaunchSite on = in.site();
                 float* uniforms = in.floats(C * rows);
                 std::int64_t* sequence_ids = in.numbers(rows);
                 PhiloxKey* key = in.copied<PhiloxKey>({{1, 2}});
                 return [=] {
                     LAUNCH_ON(on.device, on.stream, uniform_by_sequence, uniforms, sequence_ids, rows, C,
                               key);
                 };
             });
    add_draw(list, "", {});
    add_draw(list, ", guided", {1, 3, 1e-4f, false});
}

void add_pixels(KernelList& list) {
    const std::int64_t images = list.shapes().images, size = list.shapes().image_size, plane = size * size,
                       total = images * C * plane, pixels = list.shapes().pixels.count;
    const std::string shape = fmt::format("{} x {} x {}", images, C, plane),
                      rows = fmt::format("{} x {}", pixels, C);
    const double count = static_cast<double>(total);
    list.add("normalize_pixels", shape, Bound::memory, {5 * count, 3 * count}, [=](Operands& in) {
        const LaunchSite on = in.site();
        float* normalized = in.floats(total);
        std::uint8_t* bytes = in.bytes(total, 100);
        return [=] {
            LAUNCH_ON(on.device, on.stream, normalize_pixels, normalized, bytes, mean, deviation, images, C,
                      plane);
        };
    });
    list.add("mean_pixels", shape, Bound::memory, {4 * count, count}, [=](Operands& in) {
        const LaunchSite on = in.site();
        float *means = in.floats(images * C), *pictures = in.floats(total);
        return [=] { LAUNCH_ON(on.device, on.stream, mean_pixels, means, pictures, images, C, size); };
    });
    const Cost cost{8 * elements(pixels, C), 3 * elements(pixels, C)};
    list.add("pixel_values", rows, Bound::memory, cost, [=](Operands& in) {
        const LaunchSite on = in.site();
        std::int32_t* values = in.integers(pixels * C, vocabulary);
        float* normalized = in.floats(pixels * C);
        return [=] {
            LAUNCH_ON(on.device, on.stream, pixel_values, values, normalized, mean, deviation, pixels, C);
        };
    });
    list.add("normalize_values", rows, Bound::memory, cost, [=](Operands& in) {
        const LaunchSite on = in.site();
        std::int32_t* values = in.integers(pixels * C, vocabulary);
        float* normalized = in.floats(pixels * C);
        return [=] {
            LAUNCH_ON(on.device, on.stream, normalize_values, normalized, values, mean, deviation, nullptr,
                      pixels, C);
        };
    });
    const double moved = 8 * static_cast<double>(pixels);
    list.add("codes_to_float", fmt::format("{}", pixels), Bound::memory, {moved, 0}, [=](Operands& in) {
        const LaunchSite on = in.site();
        float* y = in.floats(pixels);
        std::int32_t* codes = in.integers(pixels, vocabulary);
        return [=] { LAUNCH_ON(on.device, on.stream, codes_to_float, y, codes, pixels); };
    });
    list.add("float_to_codes", fmt::format("{}", pixels), Bound::memory, {moved, 0}, [=](Operands& in) {
        const LaunchSite on = in.site();
        std::int32_t* codes = in.integers(pixels, vocabulary);
        float* x = in.floats(pixels);
        return [=] { LAUNCH_ON(on.device, on.stream, float_to_codes, codes, x, pixels); };
    });
}

// The optimizer's update of all parameters. In bf16 it also writes them rounded.
void add_optimizer(KernelList& list) {
    const std::int64_t total = list.shapes().parameters;
    const bool rounds = list.precision() == Precision::bf16;
    const double count = static_cast<double>(total);
    const std::string shape = fmt::format("{}", total);
    list.add("adamw_update", shape, Bound::memory, {(rounds ? 30 : 28) * count, 26 * count},
             [=](Operands& in) {
                 const LaunchSite on = in.site();
                 float *parameter = in.floats(total), *first = in.floats(total), *second = in.uniforms(total),
                       *gradient = in.floats(total);
                 bf16* rounded = rounds ? in.rounded(total) : nullptr;
                 const AdamW rule{1e-3f, 0.9f, 0.95f, 1e-8f, 0.05f, 0.1f, 0.05f, 1.0f, in.doubles(1)};
                 return [=] {
                     LAUNCH_ON(on.device, on.stream, adamw_update, parameter, rounded, first, second,
                               gradient, total, rule);
                 };
             });
    list.add("ema_update", shape, Bound::memory, {12 * count, 2 * count}, [=](Operands& in) {
        const LaunchSite on = in.site();
        float *average = in.floats(total), *parameter = in.floats(total);
        return [=] { LAUNCH_ON(on.device, on.stream, ema_update, average, parameter, total, 0.999f); };
    });
    list.add("squared_norm_accumulate", shape, Bound::memory, {4 * count, 2 * count}, [=](Operands& in) {
        const LaunchSite on = in.site();
        const std::int64_t parts = SIZE_ON(on.device, squared_norm_workspace);
        double *norm = in.doubles(1), *workspace = in.doubles(parts);
        float* gradient = in.floats(total);
        return [=] {
            LAUNCH_ON(on.device, on.stream, squared_norm_accumulate, norm, workspace, gradient, total);
        };
    });
}

void add_bias_gradient(KernelList& list) {
    const std::int64_t rows = list.shapes().bias_rows, width = list.shapes().bias_width;
    const double count = elements(rows, width);
    list.add("column_sum_accumulate", fmt::format("{} x {}", rows, width), Bound::memory,
             {list.activation_bytes() * count, count}, [=](Operands& in) {
                 const LaunchSite on = in.site();
                 float *sums = in.floats(width),
                       *workspace = in.floats(SIZE_ON(on.device, column_sum_workspace, width));
                 const ElementPointer x = in.activations(rows * width);
                 return [=] {
                     LAUNCH_ON(on.device, on.stream, column_sum_accumulate, sums, workspace, x, width, rows,
                               width);
                 };
             });
}

}  // namespace

void add_values(KernelList& list) {
    add_losses(list);
    add_draws(list);
    add_pixels(list);
    add_optimizer(list);
    add_bias_gradient(list);
}
