// The searches of one call of `build/train strategy`, and what they share.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/device/backend_flags.h"
#include "runtime/files/output_file.h"
#include "train/search/baselines.h"
#include "train/search/generation_search.h"
#include "train/search/mask_search.h"
#include "train/search/strategy_report.h"

// A start of a search: the best of the baselines, each at its best setting, and of AutoNAT's start.
inline constexpr std::string_view baseline_start = "baseline";

struct StrategySearchRule {
    std::string checkpoint, tokenizer, features, second_features, reference, convention, tokens, out, start;
    std::string captions, text_encoder;  // of a model of texts
    std::string objective;               // "": the distance of the features
    GenerationSearchRule generation;
    MaskSearchRule masks;
    BaselineGrid baselines;  // without names: none
    bool rounded = false, balanced = false;
    std::int64_t steps = 8, images = 1000, batch = 64, repeats = 5, rounds = 4;
    BackendFlags backend;

    std::vector<NamedPath> inputs() const;
    // The strategy to begin with; of baseline_start AutoNAT's. Throws UsageError for one of other steps.
    Strategy start_strategy() const;
};

// Every function that draws ends early, with what there is on the disk, if a stop was requested.
class StrategySearch {
  public:
    // Throws UsageError, Error for files that do not fit each other, before anything is written. Rule and comm stay.
    StrategySearch(const StrategySearchRule& rule, const Comm& comm);

    // A search of the generation strategy, and its table.
    void search_generation();
    // A search of the mask distribution.
    void search_masks();
    // Both by turns while a round improves the objective by more than its standard error, and their table.
    void search_both();

  private:
    std::filesystem::path out(const std::string& name) const;
    std::vector<std::uint64_t> seeds(std::uint64_t (*of)(std::uint64_t, std::int64_t)) const;
    MaskSearch mask_search() const;
    // Of what decides figures beside model, strategy and seed.
    std::uint32_t settings_checksum() const;
    // What decides the trajectory of a search for a generation strategy, as JSON.
    std::string settings_of(const SearchedModel& model, const Strategy& start) const;
    SearchedModel load(const std::string& checkpoint) const;
    double objective_of(std::span<const Figures> figures) const;

    // The functions below return nothing, or false, if a stop was requested.

    std::optional<std::vector<std::vector<Figures>>> figures(const std::string& checkpoint,
                                                             std::span<const Strategy> strategies,
                                                             std::span<const std::uint64_t> seeds,
                                                             const std::string& what);
    // By what is chosen between models and strategies: other seeds than those that are searched on or reported.
    std::optional<std::vector<Figures>> choosing_figures(const std::string& checkpoint,
                                                         const Strategy& strategy);
    std::optional<Strategy> found_strategy(const std::string& checkpoint, const Strategy& start,
                                           const std::filesystem::path& folder);
    std::optional<std::vector<MaskCandidate>> candidates(const MaskSearch& masks, const MaskRule& mask,
                                                         const Strategy& strategy);
    // Adds its figures on fresh seeds and its costs.
    bool add_row(std::vector<ReportRow>& rows, ReportRow row);
    // Each strategy of the literature at the setting that is best on choosing seeds.
    std::optional<std::vector<Baseline>> best_baselines();
    // What a search begins with.
    std::optional<Strategy> first_strategy();
    std::optional<std::vector<ReportRow>> baseline_rows();
    ReportRow start_row() const;

    // Whether the round has improved the objective by more than the standard error of the difference.
    bool say_round(std::int64_t round, const MaskRule& mask, std::span<const Figures> before,
                   std::span<const Figures> now) const;
    // Writes best.json and model.safetensors.
    void write_found(const std::string& checkpoint, const Strategy& strategy) const;
    void report(const std::vector<ReportRow>& rows) const;

    const StrategySearchRule& rule_;
    const Comm& comm_;
    Backend backend_;
    Strategy start_;
    NatConfig config_;
    SearchTexts texts_;
    SearchModels models_;
    ObjectiveRule objective_;
    StrategyMeasures measures_;
};
