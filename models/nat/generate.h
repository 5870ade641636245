// Tokens of images by parallel decoding: all masked at first, T passes of the transformer, each of which
// draws every masked position and masks the least confident ones again, fewer from step to step. The steps
// run without synchronising with the host; on the GPU all of them are one recorded graph.
//
// Source: Chang et al., "MaskGIT" (CVPR 2022, arXiv 2202.04200), section 3.2; Ni et al., "Revisiting
// Non-Autoregressive Transformers" (CVPR 2024, arXiv 2406.05478).
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "models/nat/strategy.h"
#include "models/nat/transformer.h"
#include "runtime/device/device_graph.h"
#include "runtime/ops/decode_ops.h"

struct GenerationRule {
    std::uint64_t seed = 0;
    // Number of the first image: an image depends on its number, its class or text, the seed and the strategy,
    // not on the batch. (But where two confidences of the batch's first image are equal at a cut:
    // kernels/sampling/remask.h.)
    std::int64_t first_image = 0;
    // The images' numbers, where they are not first_image and those after it.
    std::span<const std::int64_t> numbers = {};
};

// Inputs and outputs of one step, on the host: [images, N], K where masked; logits [images, N, K].
struct DecodedStep {
    std::int64_t step = 0;
    std::vector<std::int32_t> ids, drawn, filled,
        next;                                      // next: ids of the step after it, of the last: filled
    std::vector<float> confidence, guided_logits;  // the logits only if requested
};

class NatGenerator {
  public:
    // Operation on the tokens of one call, int32 [images * N, 1], queued on the device after the last step.
    // Also called once while planning.
    using Continuation = std::function<void(Tape& tape, const Tensor& tokens)>;

    // Up to `batch` images per call. `guided`: for strategies that guide, which takes unconditional rows
    // beside the conditional ones. The model must stay. Throws UsageError if it has more codes or tokens than
    // decoding takes.
    NatGenerator(const NatTransformer& model, std::int64_t batch, bool guided,
                 Continuation continuation = {});

    // The texts of a model that takes texts, which are its classes from here on: their ids or, where the model
    // has no encoder, their features, n + 1 of them, of which the last is the empty text, no class. They must
    // stay.
    void use_texts(const NatContexts& texts);

    // The tokens of one image per class (-1: of no class), [classes, N] in raster order; at most `batch`
    // classes. Throws UsageError for a class that the model does not have, Error if memory is short,
    // std::logic_error for a strategy that guides where the generator does not, or without use_texts().
    std::vector<std::int32_t> generate(std::span<const std::int64_t> classes, const Strategy& strategy,
                                       const GenerationRule& rule);
    // The same images by each of S strategies of equal length, side by side: [S, classes, N]; at most `batch`
    // images and max_decoding_steps steps in all. Throws std::logic_error also for strategies of different
    // lengths.
    std::vector<std::int32_t> generate(std::span<const std::int64_t> classes,
                                       std::span<const Strategy> strategies, const GenerationRule& rule);

    const Plan& plan() const { return plan_; }
    // Of the plan, and of the recorded graphs beside it.
    std::size_t planned_bytes() const { return plan_.bytes + GraphCache::memory(tape_.device()); }

    // Called after every step, with or without its guided logits; each step then synchronises with the host.
    using Watch = std::function<void(const DecodedStep& step)>;
    void watch(Watch watch, bool with_logits = false) {
        watch_ = std::move(watch);
        watch_logits_ = with_logits;
    }
    // For tests: random numbers to use, [T, images, N] each.
    void replay(std::span<const float> uniforms, std::span<const float> gumbel) {
        uniforms_ = uniforms;
        gumbel_ = gumbel;
    }
    // Whether the GPU replays recorded steps (device_graph.h): the tokens are the same, the time is not.
    void use_graphs(bool on) { use_graphs_ = on; }

  private:
    struct Job;  // state of one call
    std::int64_t class_num() const;
    // Places of the sequence for rows of these classes, of which no text is encoded twice.
    Tensor contexts(std::span<const std::int64_t> classes);
    void run(std::span<const std::int64_t> classes, std::span<const Strategy> strategies,
             const GenerationRule& rule, std::int32_t* tokens);
    void decode(const Job& job);
    void step(const Job& job, std::int64_t t);
    TokenNoise noise(const Job& job, std::int64_t t);
    void report(const Job& job, std::int64_t t, DecodedStep& seen);

    const NatTransformer& model_;
    std::int64_t batch_;
    bool guided_;
    Continuation continuation_;
    NatContexts texts_;
    Tape tape_;
    Plan plan_;
    GraphCache graphs_;
    Watch watch_;
    std::span<const float> uniforms_, gumbel_;
    bool watch_logits_ = false, use_graphs_ = true;
};
