// Sampling: the recursion run forward. AR levels draw one patch after the other with cached keys and values,
// MAR levels several patches per step in a random order under a cosine schedule, the pixel level one channel
// after the other.
//
// Editing a part of a given image is the same recursion: the patches that the mask touches are hidden, all
// others are known from the start, and a partly known patch is passed to the next level with its part of the
// mask. Without an edit task the mask covers the whole image.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "models/fractal/edit.h"
#include "models/fractal/fractal.h"
#include "models/fractal/patch_order.h"
#include "runtime/device/device_graph.h"
#include "runtime/ops/patch_rank_ops.h"

struct SampleRule {
    float temperature = 1;  // multiplies the logits
    float guidance = 1;     // classifier-free guidance scale ("cfg"); 1: conditional only
    bool linear_schedule =
        true;  // guidance grows linearly over the steps of level 0; otherwise it is constant
    float filter_threshold = 0;
    bool greedy = false;
    std::uint64_t seed = 0;
    std::int64_t first_image =
        0;  // number of the first image: an image depends on its number and the seed, not on the batch
};

// Record of one draw, in the order of the draws.
struct DrawRecord {
    std::size_t level;         // of the guiding pixel; generators() for a pixel
    std::int64_t sequence_id;  // of the patch or pixel
    std::int64_t channel;
    std::int32_t value;
    float uniform, margin;  // margin: distance of the uniform to the nearer edge of the value's interval
};

// The images before the first and after every step of level 0, [images, C, s, s], and 1 for every pixel or token that
// is there [images, s, s].
using Trace = std::function<void(const ImageValues& images, std::span<const std::uint8_t> known)>;

// What gives the values of pixels in place of draws (codec.h), without guidance.
class ValueSource {
  public:
    virtual ~ValueSource() = default;
    // Around each call of the sampler, for so many images; while planning, too, as `values`. No tensor may stay
    // beyond `end`.
    virtual void begin(Tape& tape, std::int64_t images) = 0;
    virtual void end(Tape& tape) = 0;
    // Values i32 [rows, C] for conditions [rows, width]. `pixels`, i64 [rows, 1], are their numbers: those of an
    // image follow one another in the order of drawing, those of the images of a call from number 0 on as well.
    virtual Tensor values(Tape& tape, const Tensor& condition, const Tensor& packed,
                          const PixelSamplerShape& shape, const Tensor& pixels) = 0;
};

class FractalSampler {
  public:
    // Images of up to `batch` per call, guided or not. `iterations`: steps of each level above the pixels (AR
    // levels ignore theirs); empty: the levels' recommended ones. `source`: null, or of all values.
    // Model and source must stay. Throws UsageError, Error.
    FractalSampler(const FractalModel& model, std::int64_t batch, bool guided,
                   std::vector<std::int64_t> iterations = {}, ChunkSizes chunks = {},
                   ValueSource* source = nullptr);

    // One image per class (-1: unconditional), bytes [classes, C, s, s]. At most `batch` classes. Of a model of
    // codes: sample_codes and edit_codes. Throws std::logic_error for the other kind of model.
    std::vector<std::uint8_t> sample(std::span<const std::int64_t> classes, const SampleRule& rule);
    std::vector<std::int32_t> sample_codes(std::span<const std::int64_t> classes, const SampleRule& rule);
    // The same for edits of one picture's hidden part; its known pixels or tokens are returned unchanged.
    std::vector<std::uint8_t> edit(const EditTask& task, std::span<const std::int64_t> classes,
                                   const SampleRule& rule);
    std::vector<std::int32_t> edit_codes(const EditTask& task, std::span<const std::int64_t> classes,
                                         const SampleRule& rule);

    // Called after the steps of the outermost level: `trace` with the pixels so far, which synchronises with
    // the device each time; `watch` with the number of steps done, of `steps`.
    void trace(Trace trace) { trace_ = std::move(trace); }
    using Watch = std::function<void(std::int64_t done, std::int64_t steps)>;
    void watch(Watch watch) { watch_ = std::move(watch); }

    // For tests: random numbers to use, one per draw, and orders [rows, L], one per call of a MAR level; and
    // every draw as it happened.
    void replay(std::span<const float> uniforms, std::vector<std::vector<std::int64_t>> orders = {}) {
        replay_ = uniforms;
        replay_orders_ = std::move(orders);
    }
    const std::vector<DrawRecord>& draws() const { return draws_; }
    void keep_draws(bool on) { record_draws_ = on; }

    const Plan& plan() const { return plan_; }
    // Of the plan, and of the recorded graphs beside it.
    std::size_t planned_bytes() const { return plan_.bytes + GraphCache::memory(tape_.device()); }

    // Whether the GPU replays recorded steps (device_graph.h): the images are the same, the time is not.
    void use_graphs(bool on) { use_graphs_ = on; }
    const GraphCache& graphs() const { return graphs_; }

  private:
    struct Job;  // state of one call of sample()
    // The images' moved values (image_values.h).
    std::vector<float> draw(const EditTask* task, std::span<const std::int64_t> classes,
                            const SampleRule& rule);
    void run(const EditTask* task, std::span<const std::int64_t> classes, const SampleRule& rule,
             std::vector<float>& moved);
    // Images [rows, C * size^2], moved, of level `level` for its conditions; with guidance the rows of
    // the unconditional half follow.
    Tensor sample_level(Job& job, std::size_t level, const SampledImages& images, const Tensor& condition);
    void ar_steps(Job& job, std::size_t level, const SampledImages& images, const Tensor& condition,
                  const Tensor& patches);
    void mar_steps(Job& job, std::size_t level, const SampledImages& images, const Tensor& condition,
                   const Tensor& patches);
    PatchOrder patch_order(const Job& job, std::size_t level, const SampledImages& images);
    // The settings of the draws of each step of level 0 (device_settings), none of the others; and making a step's
    // the current ones.
    Tensor settings_schedule(const Job& job, std::size_t level, const PatchOrder& order);
    void set_settings(const Job& job, const Tensor& schedule, std::int64_t step);
    // Draws the chosen patches through the next level. `conditions` makes those of a chunk of them, whose rows begin
    // with row `first` of all.
    using Conditions = std::function<Tensor(const ChildRows& rows, std::int64_t first)>;
    void sample_children(Job& job, std::size_t level, const SampledImages& images,
                         const ChosenPatches& chosen, const Conditions& conditions, const Tensor& patches);
    // A step of a level: the steps of level 1, whose work depends on device memory only, are recorded and
    // replayed (device_graph.h). `kind`: what tells steps of different work apart.
    template <class Step>
    void run_step(const Job& job, std::size_t level, const SampledImages& images, std::int64_t kind,
                  const Step& step);
    bool replayable(const Job& job) const;
    // Values int32 [R, C] of pixels, which go to `into` as well, or of guiding pixels.
    Tensor draw_pixel(Job& job, std::size_t level, const SampledImages& images, const Tensor& condition,
                      const Tensor& limits, const NormalizedRows& into);
    Tensor guiding_pixel(Job& job, std::size_t level, const SampledImages& images, const Tensor& condition);
    Uniforms uniforms(const Job& job, std::size_t level, const SampledImages& images);
    void record_draws(std::size_t level, const SampledImages& images, const Tensor& values,
                      const Tensor& numbers, const Tensor& margins);
    void report_step(const Job& job, std::size_t level, const Tensor& patches, const PatchOrder& order,
                     std::int64_t done);

    const FractalModel& model_;
    std::int64_t batch_;
    bool guided_;
    std::vector<std::int64_t> iterations_;
    ChunkSizes chunks_;
    std::vector<bool> in_one_kernel_;  // levels whose steps are
    ValueSource* source_;
    Tape tape_;
    Plan plan_;
    GraphCache graphs_;
    Trace trace_;
    Watch watch_;
    std::span<const float> replay_;
    std::vector<std::vector<std::int64_t>> replay_orders_;
    std::size_t replayed_ = 0, replayed_orders_ = 0;
    bool record_draws_ = false;
    bool use_graphs_ = true;
    std::vector<DrawRecord> draws_;
};
