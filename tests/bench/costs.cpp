#include "tests/bench/costs.h"

Cost linear_cost(const LinearShape& shape, double a, double w) {
    const auto [rows, N, K] = shape;
    return {a * (elements(rows, K) + elements(rows, N)) + w * elements(N, K), shape.operations()};
}

Cost linear_gelu_cost(const LinearShape& shape, double a, double w) {
    const Cost product = linear_cost(shape, a, w);
    return {product.bytes + a * elements(shape.rows, shape.N), product.operations};
}

Cost packed_linear_cost(const LinearShape& shape, double a) {
    const Cost product = linear_cost(shape, a, a);
    return {product.bytes + a * static_cast<double>(shape.N), product.operations};
}

Cost conv2d_cost(const Conv2dShape& shape, double a, double w) {
    const double maps = static_cast<double>(shape.rows() * shape.C + shape.out_rows() * shape.N);
    return {a * maps + w * static_cast<double>(shape.weights()),
            2 * elements(shape.out_rows() * shape.N, shape.inner())};
}

Cost attention_cost(const AttentionShape& shape, double a) {
    const double rows = elements(shape.sequences, shape.length), length = static_cast<double>(shape.length),
                 heads = static_cast<double>(shape.heads), head_dim = static_cast<double>(shape.head_dim),
                 pairs = rows * heads * (shape.causal ? (length + 1) / 2 : length),
                 log_sum_exp_bytes = 4 * rows * heads;
    return {4 * a * rows * heads * head_dim + log_sum_exp_bytes, 4 * head_dim * pairs};
}

Cost attention_decode_cost(const DecodeShape& shape, double a) {
    const double cached = elements(shape.sequences * shape.heads * shape.head_dim, shape.length);
    return {2 * a * cached, 4 * cached};
}

Cost mar_level_cost(const MarLevelShape& shape, double a) {
    const double T = static_cast<double>(shape.length()), D = static_cast<double>(shape.width),
                 B = static_cast<double>(shape.blocks), sequences = static_cast<double>(shape.sequences),
                 prefix = T - static_cast<double>(shape.tokens);
    return {a * (12 * D * D * B + sequences * D * (T + prefix)) +
                4 * sequences * elements(shape.tokens, shape.inputs),
            2 * sequences * T * B * (12 * D * D + 2 * T * D)};
}

double pixel_sample_weights(const PixelSamplerShape& shape) {
    const auto [C, W, K, B, heads] = shape;
    return elements(W, K + C * (12 * W * B + Shapes::vocabulary));
}

Cost pixel_sample_cost(const PixelSamplerShape& shape, std::int64_t draws, std::int64_t rows, double a) {
    const double weights = pixel_sample_weights(shape);
    return {a * (weights + elements(rows, shape.condition_width)) + 8 * elements(draws, shape.channels),
            2 * static_cast<double>(rows) * weights};
}
