#include "models/nat/adversarial.h"

#include "runtime/ops/adversarial_ops.h"

namespace {

constexpr float weight_factor = 0.8f;  // as in VQGAN's configurations

// One pass of the discriminator over x, forward and backward.
void judge(Tape& tape, const Discriminator& discriminator, const Tensor& x, MapSize size,
           AdversarialTerm term, float scale, const Tensor& total) {
    const std::size_t mark = tape.mark();
    adversarial_loss(tape, discriminator.forward(tape, x, size), term, scale, total);
    tape.backward(mark);
}

}  // namespace

void generator_gradient(Tape& tape, const Discriminator& discriminator, const Tensor& reconstruction,
                        const Tensor& targets, MapSize size, const LastLayer& last,
                        const AdversarialScales& scales, const GeneratorReport& report) {
    l1_loss(tape, reconstruction, targets, scales.pixels, report.distance);
    const Tensor judged = detached(tape, reconstruction, true);
    judge(tape, discriminator, judged, size, AdversarialTerm::generator, scales.logits,
          report.generator_loss);
    add_adaptive_gradient(tape, reconstruction, judged, last.input, size, *last.weight, weight_factor,
                          report.weight);
}

void discriminator_gradient(Tape& tape, const Discriminator& discriminator, const Tensor& pictures,
                            const Tensor& reconstruction, MapSize size, float scale, const Tensor& real_total,
                            const Tensor& generated_total) {
    judge(tape, discriminator, detached(tape, pictures, false), size, AdversarialTerm::real, scale / 2,
          real_total);
    judge(tape, discriminator, detached(tape, reconstruction, false), size, AdversarialTerm::generated,
          scale / 2, generated_total);
}
