// Attention in float against its definition in double precision.
#include "kernels/attention/attention.h"

#include <doctest/doctest.h>
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

#include "kernels/attention/attention_decode.h"
#include "kernels/common/threads.h"
#include "tests/unit/kernels/attention/attention_reference.h"
#include "tests/unit/kernels/kernel_check.h"

using namespace attention_check;

namespace {

constexpr float not_a_number = std::numeric_limits<float>::quiet_NaN();
constexpr std::size_t guard = 32;  // floats behind every output that a kernel must leave alone

struct Result {
    std::vector<float> out, log_sum_exp, d_qkv;
    bool operator==(const Result& other) const {
        const auto same = [](const std::vector<float>& a, const std::vector<float>& b) {
            return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
        };
        return same(out, other.out) && same(log_sum_exp, other.log_sum_exp) && same(d_qkv, other.d_qkv);
    }
};

// Outputs start as NaN, so that an entry left unwritten or accumulated into shows, and so does a write behind
// the end.
void drop_guard(std::vector<float>& values) {
    for (std::size_t n = values.size() - guard; n < values.size(); ++n) CHECK(std::isnan(values[n]));
    values.resize(values.size() - guard);
}

// The ids of `dropout` lie in host memory.
Result run_kernels(Device device, const std::vector<float>& qkv, const std::vector<float>& d_out,
                   const AttentionShape& shape, const AttentionDropout& dropout) {
    Result result;
    result.out.assign(d_out.size() + guard, not_a_number);
    result.log_sum_exp.assign(tokens_of(shape) * static_cast<std::size_t>(shape.heads) + guard, not_a_number);
    result.d_qkv.assign(qkv.size() + guard, not_a_number);
    std::vector<std::int64_t> ids;
    if (dropout.probability > 0) ids.assign(dropout.sequence_ids, dropout.sequence_ids + shape.sequences);
    const kernel_check::DeviceArray device_ids(device, ids);
    AttentionDropout drops = dropout;
    drops.sequence_ids = device_ids.data();
    RUN(device, attention_forward, result.out, result.log_sum_exp, qkv, shape, drops);
    RUN(device, attention_backward, result.d_qkv, d_out, result.out, result.log_sum_exp, qkv, shape, drops);
    drop_guard(result.out);
    drop_guard(result.log_sum_exp);
    drop_guard(result.d_qkv);
    return result;
}

void check_against_reference(Device device, const AttentionShape& shape, float probability, float deviation,
                             double tolerance) {
    CAPTURE(shape.length);
    CAPTURE(shape.heads);
    CAPTURE(shape.head_dim);
    CAPTURE(shape.causal);
    CAPTURE(probability);
    const auto seed = static_cast<unsigned>(1000 * shape.length + shape.head_dim);
    const auto qkv = random_floats(3 * tokens_of(shape) * width_of(shape), seed, deviation);
    const auto d_out = random_floats(tokens_of(shape) * width_of(shape), seed + 1);
    std::vector<std::int64_t> ids;
    for (std::int64_t s = 0; s < shape.sequences; ++s) ids.push_back(0x500000007 * (s + 1) + s);
    const AttentionDropout dropout{probability, {11, 22}, 33, ids.data()};
    const Result result = run_kernels(device, qkv, d_out, shape, dropout);
    const Reference expected =
        reference(std::vector<double>(qkv.begin(), qkv.end()), d_out.data(), shape, dropout);
    CHECK(relative_error(result.out, expected.out) < tolerance);
    CHECK(relative_error(result.log_sum_exp, expected.log_sum_exp) < tolerance);
    CHECK(relative_error(result.d_qkv, expected.d_qkv) < tolerance);
}

// A forward pass, with loss = sum(out * d_out) for the central differences.
double loss(const std::vector<double>& qkv, const std::vector<float>& d_out, const AttentionShape& shape,
            const AttentionDropout& dropout) {
    const Reference result = reference(qkv, nullptr, shape, dropout);
    double sum = 0;
    for (std::size_t n = 0; n < d_out.size(); ++n) sum += result.out[n] * d_out[n];
    return sum;
}

// The emulated device is slow; how heads are numbered shows with three of them.
std::vector<std::int64_t> heads_on(Device device) {
    if (device == Device::cuda) return {3};
    return {1, 3};
}
bool on_this(Device device, std::int64_t length, std::int64_t head_dim, bool causal, float probability) {
    if (device == Device::cpu) return true;
    return (causal == (probability > 0)) == (head_dim % 2 == 0) && (length <= 65 || head_dim == 33);
}

TEST_CASE("attention: the reference's gradient agrees with central differences") {
    const std::vector<std::int64_t> ids = {5, 6};
    const AttentionDropout dropout{0.4f, {1, 2}, 3, ids.data()};
    for (bool causal : {false, true}) {
        const AttentionShape shape{2, 5, 2, 3, causal};
        const auto floats = random_floats(3 * tokens_of(shape) * width_of(shape), 1);
        const auto d_out = random_floats(tokens_of(shape) * width_of(shape), 2);
        std::vector<double> qkv(floats.begin(), floats.end());
        const Reference expected = reference(qkv, d_out.data(), shape, dropout);
        for (std::size_t n = 0; n < qkv.size(); ++n) {
            const double x = qkv[n], step = 1e-5;
            qkv[n] = x + step;
            const double above = loss(qkv, d_out, shape, dropout);
            qkv[n] = x - step;
            const double below = loss(qkv, d_out, shape, dropout);
            qkv[n] = x;
            CHECK((above - below) / (2 * step) == doctest::Approx(expected.d_qkv[n]).epsilon(1e-6).scale(1));
        }
    }
}

DEVICE_TEST("attention: forward and backward agree with the definition") {
    for (std::int64_t length : {1, 2, 3, 4, 5, 16, 17, 21, 65, 130})
        for (std::int64_t head_dim : {1, 5, 12, 16, 32, 33, 64})
            for (std::int64_t heads : heads_on(device))
                for (bool causal : {false, true})
                    for (float probability : {0.0f, 0.3f}) {
                        if (!on_this(device, length, head_dim, causal, probability)) continue;
                        check_against_reference(device, {2, length, heads, head_dim, causal}, probability, 1,
                                                1e-5);
                    }
    for (std::int64_t length : {8, 22, 33, 64, 100})
        for (std::int64_t head_dim : {24, 48, 80, 128}) {
            check_against_reference(device, {1, length, 2, head_dim, true}, 0.3f, 1, 1e-5);
            check_against_reference(device, {1, length, 2, head_dim, false}, 0, 1, 1e-5);
        }

    for (bool causal : {false, true}) {
        check_against_reference(device, {1, 70, 2, 256, causal}, 0.1f, 1, 1e-5);
        check_against_reference(device, {3, 3, 2, 128, causal}, 0, 1, 1e-5);
        check_against_reference(device, {1, 330, 2, 40, causal}, 0, 1, 1e-5);
        check_against_reference(device, {1, 260, 1, 64, causal}, 0.1f, 1, 1e-5);
        check_against_reference(device, {1, 1025, 1, 12, causal}, 0.1f, 1, 1e-5);
    }
}

DEVICE_TEST("attention: large scores neither overflow nor lose the smaller weights") {
    // Scores q . k / sqrt(d) of deviation 9 * 9: the largest exceed 80 by far.
    for (std::int64_t length : {3, 16, 100})
        for (bool causal : {false, true}) {
            const AttentionShape shape{2, length, 2, 16, causal};
            const auto qkv = random_floats(3 * tokens_of(shape) * width_of(shape), 9, 9);
            const Reference expected =
                reference(std::vector<double>(qkv.begin(), qkv.end()), nullptr, shape, AttentionDropout{});
            double largest = 0;
            for (double lse : expected.log_sum_exp) largest = std::max(largest, std::fabs(lse));
            CHECK(largest > 80);
            check_against_reference(device, shape, 0, 9, 2e-4);
        }
    // All scores -80: the sum must be taken relative to the largest of them.
    for (std::int64_t length : {3, 20}) {
        const AttentionShape shape{1, length, 1, 16, true};
        std::vector<float> qkv(3 * tokens_of(shape) * 16, 1.0f);
        for (std::size_t t = 0; t < tokens_of(shape); ++t)
            for (std::size_t c = 0; c < 16; ++c) qkv[t * 48 + c] = -20;
        const Result result = run_kernels(device, qkv, random_floats(tokens_of(shape) * 16, 4), shape, {});
        for (std::size_t i = 0; i < result.log_sum_exp.size(); ++i) {
            CHECK(result.log_sum_exp[i] ==
                  doctest::Approx(-80 + std::log(static_cast<double>(i + 1))).epsilon(1e-6));
            CHECK(result.out[16 * i] == doctest::Approx(1).epsilon(1e-6));
        }
    }
}

DEVICE_TEST("attention: a token changes nothing before it, to the bit") {
    for (std::int64_t length : {3, 16, 70, 150})
        for (std::int64_t changed : {length / 2, length - 1}) {
            const AttentionShape shape{2, length, 3, 16, true};
            const auto width = width_of(shape);
            auto qkv = random_floats(3 * tokens_of(shape) * width, 5);
            const auto d_out = random_floats(tokens_of(shape) * width, 6);
            const Result before = run_kernels(device, qkv, d_out, shape, {});
            const auto token = static_cast<std::size_t>(changed);
            for (std::size_t c = 0; c < 3 * width; ++c) qkv[token * 3 * width + c] += 1e3f;
            const Result after = run_kernels(device, qkv, d_out, shape, {});
            CHECK(std::memcmp(before.out.data(), after.out.data(), token * width * sizeof(float)) == 0);
            CHECK(before.out[token * width] != after.out[token * width]);
            for (std::size_t h = 0; h < 3; ++h) {
                const std::size_t row = h * static_cast<std::size_t>(length);
                CHECK(std::memcmp(&before.log_sum_exp[row], &after.log_sum_exp[row], token * sizeof(float)) ==
                      0);
            }
        }
}

DEVICE_TEST("attention: the same bits for any number of threads and any grouping of the sequences") {
    const int threads = cpu::thread_count();
    std::vector<std::int64_t> ids(150);
    for (std::size_t s = 0; s < ids.size(); ++s) ids[s] = static_cast<std::int64_t>(s * s);
    for (const AttentionShape& shape :
         {AttentionShape{150, 3, 2, 32, true}, AttentionShape{20, 17, 8, 64, false},
          AttentionShape{3, 300, 3, 33, true}})
        for (float probability : {0.0f, 0.25f}) {
            const auto qkv = random_floats(3 * tokens_of(shape) * width_of(shape), 7);
            const auto d_out = random_floats(tokens_of(shape) * width_of(shape), 8);
            const AttentionDropout dropout{probability, {3, 4}, 5, ids.data()};
            cpu::set_thread_count(1);
            const Result one = run_kernels(device, qkv, d_out, shape, dropout);
            cpu::set_thread_count(2);
            CHECK(one == run_kernels(device, qkv, d_out, shape, dropout));
            cpu::set_thread_count(threads);

            AttentionShape last = shape;
            last.sequences = 1;
            const auto first_token = tokens_of(shape) - tokens_of(last);
            const std::vector<float> last_qkv(
                qkv.end() - static_cast<std::ptrdiff_t>(qkv.size() - first_token * 3 * width_of(shape)),
                qkv.end());
            const std::vector<float> last_d_out(
                d_out.begin() + static_cast<std::ptrdiff_t>(first_token * width_of(shape)), d_out.end());
            AttentionDropout last_dropout = dropout;
            last_dropout.sequence_ids += shape.sequences - 1;
            const Result alone = run_kernels(device, last_qkv, last_d_out, last, last_dropout);
            CHECK(std::memcmp(&one.d_qkv[first_token * 3 * width_of(shape)], alone.d_qkv.data(),
                              alone.d_qkv.size() * sizeof(float)) == 0);
        }
}

// Feeds the tokens of `qkv` [S, L, 3, H, d] one by one and returns out [S, L, H*d].
std::vector<float> decode_all(Device device, const std::vector<float>& qkv, const AttentionShape& shape,
                              std::int64_t capacity) {
    const auto S = static_cast<std::size_t>(shape.sequences), L = static_cast<std::size_t>(shape.length);
    const std::size_t width = width_of(shape), cached = S * width * static_cast<std::size_t>(capacity);
    std::vector<float> keys(cached + guard, not_a_number), values(cached + guard, not_a_number);
    std::vector<float> out(S * L * width), row(S * 3 * width);
    for (std::size_t t = 0; t < L; ++t) {
        std::vector<float> row_out(S * width + guard, not_a_number);
        for (std::size_t s = 0; s < S; ++s)
            std::copy_n(qkv.data() + (s * L + t) * 3 * width, 3 * width, row.data() + s * 3 * width);
        RUN(device, attention_decode, row_out, keys, values, row, shape.sequences, shape.heads,
            shape.head_dim, static_cast<std::int64_t>(t), capacity);
        drop_guard(row_out);
        for (std::size_t s = 0; s < S; ++s)
            std::copy_n(row_out.data() + s * width, width, out.data() + (s * L + t) * width);
    }
    drop_guard(keys);
    drop_guard(values);
    return out;
}

DEVICE_TEST("attention: decoding token by token gives the rows of causal attention") {
    for (std::int64_t length : {1, 3, 17, 65, 130})
        for (std::int64_t head_dim : {1, 5, 12, 16, 32, 33, 64, 128, 240})
            for (std::int64_t heads : heads_on(device))
                for (std::int64_t spare : {0, 5}) {
                    if (device == Device::cuda && length > 17 && (spare == 0 || head_dim > 5)) continue;
                    CAPTURE(length);
                    CAPTURE(head_dim);
                    const AttentionShape shape{2, length, heads, head_dim, true};
                    const auto qkv = random_floats(3 * tokens_of(shape) * width_of(shape), 10, 2);
                    const std::vector<double> doubles(qkv.begin(), qkv.end());
                    const Reference expected = reference(doubles, nullptr, shape, AttentionDropout{});
                    CHECK(relative_error(decode_all(device, qkv, shape, length + spare), expected.out) <
                          1e-5);
                }
}

DEVICE_TEST("attention: decoding gives the same bits for any number of threads") {
    const int threads = cpu::thread_count();
    const AttentionShape shape{16, 40, 8, 64, true};
    const auto qkv = random_floats(3 * tokens_of(shape) * width_of(shape), 11);
    cpu::set_thread_count(1);
    const auto one = decode_all(device, qkv, shape, 40);
    cpu::set_thread_count(2);
    CHECK(one == decode_all(device, qkv, shape, 40));
    cpu::set_thread_count(threads);
}

}  // namespace
