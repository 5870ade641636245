// The search of a training strategy: the Beta distribution of the share of tokens that training hides. Each
// candidate is a training run of its own, from the same initial weights, with the same data, order and noise, and
// as good as the pictures that it draws under the current generation strategy. A coarse line search over alpha with
// beta fixed, then over beta.
//
// Source: Ni et al., "Revisiting Non-Autoregressive Transformers" (CVPR 2024, arXiv 2406.05478), section 4.3.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "data/records/tokens.h"
#include "models/nat/masks.h"
#include "runtime/device/backend_flags.h"
#include "train/nat_conditions.h"
#include "train/recipe.h"
#include "train/search/strategy_measures.h"

struct MaskSearchRule {
    std::vector<double> alphas{4, 8, 12, 16}, betas{1, 2, 3, 4};
    std::int64_t steps = 0;  // of a candidate's training; 0: of the base's
};

struct MaskCandidate {
    MaskRule mask;
    std::string checkpoint;
    std::vector<Figures> figures;  // by seed
};

class MaskSearch {
  public:
    // Candidates differ from `base`, a checkpoint of a run, in the distribution and the number of updates, and
    // are runs in `folder`/alpha-A-beta-B-steps-S. Throws Error for a checkpoint that does not know its training,
    // UsageError for tokens that do not fit it, or numbers out of range.
    MaskSearch(const MaskSearchRule& rule, const std::string& base, const std::string& tokens,
               const std::filesystem::path& folder, const BackendFlags& backend, const Comm& comm);

    MaskRule base_mask() const;
    std::int64_t base_steps() const { return settings_.steps; }
    std::int64_t candidate_steps() const { return rule_.steps; }

    // The checkpoint of a run of `steps` updates with this distribution: the base itself, or one of the folder,
    // trained to its end first. Nothing if a stop was requested.
    std::optional<std::string> trained(const MaskRule& mask, std::int64_t steps) const;

    // Figures of a checkpoint's pictures; nothing if a stop was requested.
    using Score = std::function<std::optional<std::vector<Figures>>(const std::string& checkpoint)>;
    // All candidates tried, by `terms`, the best first; nothing if a stop was requested. Begins at `mask`.
    std::optional<std::vector<MaskCandidate>> run(const MaskRule& mask, const ObjectiveTerms& terms,
                                                  const Score& score) const;

  private:
    std::filesystem::path run_folder(const MaskRule& mask, std::int64_t steps) const;

    MaskSearchRule rule_;
    std::string base_;
    std::filesystem::path folder_;
    BackendFlags backend_;
    const Comm& comm_;
    TokenFile tokens_;
    NatConfig config_;
    TrainingSettings settings_;
    std::unique_ptr<NatConditions> conditions_;
};

// Candidates to train to their end, beside the current distribution: the first `most` whose figures, seed by seed,
// are not behind the best candidate's by more than two standard errors. Short runs tell candidates apart only so far
// (successive halving: Jamieson and Talwalkar, "Non-stochastic Best Arm Identification and Hyperparameter
// Optimization", AISTATS 2016). `tried`: the best first.
std::vector<MaskRule> contenders(const std::vector<MaskCandidate>& tried, const MaskRule& current,
                                 const ObjectiveTerms& terms, std::size_t most);

// A table of candidates, and the distribution's mean and deviation beside each.
std::string candidates_text(const std::vector<MaskCandidate>& candidates, const SearchModels& models,
                            const ObjectiveTerms& terms);
