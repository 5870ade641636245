// Codebook entries to which no vector is assigned any longer receive no gradient and stay dead. They are
// replaced by vectors of the current batch (after Dhariwal et al. 2020, "Jukebox", arXiv 2005.00341, section
// 3.1); the very first batch initialises all of them, unless they are loaded from another run.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "models/nat/tokenizer.h"

class CodebookRevival {
  public:
    // Entries that no vector was nearest to for `patience` updates are dead.
    CodebookRevival(std::int64_t entries, std::int64_t patience, std::uint64_t seed);

    // Before the first batch: the entries have been trained and keep their places.
    void keep_places();
    // Notes the codes of a batch of update `step`, from 0.
    void note(std::span<const std::int32_t> codes, std::int64_t step);
    // Whether any entry is dead after update `step`.
    bool needed(std::int64_t step) const;
    // Places every dead entry at one of `vectors` [M, C], drawn without repetition while there are more
    // vectors than dead entries, by (seed, step).
    void revive(const Tokenizer& tokenizer, std::span<const float> vectors, std::int64_t step);

    // The update at which each entry was last near to a vector or placed, -1 for never; as a checkpoint keeps
    // it: exact up to 2^24.
    std::vector<float>& last_used() { return last_used_; }

  private:
    bool dead(std::size_t entry, std::int64_t step) const;

    std::vector<float> last_used_;
    bool placed_ = false;  // before the first batch
    std::int64_t patience_;
    std::uint64_t seed_;
};
