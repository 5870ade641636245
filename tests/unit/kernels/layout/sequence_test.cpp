#include "kernels/layout/sequence.h"

#include <doctest/doctest.h>

#include "tests/unit/kernels/bf16_check.h"
#include "tests/unit/kernels/kernel_check.h"

using namespace kernel_check;

DEVICE_TEST("a level's sequence is condition, tokens and positions, and backward takes it apart") {
    for (const std::int64_t M : row_counts)
        for (const std::int64_t T : {1, 2, 5, 17})
            for (const std::int64_t D : {1, 5, 64, 129}) {
                const std::vector<float> cond = uniform(M * D, 1), tokens = uniform(M * (T - 1) * D, 2);
                const std::vector<float> pos = uniform((T + 2) * D, 3), dx = uniform(M * T * D, 4);
                std::vector<float> x(dx.size(), NAN), dcond(cond.size(), NAN), dtokens(tokens.size(), NAN);
                std::vector<float> dpos(pos.size(), 0.5f);
                std::vector<float> workspace(
                    static_cast<std::size_t>(SIZE_ON(device, level_sequence_backward_workspace, M, T, D)),
                    NAN);
                RUN(device, level_sequence_forward, x, cond, tokens, pos, M, T, D);
                RUN(device, level_sequence_backward, dcond, dtokens, dpos, workspace, dx, M, T, D);
                std::vector<float> x_expected(x.size()), dcond_expected(cond.size()),
                    dtokens_expected(tokens.size());
                std::vector<double> dpos_expected(pos.size(), 0.5);
                for (std::int64_t m = 0; m < M; ++m)
                    for (std::int64_t t = 0; t < T; ++t)
                        for (std::int64_t i = 0; i < D; ++i) {
                            const std::int64_t at = (m * T + t) * D + i,
                                               token = (m * (T - 1) + t - 1) * D + i;
                            x_expected[at] = (t == 0 ? cond[m * D + i] : tokens[token]) + pos[t * D + i];
                            (t == 0 ? dcond_expected[m * D + i] : dtokens_expected[token]) = dx[at];
                            dpos_expected[t * D + i] += dx[at];
                        }
                CAPTURE(M);
                CAPTURE(T);
                CAPTURE(D);
                CHECK(same_bits(x, x_expected));
                CHECK(same_bits(dcond, dcond_expected));
                CHECK(same_bits(dtokens, dtokens_expected));
                CHECK(relative_error(dpos, dpos_expected) < 1e-6);
            }
}

DEVICE_TEST("a level's sequence does not depend on the number of threads") {
    CHECK(same_for_any_threads([&] {
        const std::int64_t M = 301, T = 5, D = 33;
        const std::vector<float> dx = uniform(M * T * D, 4);
        std::vector<float> dcond(M * D), dtokens(M * (T - 1) * D), dpos(T * D);
        std::vector<float> workspace(
            static_cast<std::size_t>(SIZE_ON(device, level_sequence_backward_workspace, M, T, D)));
        RUN(device, level_sequence_backward, dcond, dtokens, dpos, workspace, dx, M, T, D);
        return dpos;
    }));
}

DEVICE_TEST("a level's sequence: many short ones and a single long one") {
    struct Size {
        std::int64_t M, T, D;
    };
    for (const auto& [M, T, D] : {Size{2049, 4, 8}, Size{1, 300, 16}, Size{40, 1, 256}}) {
        const std::vector<float> dx = uniform(M * T * D, 4);
        std::vector<float> dcond(M * D, NAN), dtokens(M * (T - 1) * D, NAN), dpos(T * D, 0.5f);
        std::vector<float> workspace(
            static_cast<std::size_t>(SIZE_ON(device, level_sequence_backward_workspace, M, T, D)), NAN);
        RUN(device, level_sequence_backward, dcond, dtokens, dpos, workspace, dx, M, T, D);
        std::vector<double> expected(dpos.size(), 0.5);
        bool moved = true;
        for (std::int64_t m = 0; m < M; ++m)
            for (std::int64_t i = 0; i < T * D; ++i) {
                const float value = dx[m * T * D + i];
                expected[i] += value;
                moved = moved && value == (i < D ? dcond[m * D + i] : dtokens[m * (T - 1) * D + i - D]);
            }
        CAPTURE(M);
        CHECK(moved);
        CHECK(relative_error(dpos, expected) < 1e-6);
    }
}

CUDA_TEST("a level's sequence in bf16 is that of the widened inputs, and gradients are rounded once") {
    for (const std::int64_t M : {1, 17, 100})
        for (const std::int64_t D : {5, 64, 136}) {
            const std::int64_t T = 4;
            const std::vector<bf16> cond = to_bf16(uniform(M * D, 1)),
                                    tokens = to_bf16(uniform(M * (T - 1) * D, 2));
            const std::vector<float> pos = uniform(T * D, 3), dx = uniform(M * T * D, 4);
            const std::vector<float> wide_cond = to_floats(cond), wide_tokens = to_floats(tokens);
            std::vector<float> x(dx.size(), NAN), x_expected(dx.size());
            RUN_CUDA(level_sequence_forward, x, cond, tokens, pos, M, T, D);
            RUN(Device::cpu, level_sequence_forward, x_expected, wide_cond, wide_tokens, pos, M, T, D);
            std::vector<bf16> dcond(cond.size()), dtokens(tokens.size());
            std::vector<float> dpos(pos.size(), 0.5f), dpos_expected = dpos, dcond_expected(cond.size()),
                                                       dtokens_expected(tokens.size());
            for (const Device device : {Device::cpu, Device::cuda}) {
                std::vector<float> workspace(
                    static_cast<std::size_t>(SIZE_ON(device, level_sequence_backward_workspace, M, T, D)),
                    NAN);
                if (device == Device::cpu)
                    RUN(device, level_sequence_backward, dcond_expected, dtokens_expected, dpos_expected,
                        workspace, dx, M, T, D);
                else
                    RUN_CUDA(level_sequence_backward, dcond, dtokens, dpos, workspace, dx, M, T, D);
            }
            CAPTURE(M);
            CAPTURE(D);
            CHECK(same_bits(x, x_expected));
            CHECK(same_bits(dcond, to_bf16(dcond_expected)));
            CHECK(same_bits(dtokens, to_bf16(dtokens_expected)));
            CHECK(relative_error(dpos, widened(dpos_expected)) < 1e-6);
        }
}
