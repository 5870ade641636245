#include "kernels/sequence.h"

#include <doctest/doctest.h>

#include "tests/unit/kernel_check.h"

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
