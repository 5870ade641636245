// Attention at the three levels: bound by arithmetic over whole sequences, by memory (on the CPU, that of its
// caches) for one new token.
#include <fmt/format.h>

#include "kernels/attention/attention.h"
#include "kernels/attention/attention_decode.h"
#include "runtime/device/launch.h"
#include "tests/bench/costs.h"

namespace {

void add_sequences(KernelList& list, const AttentionShape& shape) {
    const std::int64_t rows = shape.sequences * shape.length, width = shape.heads * shape.head_dim;
    const Cost forward = attention_cost(shape, list.activation_bytes());
    const std::string text = fmt::format("{} x {} tokens, {} heads of {}{}", shape.sequences, shape.length,
                                         shape.heads, shape.head_dim, shape.causal ? "" : ", all pairs");
    const auto qkv_and_out = [=](Operands& in) {
        return std::pair{in.activations(rows * 3 * width), in.activations(rows * width)};
    };
    list.add("attention_forward", text, Bound::arithmetic, forward, [=](Operands& in) {
        const LaunchSite on = in.site();
        const auto [qkv, out] = qkv_and_out(in);
        float* log_sum_exp = in.floats(rows * shape.heads);
        return [=, qkv = qkv, out = out] {
            LAUNCH_ON(on.device, on.stream, attention_forward, out, log_sum_exp, qkv, shape,
                      AttentionDropout{});
        };
    });
    // Reads and writes twice as many activations; 5 products instead of 2.
    const Cost backward{forward.bytes + 4 * list.activation_bytes() * elements(rows, width),
                        2.5 * forward.operations};
    list.add("attention_backward", text, Bound::arithmetic, backward, [=](Operands& in) {
        const LaunchSite on = in.site();
        const auto [qkv, out] = qkv_and_out(in);
        const auto [d_qkv, d_out] = qkv_and_out(in);
        float* log_sum_exp = in.floats(rows * shape.heads);
        LAUNCH_ON(on.device, on.stream, attention_forward, out, log_sum_exp, qkv, shape, AttentionDropout{});
        return [=, qkv = qkv, out = out, d_qkv = d_qkv, d_out = d_out] {
            LAUNCH_ON(on.device, on.stream, attention_backward, d_qkv, d_out, out, log_sum_exp, qkv, shape,
                      AttentionDropout{});
        };
    });
}

void add_decode(KernelList& list, const DecodeShape& shape) {
    const auto [sequences, heads, head_dim, length] = shape;
    list.add("attention_decode",
             fmt::format("{} x token {}, {} heads of {}", sequences, length, heads, head_dim), Bound::memory,
             attention_decode_cost(shape, list.activation_bytes()), [=](Operands& in) {
                 const LaunchSite on = in.site();
                 const ElementPointer qkv = in.activations(sequences * 3 * heads * head_dim),
                                      keys = in.activations(sequences * heads * length * head_dim),
                                      values = in.activations(sequences * heads * length * head_dim),
                                      out = in.activations(sequences * heads * head_dim);
                 return [=] {
                     LAUNCH_ON(on.device, on.stream, attention_decode, out, keys, values, qkv, sequences,
                               heads, head_dim, length - 1, length);
                 };
             });
}

}  // namespace

void add_attention(KernelList& list) {
    for (const AttentionShape& shape : list.shapes().attention) add_sequences(list, shape);
    for (const DecodeShape& shape : list.shapes().decode) add_decode(list, shape);
}
