// Everything that moves rows, pixels or parameters: bound by memory.
#include <fmt/format.h>

#include <numeric>

#include "kernels/adamw.h"
#include "kernels/categorical.h"
#include "kernels/cross_entropy.h"
#include "kernels/embedding.h"
#include "kernels/gather.h"
#include "kernels/patchify.h"
#include "kernels/pixels.h"
#include "kernels/reduce.h"
#include "kernels/sequence.h"
#include "kernels/uniform.h"
#include "tests/bench/benchmarks.h"
#include "tests/bench/numbers.h"

namespace {

constexpr std::int64_t pixels = 682, channels = 3, vocabulary = 256, pixel_width = 64;
constexpr std::int64_t sequences = 128, length = 16, width = 128, patch_values = 48;

void bench_sequences(Table& table) {
    const std::string shape = fmt::format("{} x {} x {}", sequences, length, width);
    constexpr double count = sequences * length * width;
    const auto condition = random_floats(sequences * width),
               tokens = random_floats(sequences * (length - 1) * width),
               positions = random_floats(length * width), dx = random_floats(sequences * length * width);
    auto x = dx, d_condition = condition, d_tokens = tokens, d_positions = positions,
         workspace = zero_floats(cpu::level_sequence_backward_workspace(sequences, length, width));
    table.kernel("level_sequence_forward", shape, Bound::memory, 8 * count, [&] {
        cpu::level_sequence_forward(x.data(), condition.data(), tokens.data(), positions.data(), sequences,
                                    length, width);
    });
    table.kernel("level_sequence_backward", shape, Bound::memory, 8 * count, [&] {
        cpu::level_sequence_backward(d_condition.data(), d_tokens.data(), d_positions.data(),
                                     workspace.data(), dx.data(), sequences, length, width);
    });
}

void bench_gather(Table& table) {
    // Dropping the last of the 64 patches of 32 images.
    constexpr std::int64_t images = 32, L = 64;
    const auto patches = random_floats(images * L * patch_values);
    auto kept = patches;
    table.kernel("copy_rows", fmt::format("{} x {} of {} x {}", images, L - 1, L, patch_values),
                 Bound::memory, 8.0 * images * (L - 1) * patch_values, [&] {
                     cpu::copy_rows(kept.data(), (L - 1) * patch_values, patches.data(), L * patch_values,
                                    images, (L - 1) * patch_values);
                 });
}

void bench_embedding(Table& table) {
    const std::string shape = fmt::format("{} rows of {} x {}", pixels, vocabulary, pixel_width);
    constexpr double count = pixels * pixel_width;
    const auto ids = random_integers(pixels * channels, vocabulary);
    auto codebook = random_floats(vocabulary * pixel_width),
         x = random_floats(pixels * channels * pixel_width);
    table.kernel("embedding_forward", shape, Bound::memory, 8 * count, [&] {
        cpu::embedding_forward(x.data(), channels * pixel_width, codebook.data(), ids.data(), channels,
                               pixels, pixel_width);
    });
    table.kernel("embedding_backward", shape, Bound::memory, 4 * count, [&] {
        cpu::embedding_backward(codebook.data(), nullptr, x.data(), channels * pixel_width, ids.data(),
                                channels, pixels, vocabulary, pixel_width);
    });
}

void bench_losses(Table& table) {
    const std::string shape = fmt::format("{} x {}", pixels, vocabulary);
    constexpr double count = pixels * vocabulary;
    const auto targets = random_integers(pixels * channels, vocabulary);
    auto logits = random_floats(pixels * vocabulary), losses = zero_floats(pixels);
    table.kernel("cross_entropy_forward", shape, Bound::memory, 4 * count, [&] {
        cpu::cross_entropy_forward(losses.data(), logits.data(), targets.data(), channels, pixels,
                                   vocabulary);
    });
    table.kernel("cross_entropy_forward_backward", shape, Bound::memory, 8 * count, [&] {
        cpu::cross_entropy_forward_backward(losses.data(), logits.data(), targets.data(), channels, pixels,
                                            vocabulary, 1.0f);
    });
    double total = 0;
    table.kernel("sum_accumulate", fmt::format("{}", pixels), Bound::memory, 4.0 * pixels,
                 [&] { cpu::sum_accumulate(&total, losses.data(), pixels, 1.0); });
}

// As build/sample draws 16 images: one pixel of each at a time.
void bench_draws(Table& table) {
    constexpr std::int64_t images = 16;
    const auto conditional = random_floats(images * vocabulary), unconditional = conditional;
    std::vector<std::int32_t> values(images);
    std::vector<std::int64_t> paths(images);
    auto uniforms = zero_floats(images), margins = uniforms;
    table.kernel("uniform_by_path", fmt::format("{}", images), Bound::memory, 12.0 * images, [&] {
        cpu::uniform_by_path(uniforms.data(), paths.data(), images, 0, {1, 2});
    });
    table.kernel("categorical_sample", fmt::format("{} x {}", images, vocabulary), Bound::memory,
                 4.0 * images * vocabulary, [&] {
                     cpu::categorical_sample(values.data(), margins.data(), conditional.data(), nullptr,
                                             uniforms.data(), images, vocabulary, {});
                 });
    const Guidance guidance{1, 3, 1e-4f, false};
    table.kernel("categorical_sample", fmt::format("{} x {}, guided", images, vocabulary), Bound::memory,
                 8.0 * images * vocabulary, [&] {
                     cpu::categorical_sample(values.data(), margins.data(), conditional.data(),
                                             unconditional.data(), uniforms.data(), images, vocabulary,
                                             guidance);
                 });
}

void bench_pixels(Table& table) {
    constexpr std::int64_t images = 32, plane = 32 * 32, count = images * channels * plane;
    constexpr float mean[channels] = {0.485f, 0.456f, 0.406f}, deviation[channels] = {0.229f, 0.224f, 0.225f};
    const std::string shape = fmt::format("{} x {} x {}", images, channels, plane),
                      rows = fmt::format("{} x {}", pixels, channels);
    const std::vector<std::uint8_t> bytes(count, 100);
    auto normalized = zero_floats(count);
    std::vector<std::int32_t> values(pixels * channels);
    table.kernel("normalize_pixels", shape, Bound::memory, 5.0 * count, [&] {
        cpu::normalize_pixels(normalized.data(), bytes.data(), mean, deviation, images, channels, plane);
    });
    table.kernel("pixel_values", rows, Bound::memory, 8.0 * pixels * channels, [&] {
        cpu::pixel_values(values.data(), normalized.data(), mean, deviation, pixels, channels);
    });
    table.kernel("normalize_values", rows, Bound::memory, 8.0 * pixels * channels, [&] {
        cpu::normalize_values(normalized.data(), values.data(), mean, deviation, pixels, channels);
    });
}

void bench_patches(Table& table) {
    constexpr std::int64_t images = 32, size = 32, patch = 4, count = images * channels * size * size;
    const std::string shape = fmt::format("{} x {} x {} x {}", images, channels, size, size);
    auto pictures = random_floats(count), patches = random_floats(count);
    table.kernel("patchify", shape, Bound::memory, 8.0 * count,
                 [&] { cpu::patchify(patches.data(), pictures.data(), images, channels, size, patch); });
    table.kernel("unpatchify", shape, Bound::memory, 8.0 * count,
                 [&] { cpu::unpatchify(pictures.data(), patches.data(), images, channels, size, patch); });
}

// All parameters at once, as far as the optimizer is concerned; the gradient of a bias.
void bench_parameters(Table& table) {
    constexpr std::int64_t count = 6'195'392, rows = 2048, columns = 384;
    const std::string shape = fmt::format("{}", count);
    const auto gradient = random_floats(count);
    auto parameter = gradient, first = gradient, second = gradient, average = gradient;
    for (float& value : second) value *= value;
    double norm = 1;
    const AdamW rule{1e-3f, 0.9f, 0.95f, 1e-8f, 0.05f, 0.1f, 0.05f, 1.0f, &norm};
    table.kernel("adamw_update", shape, Bound::memory, 28.0 * count, [&] {
        cpu::adamw_update(parameter.data(), nullptr, first.data(), second.data(), gradient.data(), count,
                          rule);
    });
    table.kernel("ema_update", shape, Bound::memory, 12.0 * count,
                 [&] { cpu::ema_update(average.data(), gradient.data(), count, 0.999f); });
    double total = 0;
    std::vector<double> parts(static_cast<std::size_t>(cpu::squared_norm_workspace()));
    table.kernel("squared_norm_accumulate", shape, Bound::memory, 4.0 * count,
                 [&] { cpu::squared_norm_accumulate(&total, parts.data(), gradient.data(), count); });
    auto sums = zero_floats(columns), workspace = zero_floats(cpu::column_sum_workspace(columns));
    table.kernel("column_sum_accumulate", fmt::format("{} x {}", rows, columns), Bound::memory,
                 4.0 * rows * columns, [&] {
                     cpu::column_sum_accumulate(sums.data(), workspace.data(), gradient.data(), columns, rows,
                                                columns);
                 });
}

}  // namespace

void bench_rows(Table& table) {
    bench_sequences(table);
    bench_gather(table);
    bench_embedding(table);
    bench_losses(table);
    bench_draws(table);
    bench_pixels(table);
    bench_patches(table);
    bench_parameters(table);
}
