// `build/train strategy`: searches the strategies of a masked-token transformer whose pictures are the best by a
// measure of quality: of generation (the four schedules of decoding), of training (the distribution of masks), or
// both by turns.
#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "data/images/image_file.h"
#include "models/nat/cost.h"
#include "models/nat/strategy_heuristics.h"
#include "models/nat/strategy_steps.h"
#include "runtime/base/command_line.h"
#include "runtime/base/error.h"
#include "runtime/base/json_keys.h"
#include "runtime/device/backend_flags.h"
#include "runtime/files/atomic_file.h"
#include "runtime/files/open_tensor_file.h"
#include "runtime/files/output_file.h"
#include "train/jobs.h"
#include "train/progress.h"
#include "train/search/baselines.h"
#include "train/search/generation_search.h"
#include "train/search/mask_map.h"
#include "train/search/mask_search.h"
#include "train/search/strategy_report.h"
#include "train/stop_signals.h"

namespace {

constexpr std::size_t finalists = 4;       // of a search, beside its start and its last iterate
constexpr std::size_t baseline_seeds = 2;  // by which a setting is chosen, of many
constexpr const char *generation = "generation", *training = "mask-distribution", *both = "both";

struct StrategySearchJob {
    std::string checkpoint, tokenizer, features, second_features, reference, convention, tokens, out, start;
    std::string search = generation, objective;
    GenerationSearchRule rule;
    MaskSearchRule masks;
    BaselineGrid grid;
    bool no_baselines = false, rounded = false;
    std::int64_t steps = 8, images = 1000, batch = 64, repeats = 5, rounds = 4;
    BackendFlags backend;

    std::vector<NamedPath> inputs() const {
        return {{"--checkpoint", checkpoint},
                {"--tokenizer", tokenizer},
                {"--features", features},
                {"--second-features", second_features},
                {"--reference", reference},
                {"--tokens", tokens},
                {"--start", is_strategy_name(start) ? "" : start}};
    }
};

// The strategy that the search begins with.
Strategy start_of(const StrategySearchJob& job) {
    if (job.start.empty()) return autonat_start(job.steps);
    Strategy start =
        is_strategy_name(job.start) ? named_strategy(job.start, job.steps, 1) : read_strategy(job.start);
    if (start.steps() != job.steps)
        fail_usage("--steps {}: {} is a strategy of {} steps", job.steps, job.start, start.steps());
    return start;
}

std::vector<std::uint64_t> seeds(std::uint64_t (*of)(std::uint64_t, std::int64_t),
                                 const StrategySearchJob& job) {
    std::vector<std::uint64_t> all;
    for (std::int64_t i = 0; i < job.repeats; ++i) all.push_back(of(job.rule.seed, i));
    return all;
}

void write_text(const std::filesystem::path& path, const std::string& text) {
    AtomicFile file(path);
    file.write(text + "\n");
    file.commit();
}

// The searches of one call, and what they share. Every function that draws returns nothing if a stop was requested.
class StrategySearch {
  public:
    StrategySearch(const StrategySearchJob& job, const Comm& comm, const NatConfig& config)
        : job_(job),
          comm_(comm),
          backend_(job.backend.backend(comm.local_rank())),
          models_(job.tokenizer, job.features, job.second_features, job.convention, job.reference,
                  config.img_size, backend_, comm),
          rule_{
              parse_objective(job.objective.empty() ? models_.measure.features.distance_key() : job.objective,
                              models_.measure, comm),
              job.images, job.rounded},
          start_(start_of(job)),
          measures_(std::filesystem::path(job.out) / "measures.jsonl", settings_checksum(), comm) {
        if (!job.no_baselines) baselines(job.grid, job.steps, true);  // refused before a long search
    }

    void generation_alone() {
        const auto found = search_generation(job_.checkpoint, start_, job_.out);
        if (!found || job_.repeats == 0) return;
        auto rows = baseline_rows(job_.checkpoint);
        if (rows && add_row(*rows, {"start", job_.start, start_, job_.checkpoint}) &&
            add_row(*rows, {"found", "", *found, job_.checkpoint}))
            finish(*rows);
    }

    void masks_alone() {
        const MaskSearch masks = mask_search();
        make_folder(job_.out);
        search_masks(masks, masks.base_mask(), start_);
    }

    // Alternates while a round improves the objective by more than its standard error.
    void alternately() {
        const MaskSearch masks = mask_search();
        make_folder(job_.out);
        std::string checkpoint = job_.checkpoint;
        MaskRule mask = masks.base_mask();
        Strategy strategy = start_, first = start_;
        auto before = chosen(checkpoint, strategy);
        if (!before) return;
        for (std::int64_t round = 1; round <= job_.rounds; ++round) {
            const auto found = search_generation(checkpoint, strategy, out(fmt::format("round-{}", round)));
            if (!found) return;
            strategy = *found;
            if (round == 1) first = strategy;
            const auto candidates = search_masks(masks, mask, strategy);
            if (!candidates) return;
            const MaskRule tried = candidates->front().mask;
            const auto longer = masks.trained(tried, masks.base_steps());
            if (!longer) return;
            auto now = chosen(checkpoint, strategy), other = chosen(*longer, strategy);
            if (!now || !other) return;
            if (objective_of(*other) < objective_of(*now)) {
                mask = tried;
                checkpoint = *longer;
                now = other;
            }
            const bool improves = say_round(round, mask, *before, *now);
            before = now;
            if (!improves) break;
        }
        if (comm_.rank() == 0) {
            write_text(out("best.json"), to_json(strategy));
            const auto target = std::filesystem::absolute(checkpoint).lexically_normal();
            replace_link(out("model.safetensors"),
                         target.lexically_proximate(std::filesystem::absolute(job_.out).lexically_normal()));
        }
        auto rows = baseline_rows(job_.checkpoint);
        if (rows && add_row(*rows, {"start", job_.start, start_, job_.checkpoint}) &&
            add_row(*rows, {"found, generation", "", first, job_.checkpoint}) &&
            add_row(*rows, {"found, both", mask_text(mask), strategy, checkpoint}))
            finish(*rows);
    }

  private:
    std::filesystem::path out(const std::string& name) const {
        return std::filesystem::path(job_.out) / name;
    }
    static std::string mask_text(const MaskRule& mask) {
        return fmt::format("alpha {:g}, beta {:g}", mask.alpha, mask.beta);
    }
    MaskSearch mask_search() const {
        if (job_.tokens.empty()) fail_usage("--search {}: candidates are trained on --tokens", job_.search);
        return MaskSearch(job_.masks, job_.checkpoint, job_.tokens, out("candidates"), job_.backend, comm_);
    }

    // Of what decides figures beside model, strategy and seed.
    std::uint32_t settings_checksum() const {
        const std::string text = fmt::format("{} {} {}", models_.checksum(comm_), job_.images, job_.rounded);
        return checksum(std::as_bytes(std::span(text)));
    }

    // What decides the trajectory of a search for a generation strategy.
    std::string settings_of(const SearchedModel& model, const Strategy& start) const {
        const std::string text = to_json(start);
        return json_text(nlohmann::ordered_json{
            {"checkpoint", fmt::format("{:08x}", model.checksum)},
            {"tokenizer", fmt::format("{:08x}", weights_checksum(models_.tokenizer->parameters()))},
            {"features", models_.measure.features.fingerprint()},
            {"reference", fmt::format("{:08x}", models_.reference_checksum(comm_))},
            {"method", job_.rule.method},
            {"objective", job_.objective.empty() ? models_.measure.features.distance_key() : job_.objective},
            {"search", job_.rule.schedules},
            {"start", fmt::format("{:08x}", checksum(std::as_bytes(std::span(text))))},
            {"steps", job_.steps},
            {"images", job_.images},
            {"rounded", job_.rounded},
            {"seed", job_.rule.seed}});
    }

    SearchedModel load(const std::string& checkpoint) const {
        return load_searched(checkpoint, job_.tokenizer, *models_.tokenizer, backend_);
    }

    std::optional<Strategy> search_generation(const std::string& checkpoint, const Strategy& start,
                                              const std::filesystem::path& folder) {
        const SearchedModel model = load(checkpoint);
        StrategyObjective objective(*model.transformer, models_, rule_, job_.batch, comm_);
        GenerationSearch search(job_.rule, settings_of(model, start), folder, start, objective, comm_);
        if (!search.run()) return std::nullopt;
        const std::vector<Strategy> all = search.finalists(finalists);
        if (job_.repeats == 0) return all[1];  // the last iterate
        const auto figures =
            measures_.of(objective, model.checksum, all, seeds(choice_seed, job_), "finalists");
        if (!figures) return std::nullopt;
        std::size_t best = 0;
        for (std::size_t i = 1; i < all.size(); ++i)
            if (objective_of((*figures)[i]) < objective_of((*figures)[best])) best = i;
        search.choose(all[best]);
        return all[best];
    }

    double objective_of(std::span<const Figures> figures) const {
        return mean_error(figures, rule_.terms).mean;
    }

    using AllFigures = std::vector<std::vector<Figures>>;
    std::optional<AllFigures> figures(const std::string& checkpoint, std::span<const Strategy> strategies,
                                      std::span<const std::uint64_t> of, const std::string& what) {
        const SearchedModel model = load(checkpoint);
        StrategyObjective objective(*model.transformer, models_, rule_, job_.batch, comm_);
        return measures_.of(objective, model.checksum, strategies, of, what);
    }

    // By what is chosen between models and strategies: other seeds than those that are searched on or reported.
    std::optional<std::vector<Figures>> chosen(const std::string& checkpoint, const Strategy& strategy) {
        auto all = figures(checkpoint, {&strategy, 1}, seeds(choice_seed, job_), checkpoint);
        if (!all) return std::nullopt;
        return all->front();
    }

    std::optional<std::vector<MaskCandidate>> search_masks(const MaskSearch& masks, const MaskRule& mask,
                                                           const Strategy& strategy) {
        auto candidates = masks.run(
            mask, rule_.terms, [&](const std::string& checkpoint) { return chosen(checkpoint, strategy); });
        if (!candidates || comm_.rank() > 0) return candidates;
        print_text(candidates_text(*candidates, models_, rule_.terms));
        write_text(out("masks.txt"), candidates_text(*candidates, models_, rule_.terms));
        write_png(out("masks.png"),
                  mask_map(*candidates, rule_.terms,
                           fmt::format("objective after {} updates, by the masks' Beta distribution",
                                       masks.candidate_steps())));
        return candidates;
    }

    // Whether the round has improved the objective by more than the standard error of the difference.
    bool say_round(std::int64_t round, const MaskRule& mask, std::span<const Figures> before,
                   std::span<const Figures> now) const {
        std::vector<double> gains;
        for (std::size_t i = 0; i < now.size(); ++i)
            gains.push_back(rule_.terms.of(before[i]) - rule_.terms.of(now[i]));
        const MeanError gain = mean_error(gains), value = mean_error(now, rule_.terms);
        const bool improves = gain.mean > gain.error;
        print_text(fmt::format("round {}: {}, objective {:.4f} +- {:.4f}, better by {:.4f} +- {:.4f}{}\n",
                               round, mask_text(mask), value.mean, value.error, gain.mean, gain.error,
                               improves ? "" : ": the search ends"));
        return improves;
    }

    double operations(const NatConfig& config, const Strategy& strategy) const {
        return 2 * generation_cost(config, models_.tokenizer->config())
                       .multiply_adds(strategy.steps(), strategy.guided(), true);
    }

    // Adds its figures on fresh seeds and its costs; false if a stop was requested.
    bool add_row(std::vector<ReportRow>& rows, ReportRow row) {
        auto all = figures(row.checkpoint, {&row.strategy, 1}, seeds(fresh_seed, job_), row.name);
        if (!all) return false;
        row.figures = all->front();
        row.operations = operations(load(row.checkpoint).metadata.config, row.strategy);
        rows.push_back(std::move(row));
        return true;
    }

    // Each strategy of the literature at the setting that is best on the choosing seeds.
    std::optional<std::vector<ReportRow>> baseline_rows(const std::string& checkpoint) {
        std::vector<ReportRow> rows;
        if (job_.no_baselines) return rows;
        const bool guided = load(checkpoint).metadata.config.num_classes > 1;
        const std::vector<Baseline> all = baselines(job_.grid, job_.steps, guided);
        std::vector<Strategy> strategies;
        for (const Baseline& each : all) strategies.push_back(each.strategy);
        std::vector<std::uint64_t> chosen_by = seeds(choice_seed, job_);
        chosen_by.resize(std::min(chosen_by.size(), baseline_seeds));
        const auto measured = figures(checkpoint, strategies, chosen_by, "baselines");
        if (!measured) return std::nullopt;
        for (const std::string& name : job_.grid.names) {
            std::size_t best = all.size();
            for (std::size_t i = 0; i < all.size(); ++i)
                if (all[i].name == name &&
                    (best == all.size() || objective_of((*measured)[i]) < objective_of((*measured)[best])))
                    best = i;
            if (!add_row(rows, {name, all[best].setting, all[best].strategy, checkpoint}))
                return std::nullopt;
        }
        return rows;
    }

    void finish(const std::vector<ReportRow>& rows) const {
        if (comm_.rank() > 0) return;
        const std::string text = report_text(rows, models_, rule_.terms, job_.images);
        print_text(text);
        write_report(out("table.json"), rows, models_, job_.images);
    }

    const StrategySearchJob& job_;
    const Comm& comm_;
    Backend backend_;
    SearchModels models_;
    ObjectiveRule rule_;
    Strategy start_;
    StrategyMeasures measures_;
};

void run_job(const StrategySearchJob& job, const Comm& comm) {
    comm.require_built();
    if (job.out.empty()) fail_usage("--out is required");
    require_distinct_folder({"--out", job.out}, job.inputs());
    const Strategy start = start_of(job);
    const auto file = open_tensor_file(job.checkpoint);
    require_kind(*file, nat_kind);
    const NatConfig config = read_nat_metadata(*file).config;
    require_tokens(start, config.tokens(), fmt::format("--steps {}", job.steps));
    stop_signals::finish_step_first();
    StrategySearch search(job, comm, config);
    if (job.search == generation)
        search.generation_alone();
    else if (job.search == training)
        search.masks_alone();
    else
        search.alternately();
}

void add_measure_flags(CommandLine& app, StrategySearchJob& job) {
    const auto file = [&](const char* name, std::string& value, const char* meaning) {
        return app.add_option(name, value, meaning)->type_name("FILE");
    };
    file("--features", job.features,
         "Feature network of the objective, as build/sample evaluate quality takes it")
        ->required();
    file("--second-features", job.second_features,
         "Another network, which is not optimised: its distance is reported beside, since an optimiser can "
         "fool one");
    app.add_option("--reference", job.reference, "Pictures to compare with, or an .npz of their statistics")
        ->type_name("PATH")
        ->required();
    app.add_option("--convention", job.convention, "Of Inception's input: pytorch-fid or torch-fidelity")
        ->type_name("NAME");
    app.add_option(
           "--objective", job.objective,
           "What is made small: fid or fd (the default), kid, -is, or a weighted sum with precision and "
           "recall, fd,-10*recall")
        ->type_name("SUM");
    app.add_option("--images", job.images, "Pictures of an evaluation")
        ->capture_default_str()
        ->check(within(2, 10'000'000));
    app.add_option("--batch", job.batch,
                   "Pictures at once; the strategies of an update are drawn side by side, as many as fit")
        ->capture_default_str()
        ->check(within(1, 65536));
    app.add_flag("--rounded", job.rounded,
                 "Measure pictures of 8 bits (default: the decoder's output, clamped, as in the release)");
    app.add_option(
           "--repeats", job.repeats,
           "Sets of pictures, of seeds of their own, by which models and baselines are chosen, and as many "
           "fresh ones for the table at the end; 0: no table")
        ->capture_default_str()
        ->check(within(0, 1000));
}

void add_generation_flags(CommandLine& app, StrategySearchJob& job) {
    app.add_option("--steps", job.steps, "Steps T of the generation strategy")
        ->capture_default_str()
        ->check(within(2, max_decoding_steps));
    app.add_option("--start", job.start,
                   "Strategy to begin with, a name or a file (default: AutoNAT's start)")
        ->type_name("NAME|FILE");
    app.add_option(
           "--method", job.rule.method,
           "finite-differences, as AutoNAT's authors released it; spsa and cma-es need fewer pictures")
        ->type_name("NAME")
        ->capture_default_str()
        ->check(one_of({"finite-differences", "spsa", "cma-es"}));
    app.add_option(
           "--schedules", job.rule.schedules,
           "Which schedules move: all, or some of ratios, remask_temperatures, sampling_temperatures, "
           "guidance_scales, with commas")
        ->type_name("NAMES")
        ->capture_default_str();
    app.add_option("--updates", job.rule.updates, "Updates of the generation strategy, in each round")
        ->capture_default_str()
        ->check(within(1, 1'000'000));
}

void add_training_search_flags(CommandLine& app, StrategySearchJob& job) {
    app.add_option("--tokens", job.tokens, "Training tokens of --checkpoint, for candidates")
        ->type_name("FILE");
    app.add_option("--alpha", job.masks.alphas,
                   "Grid of the masks' Beta distribution: alphas (default 4,8,12,16)")
        ->delimiter(',');
    app.add_option("--beta", job.masks.betas, "The same: betas (default 1,2,3,4)")->delimiter(',');
    app.add_option(
           "--train-steps", job.masks.steps,
           "Updates of a candidate's training (default: as many as --checkpoint had); with fewer, the best "
           "one is trained to its end")
        ->check(at_least(1));
    app.add_option("--rounds", job.rounds, "Most rounds of --search both")
        ->capture_default_str()
        ->check(within(1, 1000));
}

void add_baseline_flags(CommandLine& app, StrategySearchJob& job) {
    app.add_option("--baselines", job.grid.names,
                   "Strategies of the literature in the table, each at its best setting (default "
                   "cosine,muse,halton)")
        ->delimiter(',');
    app.add_flag("--no-baselines", job.no_baselines, "None of them");
    app.add_option("--baseline-guidance", job.grid.guidance_scales,
                   "Settings tried: largest guidance scales s (default 0,1,2,4)")
        ->delimiter(',');
    app.add_option("--baseline-temperatures", job.grid.temperatures,
                   "Settings tried: first temperatures of cosine and muse (default 1,2,4.5,9)")
        ->delimiter(',');
}

}  // namespace

void add_strategy_search_job(CommandLine& app, const Comm& comm) {
    CommandLine* command = app.add_subcommand("strategy",
                                              "Search the strategies of a masked-token transformer, of "
                                              "generation and of training, by the quality of its "
                                              "pictures");
    const auto job = std::make_shared<StrategySearchJob>();
    command
        ->add_option(
            "--search", job->search,
            "generation (the schedules of decoding), mask-distribution (of training), or both by turns")
        ->type_name("NAME")
        ->capture_default_str()
        ->check(one_of({generation, training, both}));
    command
        ->add_option("--checkpoint", job->checkpoint,
                     "The transformer; its averaged weights, if there are any")
        ->type_name("FILE")
        ->required();
    command->add_option("--tokenizer", job->tokenizer, "Tokenizer whose codes it predicts")
        ->type_name("FILE")
        ->required();
    command
        ->add_option(
            "--out", job->out,
            "Folder of the search: history.csv, curves.png, best.json (a strategy file), table.json; of the "
            "training search masks.png, candidates, model.safetensors; a search there continues")
        ->type_name("DIR");
    add_measure_flags(*command, *job);
    add_generation_flags(*command, *job);
    add_training_search_flags(*command, *job);
    add_baseline_flags(*command, *job);
    command->add_option("--seed", job->rule.seed, "Of all random numbers")
        ->capture_default_str()
        ->check(any_seed());
    add_backend_flags(*command, job->backend);
    command->callback([job, &comm] { run_job(*job, comm); });
}
