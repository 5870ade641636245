#include "tests/bench/shapes.h"

#include <fmt/format.h>

std::string LinearShape::text() const {
    return fmt::format("{} rows, {} -> {}", rows, K, N);
}

const Shapes& cpu_shapes() {
    static const Shapes shapes{
        .linear = {{2048, 768, 256},
                   {2048, 256, 256},
                   {2048, 1536, 256},
                   {2048, 256, 768},
                   {2048, 384, 128},
                   {2048, 128, 128},
                   {2048, 1024, 128},
                   {2048, 128, 512},
                   {2049, 192, 64},
                   {2049, 64, 64},
                   {2049, 64, 256}},
        .packed = {{16, 768, 256}, {16, 1536, 256}, {16, 256, 768}, {16, 384, 128}, {16, 1024, 128}},
        .attention = {{32, 64, 8, 32, true}, {128, 16, 4, 32, true}, {683, 3, 2, 32, true}},
        .decode = {{16, 8, 32, 64}, {16, 4, 32, 16}, {16, 2, 32, 3}},
        .level = {.sequences = 128, .grid = 4, .width = 128, .hidden = 512, .heads = 4},
        .pixels = {.count = 683, .width = 64, .hidden = 256},
        .masked = {.M = 128, .L = 16, .n = 5, .guided = true, .D = 128},
        .pixel_draws = {16},
        .pixel_sampler = {.channels = 3, .width = 64, .condition_width = 128, .blocks = 2, .heads = 2},
        .draws = 16,
        .images = 32,
        .image_size = 32,
        .patch_size = 4,
        .parameters = 6'195'392,
        .bias_rows = 2048,
        .bias_width = 384,
        .conv2d = {{16, 32, 32, 32, 32, 3, 3, 1, 1, 1},
                   {16, 16, 16, 64, 64, 3, 3, 1, 1, 1},
                   {16, 8, 8, 64, 64, 3, 3, 1, 1, 1},
                   {16, 32, 32, 3, 32, 3, 3, 1, 1, 1},
                   {16, 16, 16, 32, 64, 4, 4, 2, 1, 1}},
        .groupnorm = {{16, 1024, 32, 32}, {16, 256, 64, 32}, {16, 1024, 128, 32}},
        .resample = {16, 16, 16, 64},
        .codebook = {.vectors = 1024, .codes = 512, .width = 64},
        .token_grid = {16, 8, 2},
        .token_width = 192,
    };
    return shapes;
}

const Shapes& gpu_shapes() {
    static const Shapes shapes{
        .linear = {{65536, 3072, 1024},
                   {65536, 1024, 1024},
                   {65536, 5632, 1024},
                   {65536, 1024, 2816},
                   {131072, 1536, 512},
                   {131072, 512, 512},
                   {131072, 3072, 512},
                   {131072, 512, 1536},
                   {1572864, 384, 128},
                   {1572864, 128, 128},
                   {1572864, 128, 512}},
        .packed = {{16, 3072, 1024}, {16, 5632, 1024}, {16, 1024, 2816}, {256, 3072, 1024}, {16, 1536, 512}},
        .attention = {{256, 256, 16, 64, true},
                      {100'000, 16, 8, 64, true},
                      {100'000, 17, 8, 64, false},
                      {100'000, 22, 8, 64, false},
                      {524'288, 3, 4, 32, true},
                      {16, 4096, 16, 64, false}},
        .decode = {{256, 16, 64, 256}, {4096, 8, 64, 16}, {16, 16, 64, 256}},
        .level = {.sequences = 8192, .grid = 4, .width = 512, .hidden = 1536, .heads = 8},
        .pixels = {.count = 524'288, .width = 128, .hidden = 512},
        .masked = {.M = 8192, .L = 16, .n = 5, .guided = true, .D = 512},
        .pixel_draws = {16, 256, 4096, 65536},
        .pixel_sampler = {.channels = 3, .width = 128, .condition_width = 512, .blocks = 3, .heads = 4},
        .draws = 524'288,
        .images = 4096,
        .image_size = 64,
        .patch_size = 4,
        .parameters = 442'000'000,
        .bias_rows = 131072,
        .bias_width = 1536,
        .conv2d = {{16, 256, 256, 128, 128, 3, 3, 1, 1, 1},
                   {16, 64, 64, 256, 256, 3, 3, 1, 1, 1},
                   {16, 16, 16, 512, 512, 3, 3, 1, 1, 1},
                   {16, 256, 256, 3, 128, 3, 3, 1, 1, 1},
                   {16, 128, 128, 64, 128, 4, 4, 2, 1, 1}},
        .groupnorm = {{16, 65536, 128, 32}, {16, 4096, 256, 32}, {16, 256, 512, 32}},
        .resample = {16, 128, 128, 128},
        .codebook = {.vectors = 65536, .codes = 1024, .width = 256},
        .token_grid = {256, 16, 2},
        .token_width = 768,
    };
    return shapes;
}

const Shapes& smoke_shapes() {
    static const Shapes shapes{
        .linear = {{24, 48, 16}},
        .packed = {{4, 48, 16}},
        .attention = {{2, 5, 2, 16, true}, {3, 22, 1, 16, false}},
        .decode = {{2, 2, 16, 5}},
        .level = {.sequences = 3, .grid = 2, .width = 16, .hidden = 32, .heads = 2},
        .pixels = {.count = 8, .width = 16, .hidden = 64},
        .masked = {.M = 2, .L = 4, .n = 5, .guided = true, .D = 16},
        .pixel_draws = {2},
        .pixel_sampler = {.channels = 3, .width = 16, .condition_width = 16, .blocks = 1, .heads = 2},
        .draws = 2,
        .images = 2,
        .image_size = 8,
        .patch_size = 4,
        .parameters = 300,
        .bias_rows = 24,
        .bias_width = 48,
        .conv2d = {{2, 6, 6, 8, 16, 3, 3, 1, 1, 1}, {2, 6, 6, 8, 16, 4, 4, 2, 1, 1}},
        .groupnorm = {{2, 36, 32, 32}},
        .resample = {2, 3, 3, 8},
        .codebook = {.vectors = 8, .codes = 16, .width = 8},
        .token_grid = {2, 4, 2},
        .token_width = 16,
    };
    return shapes;
}
