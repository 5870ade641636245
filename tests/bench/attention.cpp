// Attention at the three levels: bound by arithmetic over whole sequences, by memory (on the CPU, that of its
// caches) for one new token.
#include <fmt/format.h>

#include "kernels/attention/attention.h"
#include "kernels/attention/attention_decode.h"
#include "tests/bench/kernels.h"

namespace {

void add_sequences(KernelList& list, const AttentionShape& shape) {
    const std::int64_t rows = shape.sequences * shape.length, width = shape.heads * shape.head_dim;
    const double length = static_cast<double>(shape.length),
                 pairs = elements(shape.sequences, shape.heads) * length *
                         (shape.causal ? (length + 1) / 2 : length),
                 head_dim = static_cast<double>(shape.head_dim), a = list.activation_bytes(),
                 log_sum_exp_bytes = 4 * elements(rows, shape.heads);
    const std::string text = fmt::format("{} x {} tokens, {} heads of {}{}", shape.sequences, shape.length,
                                         shape.heads, shape.head_dim, shape.causal ? "" : ", all pairs");
    const auto qkv_and_out = [=](Operands& in) {
        return std::pair{in.activations(rows * 3 * width), in.activations(rows * width)};
    };
    const Cost forward{4 * a * elements(rows, width) + log_sum_exp_bytes, 4 * head_dim * pairs};
    list.add("attention_forward", text, Bound::arithmetic, forward, [=](Operands& in) {
        const LaunchSite on = in.site();
        const auto [qkv, out] = qkv_and_out(in);
        float* log_sum_exp = in.floats(rows * shape.heads);
        return [=, qkv = qkv, out = out] {
            LAUNCH_ON(on.device, on.stream, attention_forward, out, log_sum_exp, qkv, shape,
                      AttentionDropout{});
        };
    });
    const Cost backward{8 * a * elements(rows, width) + log_sum_exp_bytes, 10 * head_dim * pairs};
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
    const double cached = elements(sequences * heads * head_dim, length);
    list.add("attention_decode",
             fmt::format("{} x token {}, {} heads of {}", sequences, length, heads, head_dim), Bound::memory,
             {2 * list.activation_bytes() * cached, 4 * cached}, [=](Operands& in) {
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
