#include "train/search/strategy_search.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "data/images/image_file.h"
#include "models/nat/cost.h"
#include "models/nat/strategy_heuristics.h"
#include "models/nat/strategy_steps.h"
#include "runtime/base/error.h"
#include "runtime/base/json_keys.h"
#include "runtime/files/atomic_file.h"
#include "runtime/files/open_tensor_file.h"
#include "train/progress.h"
#include "train/search/mask_map.h"

namespace {

constexpr std::size_t finalists = 4;        // of a search, beside its start and its last iterate
constexpr std::size_t baseline_seeds = 2;   // by which a setting is chosen, of many
constexpr std::size_t most_contenders = 2;  // of masks, trained to their end in a round

void write_text(const std::filesystem::path& path, const std::string& text) {
    AtomicFile file(path);
    file.write(text + "\n");
    file.commit();
}

std::string mask_text(const MaskRule& mask) {
    return fmt::format("alpha {:g}, beta {:g}", mask.alpha, mask.beta);
}

// Of the transformer in `checkpoint`, whose grid has room for the strategy's steps.
NatConfig config_of(const std::string& checkpoint, const Strategy& strategy) {
    const auto file = open_tensor_file(checkpoint);
    require_kind(*file, nat_kind);
    const NatConfig config = read_nat_metadata(*file).config;
    require_tokens(strategy, config.tokens(), fmt::format("--steps {}", strategy.steps()));
    return config;
}

}  // namespace

std::vector<NamedPath> StrategySearchRule::inputs() const {
    return {{"--checkpoint", checkpoint},
            {"--tokenizer", tokenizer},
            {"--features", features},
            {"--second-features", second_features},
            {"--reference", reference},
            {"--tokens", tokens},
            {"--captions", captions},
            {"--text-encoder", text_encoder},
            {"--start", is_strategy_name(start) || start == baseline_start ? "" : start}};
}

Strategy StrategySearchRule::start_strategy() const {
    if (start.empty() || start == baseline_start) return autonat_start(steps);
    Strategy strategy = is_strategy_name(start) ? named_strategy(start, steps, 1) : read_strategy(start);
    if (strategy.steps() != steps)
        fail_usage("--steps {}: {} is a strategy of {} steps", steps, start, strategy.steps());
    return strategy;
}

StrategySearch::StrategySearch(const StrategySearchRule& rule, const Comm& comm)
    : rule_(rule),
      comm_(comm),
      backend_(rule.backend.backend(comm.local_rank())),
      start_(rule.start_strategy()),
      config_(config_of(rule.checkpoint, start_)),
      texts_(rule.checkpoint, rule.captions, rule.text_encoder, backend_),
      models_(rule.tokenizer, rule.features, rule.second_features, rule.convention, rule.reference,
              config_.img_size, backend_, comm),
      objective_{
          parse_objective(rule.objective.empty() ? models_.measure.features.distance_key() : rule.objective,
                          models_.measure, comm),
          rule.images, rule.rounded, rule.balanced},
      measures_(out("measures.jsonl"), settings_checksum(), comm) {
    baselines(rule.baselines, rule.steps, true);  // refused before a long search
    if (rule.start != baseline_start) return;
    if (rule.baselines.names.empty()) fail_usage("--start {}: there are --no-baselines", baseline_start);
    if (rule.repeats == 0) fail_usage("--repeats 0: --start {} is chosen by repeats", baseline_start);
}

void StrategySearch::search_generation() {
    const auto first = first_strategy();
    if (!first) return;
    const auto found = found_strategy(rule_.checkpoint, *first, rule_.out);
    if (!found || rule_.repeats == 0) return;
    auto rows = baseline_rows();
    if (rows && add_row(*rows, start_row()) && add_row(*rows, {"found", "", *found, rule_.checkpoint}))
        report(*rows);
}

void StrategySearch::search_masks() {
    const MaskSearch masks = mask_search();
    candidates(masks, masks.base_mask(), start_);
}

void StrategySearch::search_both() {
    const MaskSearch masks = mask_search();
    std::string checkpoint = rule_.checkpoint;
    MaskRule mask = masks.base_mask();
    const auto begin = first_strategy();
    if (!begin) return;
    Strategy strategy = *begin, first = *begin;
    auto before = choosing_figures(checkpoint, strategy);
    bool improves = before.has_value();
    for (std::int64_t round = 1; improves && round <= rule_.rounds; ++round) {
        const auto found = found_strategy(checkpoint, strategy, out(fmt::format("round-{}", round)));
        if (!found) return;
        strategy = *found;
        if (round == 1) first = strategy;
        const auto tried = candidates(masks, mask, strategy);
        if (!tried) return;
        auto now = choosing_figures(checkpoint, strategy);
        if (!now) return;
        for (const MaskRule& contender : contenders(*tried, mask, objective_.terms, most_contenders)) {
            const auto longer = masks.trained(contender, masks.base_steps());
            if (!longer) return;
            const auto other = choosing_figures(*longer, strategy);
            if (!other) return;
            print_text(fmt::format("{}, {} updates: objective {:.4f}\n", mask_text(contender),
                                   masks.base_steps(), objective_of(*other)));
            if (objective_of(*other) < objective_of(*now)) {
                mask = contender;
                checkpoint = *longer;
                now = other;
            }
        }
        improves = say_round(round, mask, *before, *now);
        before = now;
    }
    if (!before) return;
    write_found(checkpoint, strategy);
    auto rows = baseline_rows();
    if (!rows) return;
    // The training half alone: the baselines with the found distribution's model.
    const std::vector<ReportRow> of_base = *rows;
    for (const ReportRow& row : of_base)
        if (checkpoint != row.checkpoint &&
            !add_row(*rows, {row.name + ", new masks", row.setting, row.strategy, checkpoint}))
            return;
    if (add_row(*rows, start_row()) && add_row(*rows, {"found, generation", "", first, rule_.checkpoint}) &&
        add_row(*rows, {"found, both", mask_text(mask), strategy, checkpoint}))
        report(*rows);
}

std::filesystem::path StrategySearch::out(const std::string& name) const {
    return std::filesystem::path(rule_.out) / name;
}

std::vector<std::uint64_t> StrategySearch::seeds(std::uint64_t (*of)(std::uint64_t, std::int64_t)) const {
    std::vector<std::uint64_t> all;
    for (std::int64_t i = 0; i < rule_.repeats; ++i) all.push_back(of(rule_.generation.seed, i));
    return all;
}

MaskSearch StrategySearch::mask_search() const {
    if (rule_.tokens.empty()) fail_usage("--search: candidates of training need --tokens");
    if (rule_.repeats == 0) fail_usage("--repeats 0: candidates of training are chosen by repeats");
    return MaskSearch(rule_.masks, rule_.checkpoint, rule_.tokens, out("candidates"), rule_.backend, comm_);
}

std::uint32_t StrategySearch::settings_checksum() const {
    std::string text = fmt::format("{} {} {}", models_.checksum(comm_), rule_.images, rule_.rounded);
    if (rule_.balanced) text += " balanced";
    if (config_.takes_texts()) text += fmt::format(" {}", texts_.checksum());
    return checksum(std::as_bytes(std::span(text)));
}

std::string StrategySearch::settings_of(const SearchedModel& model, const Strategy& start) const {
    const std::string text = to_json(start);
    nlohmann::ordered_json settings{
        {"checkpoint", fmt::format("{:08x}", model.checksum)},
        {"tokenizer", fmt::format("{:08x}", weights_checksum(models_.tokenizer->parameters()))},
        {"features", models_.measure.features.fingerprint()},
        {"reference", fmt::format("{:08x}", models_.reference_checksum(comm_))},
        {"method", rule_.generation.method},
        {"objective", rule_.objective.empty() ? models_.measure.features.distance_key() : rule_.objective},
        {"search", rule_.generation.schedules},
        {"start", fmt::format("{:08x}", checksum(std::as_bytes(std::span(text))))},
        {"steps", rule_.steps},
        {"images", rule_.images},
        {"rounded", rule_.rounded},
        {"seed", rule_.generation.seed}};
    if (rule_.balanced) settings["balanced"] = true;
    if (config_.takes_texts()) settings["captions"] = fmt::format("{:08x}", texts_.checksum());
    return json_text(settings);
}

SearchedModel StrategySearch::load(const std::string& checkpoint) const {
    SearchedModel model = load_searched(checkpoint, rule_.tokenizer, *models_.tokenizer, backend_);
    texts_.attach(*model.transformer);
    return model;
}

double StrategySearch::objective_of(std::span<const Figures> figures) const {
    return mean_error(figures, objective_.terms).mean;
}

std::optional<std::vector<std::vector<Figures>>> StrategySearch::figures(const std::string& checkpoint,
                                                                         std::span<const Strategy> strategies,
                                                                         std::span<const std::uint64_t> seeds,
                                                                         const std::string& what) {
    const SearchedModel model = load(checkpoint);
    StrategyObjective objective(*model.transformer, models_, texts_, objective_, rule_.batch, comm_);
    return measures_.of(objective, model.checksum, strategies, seeds, what);
}

std::optional<std::vector<Figures>> StrategySearch::choosing_figures(const std::string& checkpoint,
                                                                     const Strategy& strategy) {
    auto all = figures(checkpoint, {&strategy, 1}, seeds(choice_seed), checkpoint);
    if (!all) return std::nullopt;
    return all->front();
}

std::optional<Strategy> StrategySearch::found_strategy(const std::string& checkpoint, const Strategy& start,
                                                       const std::filesystem::path& folder) {
    const SearchedModel model = load(checkpoint);
    StrategyObjective objective(*model.transformer, models_, texts_, objective_, rule_.batch, comm_);
    GenerationSearch search(rule_.generation, settings_of(model, start), folder, start, objective, comm_);
    if (!search.run()) return std::nullopt;
    const std::vector<Strategy> all = search.finalists(finalists);
    if (rule_.repeats == 0) return all[1];  // the last iterate
    const auto figures = measures_.of(objective, model.checksum, all, seeds(choice_seed), "finalists");
    if (!figures) return std::nullopt;
    const auto best =
        std::ranges::min_element(*figures, {}, [&](const auto& each) { return objective_of(each); });
    const Strategy& chosen = all[static_cast<std::size_t>(best - figures->begin())];
    search.choose(chosen);
    return chosen;
}

std::optional<std::vector<MaskCandidate>> StrategySearch::candidates(const MaskSearch& masks,
                                                                     const MaskRule& mask,
                                                                     const Strategy& strategy) {
    const auto tried = masks.run(mask, objective_.terms, [&](const std::string& checkpoint) {
        return choosing_figures(checkpoint, strategy);
    });
    if (!tried || comm_.rank() > 0) return tried;
    const std::string table = candidates_text(*tried, models_, objective_.terms);
    print_text(table);
    write_text(out("masks.txt"), table);
    write_png(out("masks.png"),
              mask_map(*tried, objective_.terms,
                       fmt::format("objective after {} updates, by the masks' Beta distribution",
                                   masks.candidate_steps())));
    return tried;
}

bool StrategySearch::add_row(std::vector<ReportRow>& rows, ReportRow row) {
    auto all = figures(row.checkpoint, {&row.strategy, 1}, seeds(fresh_seed), row.name);
    if (!all) return false;
    row.figures = all->front();
    row.operations = 2 * generation_cost(config_, models_.tokenizer->config())
                             .multiply_adds(row.strategy.steps(), row.strategy.guided(), true);
    rows.push_back(std::move(row));
    return true;
}

std::optional<std::vector<Baseline>> StrategySearch::best_baselines() {
    std::vector<Baseline> chosen;
    const std::vector<Baseline> all =
        baselines(rule_.baselines, rule_.steps, config_.takes_texts() || config_.num_classes > 1);
    if (all.empty()) return chosen;
    std::vector<Strategy> strategies;
    for (const Baseline& each : all) strategies.push_back(each.strategy);
    std::vector<std::uint64_t> chosen_by = seeds(choice_seed);
    chosen_by.resize(std::min(chosen_by.size(), baseline_seeds));
    const auto measured = figures(rule_.checkpoint, strategies, chosen_by, "baselines");
    if (!measured) return std::nullopt;
    for (const std::string& name : rule_.baselines.names) {
        std::size_t best = all.size();
        for (std::size_t i = 0; i < all.size(); ++i)
            if (all[i].name == name &&
                (best == all.size() || objective_of((*measured)[i]) < objective_of((*measured)[best])))
                best = i;
        chosen.push_back(all[best]);
    }
    return chosen;
}

std::optional<Strategy> StrategySearch::first_strategy() {
    if (rule_.start != baseline_start) return start_;
    auto all = best_baselines();
    if (!all) return std::nullopt;
    all->push_back({"AutoNAT's start", "", start_});
    std::vector<Strategy> strategies;
    for (const Baseline& each : *all) strategies.push_back(each.strategy);
    const auto measured = figures(rule_.checkpoint, strategies, seeds(choice_seed), "starts");
    if (!measured) return std::nullopt;
    const auto best =
        std::ranges::min_element(*measured, {}, [&](const auto& each) { return objective_of(each); });
    const Baseline& start = (*all)[static_cast<std::size_t>(best - measured->begin())];
    print_text(fmt::format("start: {}{}{}, objective {:.4f}\n", start.name, start.setting.empty() ? "" : ", ",
                           start.setting, objective_of(*best)));
    return start.strategy;
}

std::optional<std::vector<ReportRow>> StrategySearch::baseline_rows() {
    const auto all = best_baselines();
    if (!all) return std::nullopt;
    std::vector<ReportRow> rows;
    for (const Baseline& each : *all)
        if (!add_row(rows, {each.name, each.setting, each.strategy, rule_.checkpoint})) return std::nullopt;
    return rows;
}

ReportRow StrategySearch::start_row() const {
    return {"start", rule_.start == baseline_start ? "" : rule_.start, start_, rule_.checkpoint};
}

bool StrategySearch::say_round(std::int64_t round, const MaskRule& mask, std::span<const Figures> before,
                               std::span<const Figures> now) const {
    std::vector<double> gains;
    for (std::size_t i = 0; i < now.size(); ++i)
        gains.push_back(objective_.terms.of(before[i]) - objective_.terms.of(now[i]));
    const MeanError gain = mean_error(gains), value = mean_error(now, objective_.terms);
    const bool improves = gain.mean > gain.error;
    print_text(fmt::format("round {}: {}, objective {:.4f} +- {:.4f}, better by {:.4f} +- {:.4f}{}\n", round,
                           mask_text(mask), value.mean, value.error, gain.mean, gain.error,
                           improves ? "" : ": the search ends"));
    return improves;
}

void StrategySearch::write_found(const std::string& checkpoint, const Strategy& strategy) const {
    if (comm_.rank() > 0) return;
    write_text(out("best.json"), to_json(strategy));
    const auto folder = std::filesystem::absolute(rule_.out).lexically_normal(),
               target = std::filesystem::absolute(checkpoint).lexically_normal();
    replace_link(out("model.safetensors"), target.lexically_proximate(folder));
}

void StrategySearch::report(const std::vector<ReportRow>& rows) const {
    if (comm_.rank() > 0) return;
    print_text(report_text(rows, models_, objective_.terms, rule_.images));
    write_report(out("table.json"), rows, models_, rule_.images);
}
