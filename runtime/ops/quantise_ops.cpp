#include "runtime/ops/quantise_ops.h"

#include <stdexcept>

#include "kernels/layout/embedding.h"
#include "kernels/layout/nearest_code.h"
#include "kernels/layout/quantise.h"
#include "kernels/linear/reduce.h"
#include "runtime/ops/gradients.h"
#include "runtime/ops/tape_launch.h"

namespace {

void require_codebook(const Tensor& z, const Parameter& codebook) {
    if (codebook.shape.size() != 2 || codebook.shape[1] != z.width())
        throw std::logic_error("quantise: the codebook's rows are of another width than the vectors");
}

}  // namespace

Tensor nearest_code(Tape& tape, const Tensor& z, const Parameter& codebook) {
    require_codebook(z, codebook);
    const std::int64_t K = codebook.shape[0], C = z.width();
    const Tensor codes = tape.create(z.rows(), 1, false, Element::i32),
                 exact = converted(tape, z, Element::f32),
                 workspace = scratch(tape, SIZE_ON(tape.device(), nearest_code_workspace, K, C));
    LAUNCH(tape, nearest_code, tape.mutable_value<std::int32_t>(codes), tape.mutable_value(workspace),
           tape.value(exact), codebook.value, z.rows(), K, C);
    return codes;
}

Tensor quantise(Tape& tape, const Tensor& z, const Tensor& codes, const Parameter& codebook, float beta,
                float scale, const Tensor& total) {
    require_codebook(z, codebook);
    if (codes.rows() != z.rows()) throw std::logic_error("quantise: as many codes as vectors");
    const std::int64_t M = z.rows(), C = z.width();
    const Tensor exact = converted(tape, z, Element::f32), y = tape.create(M, C, true);
    {
        const Tensor squares = scratch(tape, M);
        LAUNCH(tape, quantise_forward, tape.mutable_value(y), tape.mutable_value(squares), tape.value(exact),
               codebook.value, tape.value<std::int32_t>(codes), M, C);
        LAUNCH(tape, sum_accumulate, tape.mutable_value<double>(total), tape.value(squares), M, 1.0);
    }
    if (!tape.recording()) return y;
    const auto backward = [&tape, z = exact.node(), y = y.node(), codes = codes.node(), codebook = &codebook,
                           z_scale = 2 * scale, codebook_scale = 2 * scale * beta, M, C] {
        const std::int64_t K = codebook->shape[0];
        const bool passes = tape.has_gradient(y);
        const Tensor d_rows = tape.create(M, C, false);
        write_gradient(tape, z, [&](auto target) {
            LAUNCH(tape, quantise_backward, static_cast<float*>(target().address), tape.mutable_value(d_rows),
                   passes ? tape.gradient(y) : nullptr, tape.value(z), codebook->value,
                   tape.value<std::int32_t>(codes), z_scale, codebook_scale, M, C);
        });
        const Tensor workspace = scratch(tape, SIZE_ON(tape.device(), embedding_backward_workspace, M, K, C));
        LAUNCH(tape, embedding_backward, codebook->gradient, tape.mutable_value(workspace),
               tape.value(d_rows), C, tape.value<std::int32_t>(codes), 1, M, K, C);
    };
    tape.record({exact.node(), y.node()}, {exact.node(), codes.node()}, backward);
    return y;
}
