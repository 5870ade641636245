// Kernels that move rows and patches: sequences, neighbours, embeddings, and the ranks of patches.
#include <fmt/format.h>

#include <numeric>

#include "kernels/layout/embedding.h"
#include "kernels/layout/gather.h"
#include "kernels/layout/masked_sequence.h"
#include "kernels/layout/neighbours.h"
#include "kernels/layout/patchify.h"
#include "kernels/layout/sequence.h"
#include "kernels/sampling/patch_ranks.h"
#include "runtime/device/launch.h"
#include "tests/bench/kernels.h"

namespace {

void add_level_sequence(KernelList& list) {
    const auto& level = list.shapes().level;
    const std::int64_t M = level.sequences, L = level.length(), D = level.width;
    const std::string shape = fmt::format("{} x {} x {}", M, L, D);
    const double count = elements(M * L, D), a = list.activation_bytes();
    list.add("level_sequence_forward", shape, Bound::memory, {(4 + a) * count, count}, [=](Operands& in) {
        const LaunchSite on = in.site();
        float *x = in.floats(M * L * D), *positions = in.floats(L * D);
        const ElementPointer condition = in.activations(M * D), tokens = in.activations(M * (L - 1) * D);
        return [=] {
            LAUNCH_ON(on.device, on.stream, level_sequence_forward, x, condition, tokens, positions, M, L, D);
        };
    });
    list.add("level_sequence_backward", shape, Bound::memory, {(4 + a) * count, count}, [=](Operands& in) {
        const LaunchSite on = in.site();
        float *dx = in.floats(M * L * D), *d_positions = in.floats(L * D),
              *workspace = in.floats(SIZE_ON(on.device, level_sequence_backward_workspace, M, L, D));
        const ElementPointer d_condition = in.activations(M * D), d_tokens = in.activations(M * (L - 1) * D);
        return [=] {
            LAUNCH_ON(on.device, on.stream, level_sequence_backward, d_condition, d_tokens, d_positions,
                      workspace, dx, M, L, D);
        };
    });
}

void add_masked_sequence(KernelList& list) {
    const MaskedSequenceShape masked = list.shapes().masked;
    const auto [M, L, n, guided, D] = masked;
    const std::int64_t rows = M * masked.length();
    const std::string shape = fmt::format("{} x ({} + {}) x {}", M, masked.prefix(), L, D);
    const double count = elements(rows, D), a = list.activation_bytes();
    list.add("masked_sequence_forward", shape, Bound::memory, {(4 + a) * count, count}, [=](Operands& in) {
        const LaunchSite on = in.site();
        float *x = in.floats(rows * D), *mask_token = in.floats(D),
              *positions = in.floats(masked.length() * D);
        const ElementPointer guide = in.activations(M * D), conditions = in.activations(M * n * D),
                             tokens = in.activations(M * L * D);
        std::uint8_t* mask = in.bytes(M * L, 0);
        return [=] {
            LAUNCH_ON(on.device, on.stream, masked_sequence_forward, x, guide, conditions, tokens, mask,
                      mask_token, positions, masked);
        };
    });
    list.add("masked_sequence_backward", shape, Bound::memory, {(4 + a) * count, count}, [=](Operands& in) {
        const LaunchSite on = in.site();
        float *dx = in.floats(rows * D), *d_mask_token = in.floats(D),
              *d_positions = in.floats(masked.length() * D),
              *workspace = in.floats(SIZE_ON(on.device, masked_sequence_backward_workspace, masked));
        const ElementPointer d_guide = in.activations(M * D), d_conditions = in.activations(M * n * D),
                             d_tokens = in.activations(M * L * D);
        std::uint8_t* mask = in.bytes(M * L, 0);
        return [=] {
            LAUNCH_ON(on.device, on.stream, masked_sequence_backward, d_guide, d_conditions, d_tokens,
                      d_mask_token, d_positions, workspace, dx, mask, masked);
        };
    });
}

// Every patch is chosen.
void add_neighbours(KernelList& list) {
    const MaskedSequenceShape& masked = list.shapes().masked;
    const std::int64_t M = masked.M, L = masked.L, D = masked.D, n = masked.n, chosen = M * L;
    const NeighbourShape shape{list.shapes().level.grid, masked.prefix(), n, D};
    const std::string text = fmt::format("{} x {} x {}", chosen, n, D);
    const double count = elements(chosen * n, D), rows = elements(M * masked.length(), D),
                 a = list.activation_bytes();
    const std::int64_t x_elements = M * masked.length() * D;
    const auto every_patch = [=](Operands& in) {
        std::vector<std::int32_t> patches(static_cast<std::size_t>(chosen));
        std::iota(patches.begin(), patches.end(), 0);
        return in.copied(patches);
    };
    list.add("gather_neighbours", text, Bound::memory, {2 * a * count, 0}, [=](Operands& in) {
        const LaunchSite on = in.site();
        const ElementPointer y = in.activations(chosen * n * D), x = in.activations(x_elements);
        std::int32_t* selected = every_patch(in);
        return [=] { LAUNCH_ON(on.device, on.stream, gather_neighbours, y, x, selected, chosen, shape); };
    });
    list.add("gather_neighbour_rows", text, Bound::memory, {2 * (a + 4) * count, 0}, [=](Operands& in) {
        const LaunchSite on = in.site();
        float *const y = in.floats(chosen * n * D), *const x = in.floats(x_elements);
        const ElementPointer attended_y = in.activations(chosen * n * D),
                             attended = in.activations(x_elements);
        std::int32_t* selected = every_patch(in);
        return [=] {
            LAUNCH_ON(on.device, on.stream, gather_neighbour_rows, y, attended_y, x, attended, selected,
                      chosen, shape);
        };
    });
    list.add("join_neighbours", text, Bound::memory, {2 * a * count, 0}, [=](Operands& in) {
        const LaunchSite on = in.site();
        const ElementPointer y = in.activations(chosen * n * D), x = in.activations(chosen * n * D);
        std::int32_t* selected = every_patch(in);
        return [=] { LAUNCH_ON(on.device, on.stream, join_neighbours, y, x, selected, chosen, shape); };
    });
    list.add("gather_neighbours_backward", text, Bound::memory, {a * (count + rows), count},
             [=](Operands& in) {
                 const LaunchSite on = in.site();
                 const ElementPointer dx = in.activations(x_elements), dy = in.activations(chosen * n * D);
                 std::int32_t* places = every_patch(in);
                 return [=] {
                     LAUNCH_ON(on.device, on.stream, gather_neighbours_backward, dx, dy, places, M, shape);
                 };
             });
}

// The rows of all patches but the last of each sequence, and every second row of all.
void add_gather(KernelList& list) {
    const auto& level = list.shapes().level;
    const std::int64_t M = level.sequences, L = level.length(), W = level.width, total = M * L * W,
                       kept = (L - 1) * W, stride = L * W, half = M * L / 2;
    const double a = list.activation_bytes();
    const std::string copied = fmt::format("{} x {} of {} x {}", M, L - 1, L, W),
                      gathered = fmt::format("{} of {} x {}", half, M * L, W);
    list.add("copy_rows", copied, Bound::memory, {2 * a * elements(M, kept), 0}, [=](Operands& in) {
        const LaunchSite on = in.site();
        const ElementPointer y = in.activations(total), x = in.activations(total);
        return [=] { LAUNCH_ON(on.device, on.stream, copy_rows, y, kept, x, stride, M, kept); };
    });
    list.add("add_rows", copied, Bound::memory, {3 * a * elements(M, kept), elements(M, kept)},
             [=](Operands& in) {
                 const LaunchSite on = in.site();
                 const ElementPointer y = in.activations(total), x = in.activations(total);
                 return [=] { LAUNCH_ON(on.device, on.stream, add_rows, y, kept, x, stride, M, kept); };
             });
    const auto every_second = [=](Operands& in) {
        std::vector<std::int32_t> rows(static_cast<std::size_t>(half));
        for (std::size_t i = 0; i < rows.size(); ++i) rows[i] = static_cast<std::int32_t>(2 * i);
        return in.copied(rows);
    };
    list.add("gather_rows", gathered, Bound::memory, {2 * a * elements(half, W), 0}, [=](Operands& in) {
        const LaunchSite on = in.site();
        const ElementPointer y = in.activations(half * W), x = in.activations(total);
        std::int32_t* index = every_second(in);
        return [=] { LAUNCH_ON(on.device, on.stream, gather_rows, y, x, index, half, W); };
    });
    list.add("scatter_rows", gathered, Bound::memory, {2 * a * elements(half, W), 0}, [=](Operands& in) {
        const LaunchSite on = in.site();
        const ElementPointer y = in.activations(total), x = in.activations(half * W);
        std::int32_t* index = every_second(in);
        return [=] { LAUNCH_ON(on.device, on.stream, scatter_rows, y, x, index, half, W); };
    });
}

// One channel of all pixels: its tokens lie between those of the others.
void add_embedding(KernelList& list) {
    const std::int64_t pixels = list.shapes().pixels.count, W = list.shapes().pixels.width,
                       C = Shapes::channels, vocabulary = Shapes::vocabulary;
    const std::string shape = fmt::format("{} rows of {} x {}", pixels, vocabulary, W);
    const double count = elements(pixels, W), a = list.activation_bytes();
    list.add("embedding_forward", shape, Bound::memory, {(4 + a) * count, 0}, [=](Operands& in) {
        const LaunchSite on = in.site();
        const ElementPointer y = in.activations(pixels * C * W);
        float* table = in.floats(vocabulary * W);
        std::int32_t* ids = in.integers(pixels * C, static_cast<std::int32_t>(vocabulary));
        return
            [=] { LAUNCH_ON(on.device, on.stream, embedding_forward, y, C * W, table, ids, C, pixels, W); };
    });
    list.add("embedding_backward", shape, Bound::memory, {a * count, count}, [=](Operands& in) {
        const LaunchSite on = in.site();
        const ElementPointer dy = in.activations(pixels * C * W);
        float *table = in.floats(vocabulary * W),
              *workspace = in.floats(SIZE_ON(on.device, embedding_backward_workspace, pixels, vocabulary, W));
        std::int32_t* ids = in.integers(pixels * C, static_cast<std::int32_t>(vocabulary));
        return [=] {
            LAUNCH_ON(on.device, on.stream, embedding_backward, table, workspace, dy, C * W, ids, C, pixels,
                      vocabulary, W);
        };
    });
}

void add_patches(KernelList& list) {
    const std::int64_t images = list.shapes().images, C = Shapes::channels, size = list.shapes().image_size,
                       patch = list.shapes().patch_size, total = images * C * size * size;
    const std::string shape = fmt::format("{} x {} x {} x {}", images, C, size, size);
    const Cost cost{8.0 * static_cast<double>(total), 0};
    list.add("patchify", shape, Bound::memory, cost, [=](Operands& in) {
        const LaunchSite on = in.site();
        float *patches = in.floats(total), *pictures = in.floats(total);
        return [=] { LAUNCH_ON(on.device, on.stream, patchify, patches, pictures, images, C, size, patch); };
    });
    list.add("unpatchify", shape, Bound::memory, cost, [=](Operands& in) {
        const LaunchSite on = in.site();
        float *patches = in.floats(total), *pictures = in.floats(total);
        return
            [=] { LAUNCH_ON(on.device, on.stream, unpatchify, pictures, patches, images, C, size, patch); };
    });
}

// Half of each sequence's patches are drawn.
void add_orders(KernelList& list) {
    const std::int64_t M = list.shapes().masked.M, L = list.shapes().masked.L, hidden = L / 2,
                       count = M * hidden;
    const std::string shape = fmt::format("{} x {}", M, L);
    const double patches = elements(M, L), chosen = elements(M, hidden);
    list.add("random_ranks", shape, Bound::memory, {4 * patches, 0}, [=](Operands& in) {
        const LaunchSite on = in.site();
        std::int32_t *ranks = in.integers(M * L, 1), *left = in.integers(M, 1);
        std::int64_t* sequence_ids = in.numbers(M);
        PhiloxKey* key = in.copied<PhiloxKey>({{1, 2}});
        return [=] { LAUNCH_ON(on.device, on.stream, random_ranks, ranks, left, sequence_ids, M, L, key); };
    });
    list.add("raster_ranks", shape, Bound::memory, {4 * patches, 0}, [=](Operands& in) {
        const LaunchSite on = in.site();
        std::int32_t *ranks = in.integers(M * L, 1), *left = in.integers(M, 1);
        return [=] { LAUNCH_ON(on.device, on.stream, raster_ranks, ranks, left, M, L); };
    });
    // Each call takes patches off what the one before has left: raster_ranks begins anew.
    const std::string anew = shape + ", with raster_ranks";
    list.add("next_patches", anew, Bound::memory, {9 * patches + 16 * chosen, 0}, [=](Operands& in) {
        const LaunchSite on = in.site();
        std::int32_t *ranks = in.integers(M * L, 1), *left = in.integers(M, 1), *rows = in.integers(count, 1),
                     *parents = in.integers(count, 1);
        std::int64_t *sequence_ids = in.numbers(M), *child_sequence_ids = in.numbers(count);
        std::uint8_t* mask = in.bytes(M * L, 0);
        return [=] {
            LAUNCH_ON(on.device, on.stream, raster_ranks, ranks, left, M, L);
            LAUNCH_ON(on.device, on.stream, next_patches, mask, child_sequence_ids, rows, parents, left,
                      ranks, sequence_ids, M, L, hidden, std::int64_t{1}, count);
        };
    });
}

}  // namespace

void add_rows(KernelList& list) {
    add_level_sequence(list);
    add_masked_sequence(list);
    add_neighbours(list);
    add_gather(list);
    add_embedding(list);
    add_patches(list);
    add_orders(list);
}
