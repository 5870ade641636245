// Attention in bf16 against its definition in double precision, on inputs that are bf16 numbers.
//
// Errors are relative to the largest magnitude. Tolerances are about twice the measured errors; a result's
// last rounding alone contributes up to 2^-9 = 0.002.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "kernels/attention/attention.h"
#include "kernels/attention/attention_decode.h"
#include "tests/thread_orders.h"
#include "tests/unit/kernels/attention/attention_reference.h"
#include "tests/unit/kernels/bf16_check.h"

using namespace attention_check;
using kernel_check::from, kernel_check::to_bf16, kernel_check::to_floats;

namespace {

constexpr double out_tolerance = 0.006, lse_tolerance = 1e-6, gradient_tolerance = 0.015;
constexpr bf16 not_a_number{0x7FFF};
constexpr std::size_t guard = 32;  // elements behind every output that a kernel must leave alone

struct Result {
    std::vector<bf16> out;
    std::vector<float> log_sum_exp;
    std::vector<bf16> d_qkv;
};

struct Inputs {
    std::vector<bf16> qkv, d_out;
    std::vector<std::int64_t> ids;
    Inputs(const AttentionShape& shape, float deviation) {
        const auto seed = static_cast<unsigned>(1000 * shape.length + shape.head_dim);
        qkv = to_bf16(random_floats(3 * tokens_of(shape) * width_of(shape), seed, deviation));
        d_out = to_bf16(random_floats(tokens_of(shape) * width_of(shape), seed + 1));
        for (std::int64_t s = 0; s < shape.sequences; ++s) ids.push_back(0x500000007 * (s + 1) + s);
    }
};

// `values` behind as many elements as put them `shift` elements beyond an aligned address.
std::vector<bf16> shifted(std::vector<bf16> values, std::int64_t shift) {
    values.insert(values.begin(), static_cast<std::size_t>(shift), not_a_number);
    return values;
}

// All arrays of bf16 start `shift` elements beyond an aligned address. Outputs and the elements beyond them
// start as NaN; the latter must not change.
Result run_kernels(const Inputs& inputs, const AttentionShape& shape, AttentionDropout dropout,
                   std::int64_t shift) {
    const std::vector<bf16> qkv = shifted(inputs.qkv, shift), d_out = shifted(inputs.d_out, shift);
    Result result;
    result.out.assign(d_out.size() + guard, not_a_number);
    result.log_sum_exp.assign(tokens_of(shape) * static_cast<std::size_t>(shape.heads) + guard, NAN);
    result.d_qkv.assign(qkv.size() + guard, not_a_number);
    const kernel_check::DeviceArray ids(Device::cuda, inputs.ids);
    dropout.sequence_ids = ids.data();
    RUN_CUDA(attention_forward, from(result.out, shift), result.log_sum_exp, from(qkv, shift), shape,
             dropout);
    RUN_CUDA(attention_backward, from(result.d_qkv, shift), from(d_out, shift), from(result.out, shift),
             result.log_sum_exp, from(qkv, shift), shape, dropout);
    for (std::vector<bf16>* values : {&result.out, &result.d_qkv}) {
        for (std::size_t n = values->size() - guard; n < values->size(); ++n)
            CHECK(values->at(n).bits == not_a_number.bits);
        values->resize(values->size() - guard);
        values->erase(values->begin(), values->begin() + shift);
    }
    for (std::size_t n = result.log_sum_exp.size() - guard; n < result.log_sum_exp.size(); ++n)
        CHECK(std::isnan(result.log_sum_exp[n]));
    result.log_sum_exp.resize(result.log_sum_exp.size() - guard);
    return result;
}

template <class T>
std::vector<T> part_of(const std::vector<T>& d_qkv, std::size_t part, std::size_t width) {
    std::vector<T> values;
    for (std::size_t n = 0; n < d_qkv.size(); ++n)
        if (n / width % 3 == part) values.push_back(d_qkv[n]);
    return values;
}

void check_against_reference(const AttentionShape& shape, float probability, float deviation = 1) {
    CAPTURE(shape.length);
    CAPTURE(shape.heads);
    CAPTURE(shape.head_dim);
    CAPTURE(shape.causal);
    CAPTURE(probability);
    const Inputs inputs(shape, deviation);
    AttentionDropout dropout{probability, {11, 22}, 33, inputs.ids.data()};
    const Result result = run_kernels(inputs, shape, dropout, 0);
    const std::vector<float> qkv = to_floats(inputs.qkv), d_out = to_floats(inputs.d_out);
    const Reference expected =
        reference(std::vector<double>(qkv.begin(), qkv.end()), d_out.data(), shape, dropout);
    CHECK(relative_error(to_floats(result.out), expected.out) < out_tolerance);
    CHECK(relative_error(result.log_sum_exp, expected.log_sum_exp) < lse_tolerance);
    const std::vector<float> d_qkv = to_floats(result.d_qkv);
    CHECK(relative_error(d_qkv, expected.d_qkv) < gradient_tolerance);
    // The gradients of a single token's q and k are zero, and of a single column they may cancel to little.
    for (std::size_t part = 0; part < 3 && shape.length > 1 && shape.head_dim > 1; ++part)
        CHECK(relative_error(part_of(d_qkv, part, width_of(shape)),
                             part_of(expected.d_qkv, part, width_of(shape))) < gradient_tolerance);
}

}  // namespace

CUDA_TEST("attention in bf16: forward and backward agree with the definition") {
    for (const std::int64_t length : {1, 2, 3, 4, 5, 8, 9, 16, 17, 21, 22, 32, 33, 64, 65, 100})
        for (const std::int64_t head_dim : {1, 2, 5, 12, 16, 24, 32, 48, 64, 80, 96, 128, 130}) {
            const bool odd = (length + head_dim) % 2 != 0;
            for (const bool causal : {false, true})
                if (length <= 22 || causal == (head_dim % 3 == 0))
                    check_against_reference({length < 5 ? 5 : 1, length, 3, head_dim, causal},
                                            causal == odd ? 0.3f : 0.0f);
        }
}

CUDA_TEST("attention in bf16: many tiles") {
    for (const bool causal : {false, true}) {
        const float probability = causal ? 0.1f : 0.0f;
        check_against_reference({1, 257, 2, 64, causal}, probability);
        check_against_reference({1, 130, 1, 64, causal}, 0.1f - probability);
        check_against_reference({1, 257, 1, 16, causal}, probability);
        check_against_reference({1, 300, 1, 12, causal}, probability);
        check_against_reference({1, 130, 1, 128, causal}, probability);
        check_against_reference({1, 70, 1, 256, causal}, probability);
    }
    check_against_reference({1, 1025, 1, 32, true}, 0.1f);
    check_against_reference({1, 1025, 1, 32, false}, 0);
}

CUDA_TEST("attention in bf16: large scores neither overflow nor lose the smaller weights") {
    // The weights of the largest scores, in which q . k is exact, have the error of rounding P to bf16.
    for (const std::int64_t length : {3, 20, 70})
        for (const bool causal : {false, true}) {
            const AttentionShape shape{1, length, 2, 16, causal};
            const Inputs inputs(shape, 9);
            const Result result = run_kernels(inputs, shape, {}, 0);
            const std::vector<float> qkv = to_floats(inputs.qkv), d_out = to_floats(inputs.d_out);
            const Reference expected =
                reference(std::vector<double>(qkv.begin(), qkv.end()), d_out.data(), shape, {});
            CHECK(*std::ranges::max_element(expected.log_sum_exp) > 80);
            CHECK(relative_error(to_floats(result.out), expected.out) < out_tolerance);
            CHECK(relative_error(to_floats(result.d_qkv), expected.d_qkv) < gradient_tolerance);
        }
}

CUDA_TEST("attention in bf16: no bit depends on where the arrays start") {
    for (const std::int64_t length : {3, 21, 70})
        for (const std::int64_t head_dim : {12, 40, 128, 136}) {
            CAPTURE(length);
            CAPTURE(head_dim);
            const AttentionShape shape{2, length, 3, head_dim, true};
            const Inputs inputs(shape, 1);
            const Result aligned = run_kernels(inputs, shape, {0.1f, {1, 2}, 3, nullptr}, 0);
            const Result odd = run_kernels(inputs, shape, {0.1f, {1, 2}, 3, nullptr}, 1);
            CHECK(kernel_check::same_bits(aligned.out, odd.out));
            CHECK(kernel_check::same_bits(aligned.d_qkv, odd.d_qkv));
            CHECK(kernel_check::same_bits(aligned.log_sum_exp, odd.log_sum_exp));
        }
}

// From 9 tokens on; shorter sequences share their rows (attention_short.cuh).
CUDA_TEST("attention in bf16: what is not a number stays in its sequence") {
    for (const std::int64_t length : {9, 16, 17, 21, 33, 70, 100})
        for (const bool causal : {false, true}) {
            CAPTURE(length);
            const AttentionShape shape{3, length, 1, 24, causal};
            Inputs inputs(shape, 1);
            const Result clean = run_kernels(inputs, shape, {}, 0);
            const auto tokens = static_cast<std::ptrdiff_t>(length), width = std::ptrdiff_t{24};
            std::fill(inputs.qkv.begin() + tokens * 3 * width, inputs.qkv.begin() + 2 * tokens * 3 * width,
                      not_a_number);
            std::fill(inputs.d_out.begin() + tokens * width, inputs.d_out.begin() + 2 * tokens * width,
                      not_a_number);
            Result spoilt = run_kernels(inputs, shape, {}, 0);
            std::copy_n(clean.out.begin() + tokens * width, tokens * width,
                        spoilt.out.begin() + tokens * width);
            std::copy_n(clean.d_qkv.begin() + tokens * 3 * width, tokens * 3 * width,
                        spoilt.d_qkv.begin() + tokens * 3 * width);
            CHECK(kernel_check::same_bits(clean.out, spoilt.out));
            CHECK(kernel_check::same_bits(clean.d_qkv, spoilt.d_qkv));
        }
}

CUDA_TEST("attention in bf16: a token changes nothing before it, to the bit") {
    for (const std::int64_t length : {3, 16, 20, 70, 150}) {
        const std::int64_t changed = length - 1, width = 3 * 16;
        const AttentionShape shape{2, length, 3, 16, true};
        Inputs inputs(shape, 1);
        const Result before = run_kernels(inputs, shape, {}, 0);
        for (std::int64_t c = 0; c < 3 * width; ++c) inputs.qkv[changed * 3 * width + c] = nearest_bf16(1e3f);
        const Result after = run_kernels(inputs, shape, {}, 0);
        CHECK(std::memcmp(before.out.data(), after.out.data(), changed * width * sizeof(bf16)) == 0);
        CHECK(before.out[changed * width].bits != after.out[changed * width].bits);
    }
}

CUDA_TEST("attention in bf16: the same bits for any grouping of the sequences") {
    for (const std::int64_t length : {3, 5, 17, 70}) {
        const AttentionShape shape{7, length, 3, 32, true}, last{1, length, 3, 32, true};
        const Inputs inputs(shape, 1);
        Inputs alone = inputs;
        const auto rest = static_cast<std::ptrdiff_t>(6 * length * 3 * 32);
        alone.qkv.erase(alone.qkv.begin(), alone.qkv.begin() + 3 * rest);
        alone.d_out.erase(alone.d_out.begin(), alone.d_out.begin() + rest);
        alone.ids.erase(alone.ids.begin(), alone.ids.begin() + 6);
        for (const float probability : {0.0f, 0.25f}) {
            const AttentionDropout dropout{probability, {3, 4}, 5, nullptr};
            Result all = run_kernels(inputs, shape, dropout, 0);
            const Result one = run_kernels(alone, last, dropout, 0);
            all.out.erase(all.out.begin(), all.out.begin() + rest);
            all.d_qkv.erase(all.d_qkv.begin(), all.d_qkv.begin() + 3 * rest);
            CHECK(kernel_check::same_bits(all.out, one.out));
            CHECK(kernel_check::same_bits(all.d_qkv, one.d_qkv));
        }
    }
}

// One token at `position` over caches of `position` random ones, in T. All arrays start `shift` elements
// beyond an aligned address; elements beyond the position are NaN and must not change.
template <class T>
static void check_decoding(std::int64_t position, std::int64_t head_dim, std::int64_t shift,
                           double tolerance) {
    CAPTURE(position);
    CAPTURE(head_dim);
    CAPTURE(shift);
    const AttentionShape shape{2, position + 1, 3, head_dim, true};
    const std::int64_t L = shape.length, width = 3 * head_dim, capacity = L + 2;
    const auto room = static_cast<std::size_t>(shift);
    const std::vector<float> qkv =
        to_floats(to_bf16(random_floats(3 * tokens_of(shape) * width_of(shape), 7, 2)));
    const auto rounded = [](float x) {
        if constexpr (std::is_same_v<T, bf16>)
            return nearest_bf16(x);
        else
            return x;
    };
    std::vector<T> row(room + 2 * 3 * width), out(room + 2 * width + guard, rounded(NAN));
    std::vector<T> keys(room + 2 * width * capacity, rounded(NAN)), values = keys;
    std::vector<T> expected_keys = keys, expected_values = keys;
    for (std::int64_t s = 0; s < 2; ++s)
        for (std::int64_t token = 0; token < L; ++token)
            for (std::int64_t c = 0; c < width; ++c) {
                const auto at = static_cast<std::size_t>((s * L + token) * 3 * width + c);
                const auto cached =
                    room + static_cast<std::size_t>(((s * 3 + c / head_dim) * capacity + token) * head_dim +
                                                    c % head_dim);
                expected_keys[cached] = rounded(qkv[at + width]);
                expected_values[cached] = rounded(qkv[at + 2 * width]);
                if (token < position) {
                    keys[cached] = expected_keys[cached];
                    values[cached] = expected_values[cached];
                } else {
                    for (std::int64_t part = 0; part < 3; ++part)
                        row[room + static_cast<std::size_t>((s * 3 + part) * width + c)] =
                            rounded(qkv[at + part * width]);
                }
            }
    RUN_CUDA(attention_decode, from(out, shift), from(keys, shift), from(values, shift), from(row, shift),
             std::int64_t{2}, std::int64_t{3}, head_dim, position, capacity);
    CHECK(std::memcmp(keys.data(), expected_keys.data(), keys.size() * sizeof(T)) == 0);
    CHECK(std::memcmp(values.data(), expected_values.data(), values.size() * sizeof(T)) == 0);
    for (std::size_t n = out.size() - guard; n < out.size(); ++n) CHECK(std::isnan(to_float(out[n])));
    Reference all;
    all.out.assign(tokens_of(shape) * width_of(shape), 0);
    all.log_sum_exp.assign(tokens_of(shape) * 3, 0);
    std::vector<double> expected;
    std::vector<float> actual;
    for (std::int64_t s = 0; s < 2; ++s) {
        for (std::int64_t h = 0; h < 3; ++h)
            reference_row(all, {qkv.begin(), qkv.end()}, nullptr, shape, {}, s, h, position);
        for (std::int64_t c = 0; c < width; ++c) {
            expected.push_back(all.out[static_cast<std::size_t>((s * L + position) * width + c)]);
            actual.push_back(to_float(out[room + static_cast<std::size_t>(s * width + c)]));
        }
    }
    CHECK(relative_error(actual, expected) < tolerance);
}

CUDA_TEST("attention: decoding on the GPU agrees with the definition") {
    for (const std::int64_t position : {0, 1, 20, 63, 64, 65, 150})
        for (const std::int64_t head_dim : {1, 5, 12, 16, 24, 64, 128, 256}) {
            check_decoding<float>(position, head_dim, 0, 1e-5);
            check_decoding<bf16>(position, head_dim, 0, 0.004);
            if (head_dim % 24 == 0) {
                check_decoding<float>(position, head_dim, 1, 1e-5);
                check_decoding<bf16>(position, head_dim, 3, 0.004);
            }
        }
}

CUDA_TEST("attention in bf16: no bit depends on the order of threads") {
    for (const std::int64_t length : {3, 21, 70})
        for (const std::int64_t head_dim : {16, 96}) {
            const AttentionShape shape{2, length, 2, head_dim, true};
            const Inputs inputs(shape, 1);
            CHECK(same_in_every_order([&] {
                Result result = run_kernels(inputs, shape, {0.1f, {1, 2}, 3, nullptr}, 0);
                result.d_qkv.insert(result.d_qkv.end(), result.out.begin(), result.out.end());
                return result.d_qkv;
            }));
        }
}
