// Order of the patches in sampling: AR levels draw one patch after the other in raster order, MAR levels
// several per step in a random order per sequence, under a cosine schedule.
//
// Without editing, the order stays on the device, and so does the number of patches that are hidden
// (kernels/sampling/patch_ranks.h): a step's work depends on how many patches it draws, but not on which step it is,
// so that it can be recorded once and replayed (device_graph.h). In editing, the hidden patches differ between images; then the host builds
// the lists and copies them.
//
// Source: Chang et al., "MaskGIT" (2022, arXiv 2202.04200), section 3.2, for the schedule; the form with
// whole numbers is the fractal release's.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "kernels/common/philox.h"
#include "models/fractal/edit.h"
#include "runtime/ops/patch_rank_ops.h"
#include "runtime/tensor/tape.h"

// The images that one call of a level draws.
struct SampledImages {
    std::int64_t count = 0;
    Tensor sequence_ids;  // int64 [count, 1]
    // Only when editing: the same on the host, and where each lies in the whole picture.
    std::vector<std::int64_t> host_sequence_ids;
    std::vector<PatchOrigin> origins;
};

// Patches that a step draws, of all the images of a call.
struct ChosenPatches : NextPatches {
    // Only when editing, on the host: m * L + t, and the sequence_ids.
    std::vector<std::int32_t> host_index;
    std::vector<std::int64_t> host_sequence_ids;
};

// Inputs of an order. `key`: of random orders, and a row of device_keys() with it. `recorded`: an order [M, L] to use
// instead of a random one, or empty.
struct OrderRule {
    std::int64_t iterations;
    PhiloxKey key;
    Tensor device_key;
    std::span<const std::int64_t> recorded;
};

class PatchOrder {
  public:
    // `task`: null, or the edit, for which `images` has its host parts. `images` must stay.
    PatchOrder(Tape& tape, const FractalConfig& config, std::size_t level, const EditTask* task,
               const SampledImages& images, const OrderRule& rule);

    // The most patches of an image that a step of the level draws, of so many steps.
    static std::int64_t most_drawn(const FractalConfig& config, std::size_t level, std::int64_t iterations);
    // Steps until nothing is hidden any more; an AR level's step may draw nothing when editing.
    std::int64_t steps() const { return steps_; }
    // For each step, the fraction of the first image's patches present after it, for guidance schedules.
    std::vector<float> shown() const;

    // Patches of each image that step s draws; not when editing.
    std::int64_t drawn_by(std::int64_t s) const { return hidden_before(s) - hidden_after(L_, s); }
    // Step s; to be called for s = 0, 1, .... Of a MAR level with the mask of what is hidden before it. `chunk`: how
    // many of its patches the next level draws at once.
    ChosenPatches next(std::int64_t s, std::int64_t halves, std::int64_t chunk);
    // On the host: mask of the hidden patches, [M, L], before the next step.
    std::vector<std::uint8_t> hidden() const;

  private:
    std::int64_t hidden_after(std::int64_t total, std::int64_t s) const;
    std::int64_t hidden_before(std::int64_t s) const { return s == 0 ? L_ : hidden_after(L_, s - 1); }
    void order_on_host(const OrderRule& rule);
    ChosenPatches next_on_host(std::int64_t s, std::int64_t halves, std::int64_t chunk);

    Tape& tape_;
    const SampledImages& images_;
    bool random_, on_host_;
    std::int64_t M_, L_, iterations_, steps_, largest_step_, steps_done_ = 0;
    PatchRanks ranks_;
    // Only when editing: hidden patches [M, L], those of each image in the order from the last to be drawn to
    // the next, and how many there were at first.
    std::vector<std::uint8_t> hidden_;
    std::vector<std::vector<std::int32_t>> orders_;
    std::vector<std::int64_t> totals_;
};
