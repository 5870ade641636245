// Tokens of images: from vectors to codes and back, and the draws of parallel decoding.
#include <fmt/format.h>

#include "kernels/layout/nearest_code.h"
#include "kernels/layout/quantise.h"
#include "kernels/sampling/remask.h"
#include "kernels/sampling/token_draw.h"
#include "runtime/device/launch.h"
#include "tests/bench/kernels.h"

namespace {

void add_codebook(KernelList& list) {
    const auto [vectors, codes, width] = list.shapes().codebook;
    const double count = elements(vectors, width), book = elements(codes, width);
    const std::string text = fmt::format("{} x {}", vectors, width);
    list.add("nearest_code", fmt::format("{}, {} codes", text, codes), Bound::arithmetic,
             {4 * (count + book), 3 * elements(vectors, 1) * book}, [=](Operands& in) {
                 const LaunchSite on = in.site();
                 std::int32_t* found = in.integers(vectors, 1);
                 float *z = in.floats(vectors * width), *codebook = in.floats(codes * width),
                       *workspace = in.floats(SIZE_ON(on.device, nearest_code_workspace, codes, width));
                 return [=] {
                     LAUNCH_ON(on.device, on.stream, nearest_code, found, workspace, z, codebook, vectors,
                               codes, width);
                 };
             });
    list.add("quantise_forward", text, Bound::memory, {8 * count, 4 * count}, [=](Operands& in) {
        const LaunchSite on = in.site();
        float *y = in.floats(vectors * width), *z = in.floats(vectors * width), *squares = in.floats(vectors),
              *codebook = in.floats(codes * width);
        std::int32_t* chosen = in.integers(vectors, static_cast<std::int32_t>(codes));
        return [=] {
            LAUNCH_ON(on.device, on.stream, quantise_forward, y, squares, z, codebook, chosen, vectors,
                      width);
        };
    });
    list.add("quantise_backward", text, Bound::memory, {16 * count, 5 * count}, [=](Operands& in) {
        const LaunchSite on = in.site();
        float *dz = in.floats(vectors * width), *d_rows = in.floats(vectors * width),
              *dy = in.floats(vectors * width), *z = in.floats(vectors * width),
              *codebook = in.floats(codes * width);
        std::int32_t* chosen = in.integers(vectors, static_cast<std::int32_t>(codes));
        return [=] {
            LAUNCH_ON(on.device, on.stream, quantise_backward, dz, d_rows, dy, z, codebook, chosen, 2.0f,
                      0.5f, vectors, width);
        };
    });
}

// Of patches of 2 x 2 tokens.
void add_token_patches(KernelList& list) {
    const TokenGrid grid = list.shapes().token_grid;
    const std::int64_t tokens = grid.tokens(), width = list.shapes().token_width;
    const std::string text = fmt::format("{} x {}", grid.images, grid.side * grid.side);
    list.add("ids_to_patches", text, Bound::memory, {8 * elements(tokens, 1), 0}, [=](Operands& in) {
        const LaunchSite on = in.site();
        std::int32_t *y = in.integers(tokens, 2), *x = in.integers(tokens, 2);
        return [=] { LAUNCH_ON(on.device, on.stream, ids_to_patches, y, x, grid); };
    });
    list.add("patches_to_raster", fmt::format("{} x {}", text, width), Bound::memory,
             {8 * elements(tokens, width), 0}, [=](Operands& in) {
                 const LaunchSite on = in.site();
                 float *y = in.floats(tokens * width), *x = in.floats(tokens * width);
                 return [=] { LAUNCH_ON(on.device, on.stream, patches_to_raster, y, x, grid, width); };
             });
}

// One step: every position draws, the least confident half of them is masked again.
void add_decoding(KernelList& list) {
    const auto [images, side, patch] = list.shapes().token_grid;
    const std::int64_t N = side * side, rows = images * N, K = list.shapes().codebook.codes;
    const DecodingStep values{
        .remasked = static_cast<std::int32_t>(N / 2), .remask_temperature = 1, .guidance_scale = 2};
    const std::string text = fmt::format("{} x {}", images, N);
    list.add("token_noise", text, Bound::memory, {8 * elements(rows, 1), 0}, [=](Operands& in) {
        const LaunchSite on = in.site();
        float *uniforms = in.floats(rows), *gumbel = in.floats(rows);
        std::int64_t* numbers = in.numbers(images);
        PhiloxKey* key = in.copied<PhiloxKey>({{1, 2}});
        return [=] {
            LAUNCH_ON(on.device, on.stream, token_noise, uniforms, gumbel, numbers, key, images, N, 0u);
        };
    });
    const double logits = elements(rows, K);
    list.add("token_draw", fmt::format("{} x {}, guided", rows, K), Bound::memory, {8 * logits, 60 * logits},
             [=](Operands& in) {
                 const LaunchSite on = in.site();
                 std::int32_t *filled = in.integers(rows, 1), *drawn = nullptr,
                              *ids = in.copied(std::vector<std::int32_t>(static_cast<std::size_t>(rows),
                                                                         static_cast<std::int32_t>(K)));
                 float *confidence = in.floats(rows), *guided = nullptr, *conditional = in.floats(rows * K),
                       *unconditional = in.floats(rows * K), *uniforms = in.uniforms(rows),
                       *gumbel = in.floats(rows);
                 DecodingStep* step = in.copied<DecodingStep>({values});
                 return [=] {
                     LAUNCH_ON(on.device, on.stream, token_draw, filled, confidence, drawn, guided,
                               conditional, unconditional, ids, uniforms, gumbel, step, rows, rows, K);
                 };
             });
    constexpr std::int64_t halves = 2;
    list.add("remask", text, Bound::memory, {(8 + 4 * halves) * elements(rows, 1), 0}, [=](Operands& in) {
        const LaunchSite on = in.site();
        std::int32_t *ids = in.integers(halves * rows, 1), *filled = in.integers(rows, 2);
        std::int32_t* ranks = in.integers(N, static_cast<std::int32_t>(N));
        float* confidence = in.floats(rows);
        DecodingStep* step = in.copied<DecodingStep>({values});
        return [=] {
            LAUNCH_ON(on.device, on.stream, remask, ids, filled, confidence, ranks, step, images, images,
                      halves, N, K);
        };
    });
}

}  // namespace

void add_tokens(KernelList& list) {
    add_codebook(list);
    add_token_patches(list);
    add_decoding(list);
}
