// Activations, residuals, dropout, the rotary embedding and rounding: bound by memory, or by the caches where
// chunks are small enough.
#include <fmt/format.h>

#include "kernels/attention/rotary.h"
#include "kernels/pointwise/convert.h"
#include "kernels/pointwise/dropout.h"
#include "kernels/pointwise/gated_silu.h"
#include "kernels/pointwise/gelu.h"
#include "kernels/pointwise/quick_gelu.h"
#include "kernels/pointwise/residual.h"
#include "runtime/device/launch.h"
#include "tests/bench/kernels.h"

namespace {

std::string matrix(std::int64_t height, std::int64_t columns) {
    return fmt::format("{} x {}", height, columns);
}

void add_gated_silu(KernelList& list) {
    const std::int64_t rows = list.shapes().level.rows(), hidden = list.shapes().level.hidden;
    const double count = elements(rows, hidden), a = list.activation_bytes();
    list.add("gated_silu_forward", matrix(rows, hidden), Bound::memory, {3 * a * count, 22 * count},
             [=](Operands& in) {
                 const LaunchSite on = in.site();
                 const ElementPointer y = in.activations(rows * hidden),
                                      gate_up = in.activations(rows * 2 * hidden);
                 return
                     [=] { LAUNCH_ON(on.device, on.stream, gated_silu_forward, y, gate_up, rows, hidden); };
             });
    list.add("gated_silu_backward", matrix(rows, hidden), Bound::memory, {5 * a * count, 27 * count},
             [=](Operands& in) {
                 const LaunchSite on = in.site();
                 const ElementPointer dy = in.activations(rows * hidden),
                                      gate_up = in.activations(rows * 2 * hidden),
                                      d_gate_up = in.activations(rows * 2 * hidden);
                 return [=] {
                     LAUNCH_ON(on.device, on.stream, gated_silu_backward, d_gate_up, dy, gate_up, rows,
                               hidden);
                 };
             });
}

void add_gelu(KernelList& list) {
    const std::int64_t rows = list.shapes().pixels.rows(), hidden = list.shapes().pixels.hidden,
                       total = rows * hidden;
    const double count = elements(rows, hidden), a = list.activation_bytes();
    list.add("gelu_forward", matrix(rows, hidden), Bound::memory, {2 * a * count, 30 * count},
             [=](Operands& in) {
                 const LaunchSite on = in.site();
                 const ElementPointer y = in.activations(total), x = in.activations(total);
                 return [=] { LAUNCH_ON(on.device, on.stream, gelu_forward, y, x, total); };
             });
    list.add("gelu_backward", matrix(rows, hidden), Bound::memory, {3 * a * count, 34 * count},
             [=](Operands& in) {
                 const LaunchSite on = in.site();
                 const ElementPointer dx = in.activations(total), dy = in.activations(total),
                                      x = in.activations(total);
                 return [=] { LAUNCH_ON(on.device, on.stream, gelu_backward, dx, dy, x, total); };
             });
}

void add_quick_gelu(KernelList& list) {
    const std::int64_t rows = list.shapes().level.rows(), hidden = list.shapes().level.hidden,
                       total = rows * hidden;
    const double count = elements(rows, hidden), a = list.activation_bytes();
    list.add("quick_gelu_forward", matrix(rows, hidden), Bound::memory, {2 * a * count, 22 * count},
             [=](Operands& in) {
                 const LaunchSite on = in.site();
                 const ElementPointer y = in.activations(total), x = in.activations(total);
                 return [=] { LAUNCH_ON(on.device, on.stream, quick_gelu_forward, y, x, total); };
             });
    list.add("quick_gelu_backward", matrix(rows, hidden), Bound::memory, {3 * a * count, 26 * count},
             [=](Operands& in) {
                 const LaunchSite on = in.site();
                 const ElementPointer dx = in.activations(total), dy = in.activations(total),
                                      x = in.activations(total);
                 return [=] { LAUNCH_ON(on.device, on.stream, quick_gelu_backward, dx, dy, x, total); };
             });
}

void add_residual(KernelList& list) {
    const auto& level = list.shapes().level;
    const std::int64_t total = level.rows() * level.width;
    const std::string shape = matrix(level.rows(), level.width);
    const double count = elements(level.rows(), level.width), a = list.activation_bytes();
    list.add("residual_forward", shape, Bound::memory, {(8 + a) * count, count}, [=](Operands& in) {
        const LaunchSite on = in.site();
        float *out = in.floats(total), *x = in.floats(total);
        const ElementPointer branch = in.activations(total);
        return [=] { LAUNCH_ON(on.device, on.stream, residual_forward, out, x, branch, total); };
    });
    list.add("residual_backward_accumulate", shape, Bound::memory, {3 * a * count, count}, [=](Operands& in) {
        const LaunchSite on = in.site();
        const ElementPointer dx = in.activations(total), dy = in.activations(total);
        return [=] { LAUNCH_ON(on.device, on.stream, residual_backward_accumulate, dx, dy, total); };
    });
}

void add_dropout(KernelList& list) {
    const auto& level = list.shapes().level;
    const std::int64_t sequences = level.sequences, total = level.rows() * level.width,
                       per_sequence = level.length() * level.width;
    const std::string shape = matrix(level.rows(), level.width);
    const double count = elements(level.rows(), level.width), a = list.activation_bytes();
    const auto rule = [=](Operands& in) {
        return Dropout{0.1f, {1, 2}, 3, in.numbers(sequences), per_sequence};
    };
    list.add(
        "residual_dropout_forward", shape, Bound::memory, {(8 + a) * count, 21 * count}, [=](Operands& in) {
            const LaunchSite on = in.site();
            const Dropout dropout = rule(in);
            float *out = in.floats(total), *x = in.floats(total);
            const ElementPointer branch = in.activations(total);
            return [=] {
                LAUNCH_ON(on.device, on.stream, residual_dropout_forward, out, x, branch, sequences, dropout);
            };
        });
    list.add("dropout_forward", shape, Bound::memory, {2 * a * count, 20 * count}, [=](Operands& in) {
        const LaunchSite on = in.site();
        const Dropout dropout = rule(in);
        const ElementPointer y = in.activations(total), x = in.activations(total);
        return [=] { LAUNCH_ON(on.device, on.stream, dropout_forward, y, x, sequences, dropout); };
    });
    list.add("dropout_backward", shape, Bound::memory, {2 * a * count, 20 * count}, [=](Operands& in) {
        const LaunchSite on = in.site();
        const Dropout dropout = rule(in);
        const ElementPointer dx = in.activations(total), dy = in.activations(total);
        return [=] { LAUNCH_ON(on.device, on.stream, dropout_backward, dx, dy, sequences, dropout); };
    });
}

// From grid cell 0 on: the condition token's zeros would leave nothing of q and k.
void add_rotary(KernelList& list) {
    const auto level = list.shapes().level;
    const std::int64_t head_dim = level.width / level.heads, rows = level.rows();
    const double count = elements(rows, level.width);
    const Cost cost{4 * list.activation_bytes() * count, 6 * count};
    const auto tables = [=](Operands& in) {
        std::vector<float> cosine(static_cast<std::size_t>((1 + level.length()) * head_dim / 2)),
            sine = cosine;
        cpu::rotary_table(cosine.data(), sine.data(), level.grid, head_dim);
        return std::pair{in.copied(cosine), in.copied(sine)};
    };
    list.add("rotary_forward", matrix(rows, level.width), Bound::memory, cost, [=](Operands& in) {
        const LaunchSite on = in.site();
        const auto [cosine, sine] = tables(in);
        const ElementPointer qkv = in.activations(rows * 3 * level.width);
        return [=, cosine = cosine, sine = sine] {
            LAUNCH_ON(on.device, on.stream, rotary_forward, qkv, cosine, sine, level.sequences,
                      level.length(), level.heads, head_dim, std::int64_t{1});
        };
    });
    list.add("rotary_backward", matrix(rows, level.width), Bound::memory, cost, [=](Operands& in) {
        const LaunchSite on = in.site();
        const auto [cosine, sine] = tables(in);
        const ElementPointer d_qkv = in.activations(rows * 3 * level.width);
        return [=, cosine = cosine, sine = sine] {
            LAUNCH_ON(on.device, on.stream, rotary_backward, d_qkv, cosine, sine, level.sequences,
                      level.length(), level.heads, head_dim, std::int64_t{1});
        };
    });
}

void add_rounding(KernelList& list) {
    const auto& level = list.shapes().level;
    const std::int64_t total = level.rows() * level.width;
    const double count = elements(level.rows(), level.width);
    const std::string shape = matrix(level.rows(), level.width);
    list.add("round_to_bf16", shape, Bound::memory, {6 * count, 0}, [=](Operands& in) {
        const LaunchSite on = in.site();
        bf16* y = in.rounded(total);
        float* x = in.floats(total);
        return [=] { LAUNCH_ON(on.device, on.stream, round_to_bf16, y, x, total); };
    });
    list.add("widen_bf16", shape, Bound::memory, {6 * count, 0}, [=](Operands& in) {
        const LaunchSite on = in.site();
        bf16* x = in.rounded(total);
        float* y = in.floats(total);
        return [=] { LAUNCH_ON(on.device, on.stream, widen_bf16, y, x, total); };
    });
}

}  // namespace

void add_elementwise(KernelList& list) {
    add_gated_silu(list);
    add_gelu(list);
    add_quick_gelu(list);
    add_residual(list);
    add_dropout(list);
    add_rotary(list);
    add_rounding(list);
}
