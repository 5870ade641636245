#include "kernels/layout/masked_sequence.h"

#include <doctest/doctest.h>

#include "tests/unit/kernels/bf16_check.h"
#include "tests/unit/kernels/kernel_check.h"

using namespace kernel_check;

namespace {

std::vector<std::uint8_t> random_mask(std::int64_t count) {
    std::vector<std::uint8_t> mask;
    for (const std::int32_t bit : integers(count, 9, 2)) mask.push_back(static_cast<std::uint8_t>(bit));
    return mask;
}

struct Inputs {
    explicit Inputs(const MaskedSequenceShape& shape)
        : guide(uniform(shape.M * shape.D, 1)),
          cond(uniform(shape.M * shape.n * shape.D, 2)),
          tokens(uniform(shape.M * shape.L * shape.D, 3)),
          mask_token(uniform(shape.D, 4)),
          pos(uniform(shape.length() * shape.D, 5)),
          dx(uniform(shape.M * shape.length() * shape.D, 6)),
          mask(random_mask(shape.M * shape.L)) {}
    std::vector<float> guide, cond, tokens, mask_token, pos, dx;
    std::vector<std::uint8_t> mask;
};

}  // namespace

DEVICE_TEST(
    "a MAR level's sequence: guiding pixel, conditions from the last to the first, patches or the mask "
    "token") {
    for (const std::int64_t M : row_counts)
        for (const std::int64_t L : {1, 4, 16})
            for (const std::int64_t n : {1, 5})
                for (const bool guided : {false, true})
                    for (const std::int64_t D : {1, 5, 64, 129}) {
                        const MaskedSequenceShape shape{M, L, n, guided, D};
                        const std::int64_t T = shape.length(), G = guided ? 1 : 0;
                        Inputs in(shape);
                        std::vector<float> x(in.dx.size(), NAN), dguide(in.guide.size(), NAN),
                            dcond(in.cond.size(), NAN), dtokens(in.tokens.size(), NAN),
                            dmask(in.mask_token.size(), 0.5f), dpos(in.pos.size(), 0.25f),
                            workspace(static_cast<std::size_t>(
                                          SIZE_ON(device, masked_sequence_backward_workspace, shape)),
                                      NAN);
                        RUN(device, masked_sequence_forward, x, guided ? &in.guide : nullptr, in.cond,
                            in.tokens, in.mask, in.mask_token, in.pos, shape);
                        RUN(device, masked_sequence_backward, guided ? &dguide : nullptr, dcond, dtokens,
                            dmask, dpos, workspace, in.dx, in.mask, shape);
                        std::vector<float> x_expected(x.size()), dguide_expected(dguide.size()),
                            dcond_expected(dcond.size()), dtokens_expected(dtokens.size(), 0.0f);
                        std::vector<double> dmask_expected(dmask.size(), 0.5),
                            dpos_expected(dpos.size(), 0.25);
                        for (std::int64_t m = 0; m < M; ++m)
                            for (std::int64_t i = 0; i < D; ++i) {
                                const auto put = [&](std::int64_t s, float value) {
                                    x_expected[(m * T + s) * D + i] = value + in.pos[s * D + i];
                                    dpos_expected[s * D + i] += in.dx[(m * T + s) * D + i];
                                    return in.dx[(m * T + s) * D + i];
                                };
                                if (guided) dguide_expected[m * D + i] = put(0, in.guide[m * D + i]);
                                for (std::int64_t j = 0; j < n; ++j) {
                                    const std::int64_t at = (m * n + j) * D + i;
                                    dcond_expected[at] = put(G + n - 1 - j, in.cond[at]);
                                }
                                for (std::int64_t t = 0; t < L; ++t) {
                                    const std::int64_t at = (m * L + t) * D + i;
                                    if (in.mask[m * L + t] != 0)
                                        dmask_expected[i] += put(G + n + t, in.mask_token[i]);
                                    else
                                        dtokens_expected[at] = put(G + n + t, in.tokens[at]);
                                }
                            }
                        CAPTURE(M);
                        CAPTURE(L);
                        CAPTURE(n);
                        CAPTURE(guided);
                        CAPTURE(D);
                        CHECK(same_bits(x, x_expected));
                        if (guided) CHECK(same_bits(dguide, dguide_expected));
                        CHECK(same_bits(dcond, dcond_expected));
                        CHECK(same_bits(dtokens, dtokens_expected));
                        CHECK(relative_error(dmask, dmask_expected) < 1e-5);
                        CHECK(relative_error(dpos, dpos_expected) < 1e-6);
                    }
}

DEVICE_TEST("a MAR level's sequence does not depend on the number of threads") {
    CHECK(same_for_any_threads([&] {
        const MaskedSequenceShape shape{301, 16, 5, true, 33};
        Inputs in(shape);
        std::vector<float> dguide(in.guide.size()), dcond(in.cond.size()), dtokens(in.tokens.size()),
            dmask(in.mask_token.size()), dpos(in.pos.size()),
            workspace(static_cast<std::size_t>(SIZE_ON(device, masked_sequence_backward_workspace, shape)));
        RUN(device, masked_sequence_backward, dguide, dcond, dtokens, dmask, dpos, workspace, in.dx, in.mask,
            shape);
        dpos.insert(dpos.end(), dmask.begin(), dmask.end());
        return dpos;
    }));
}

CUDA_TEST("a MAR level's sequence in bf16 is that of the widened inputs, and gradients are rounded once") {
    for (const MaskedSequenceShape& shape :
         {MaskedSequenceShape{1, 4, 1, false, 8}, MaskedSequenceShape{3, 4, 5, true, 37},
          MaskedSequenceShape{130, 4, 5, true, 16}, MaskedSequenceShape{60, 16, 2, false, 136}}) {
        Inputs in(shape);
        const std::vector<bf16> guide = to_bf16(in.guide), cond = to_bf16(in.cond),
                                tokens = to_bf16(in.tokens);
        in.guide = to_floats(guide);
        in.cond = to_floats(cond);
        in.tokens = to_floats(tokens);
        std::vector<float> x(in.dx.size(), NAN),
            x_expected = x, dmask(in.mask_token.size(), 0.5f), dmask_expected = dmask,
            dpos(in.pos.size(), 0.25f), dpos_expected = dpos, dguide_expected(in.guide.size()),
            dcond_expected(in.cond.size()), dtokens_expected(in.tokens.size());
        std::vector<bf16> dguide(guide.size()), dcond(cond.size()), dtokens(tokens.size());
        std::vector<float> workspace(
            static_cast<std::size_t>(SIZE_ON(Device::cpu, masked_sequence_backward_workspace, shape))),
            device_workspace(
                static_cast<std::size_t>(SIZE_ON(Device::cuda, masked_sequence_backward_workspace, shape)),
                NAN);
        RUN_CUDA(masked_sequence_forward, x, guide, cond, tokens, in.mask, in.mask_token, in.pos, shape);
        RUN_CUDA(masked_sequence_backward, dguide, dcond, dtokens, dmask, dpos, device_workspace, in.dx,
                 in.mask, shape);
        RUN(Device::cpu, masked_sequence_forward, x_expected, in.guide, in.cond, in.tokens, in.mask,
            in.mask_token, in.pos, shape);
        RUN(Device::cpu, masked_sequence_backward, dguide_expected, dcond_expected, dtokens_expected,
            dmask_expected, dpos_expected, workspace, in.dx, in.mask, shape);
        CAPTURE(shape.M);
        CHECK(same_bits(x, x_expected));
        if (shape.guided) CHECK(same_bits(dguide, to_bf16(dguide_expected)));
        CHECK(same_bits(dcond, to_bf16(dcond_expected)));
        CHECK(same_bits(dtokens, to_bf16(dtokens_expected)));
        CHECK(relative_error(dmask, widened(dmask_expected)) < 1e-5);
        CHECK(relative_error(dpos, widened(dpos_expected)) < 1e-6);
    }
}
