// Adversarial training of a tokenizer as in VQGAN (Esser, Rombach, Ommer 2021, arXiv 2012.09841, section
// 3.1): losses of the discriminator, which classifies images and reconstructions, and of the generator (the
// decoder), adversarial plus reconstruction.
#pragma once

#include "models/nat/discriminator.h"
#include "runtime/tensor/tape.h"

// The convolution that the reconstruction comes from; it keeps the map's size.
struct LastLayer {
    Tensor input;  // [B * height * width, C]
    const Parameter* weight;
};

// Factors of the losses' sums: 1 over the number of pixel values, and of logits, of a step.
struct AdversarialScales {
    float pixels, logits;
};

// Outputs of the generator's loss, double [1, 1] and float [1, 1]. The sums are accumulated, the weight is
// overwritten.
struct GeneratorReport {
    Tensor distance;        // sum |reconstruction - target|
    Tensor generator_loss;  // sum of -logits
    Tensor weight;          // lambda
};

// Leaves in the reconstruction's gradient, before the backward pass through the decoder, that of
//
//   scales.pixels sum |reconstruction - target| + (previous value of the gradient)
//     + lambda scales.logits sum(-logits of the reconstruction)
//
// lambda = min(0.8 |d first part / d W| / (|d last sum / d W| + 1e-4), 1e4) for the last layer's weight W
// (equation 7); it is computed on the device. As a side effect meaningless values are added to the gradients
// of the discriminator's parameters: zero them before its own step. reconstruction and targets (fp32) [B *
// height * width, channels]. Call only while recording.
void generator_gradient(Tape& tape, const Discriminator& discriminator, const Tensor& reconstruction,
                        const Tensor& targets, MapSize size, const LastLayer& last,
                        const AdversarialScales& scales, const GeneratorReport& report);

// Adds to the discriminator's gradients those of half the hinge losses of pictures and of reconstructions,
// each times `scale` (1 over all logits of one kind), and their sums to the totals, double [1, 1] each.
// Nothing flows into pictures or reconstruction. Each kind goes forward and backward at once. Call only while
// recording.
void discriminator_gradient(Tape& tape, const Discriminator& discriminator, const Tensor& pictures,
                            const Tensor& reconstruction, MapSize size, float scale, const Tensor& real_total,
                            const Tensor& generated_total);
