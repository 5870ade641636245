// `build/train strategy`: searches the generation strategy of a masked-token transformer whose pictures are the
// best by a measure of quality.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "data/records/tokens.h"
#include "models/nat/checkpoint.h"
#include "models/nat/search/search_methods.h"
#include "models/nat/strategy_heuristics.h"
#include "models/nat/tokenizer_checkpoint.h"
#include "runtime/base/command_line.h"
#include "runtime/base/error.h"
#include "runtime/base/json_keys.h"
#include "runtime/base/live_line.h"
#include "runtime/device/backend_flags.h"
#include "runtime/files/open_tensor_file.h"
#include "runtime/files/output_file.h"
#include "train/jobs.h"
#include "train/progress.h"
#include "train/run_quality.h"
#include "train/stop_signals.h"
#include "train/strategy_folder.h"
#include "train/strategy_objective.h"

namespace {

struct StrategySearchJob {
    std::string checkpoint, tokenizer, features, reference, convention, out, start;
    std::string objective, method = "finite-differences", groups = "all";
    std::int64_t steps = 8, updates = 100, images = 1000, batch = 64, repeats = 5;
    std::uint64_t seed = 0;
    bool rounded = false;
    BackendFlags backend;

    std::vector<NamedPath> inputs() const {
        return {{"--checkpoint", checkpoint},
                {"--tokenizer", tokenizer},
                {"--features", features},
                {"--reference", reference},
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

// The transformer, the tokenizer of its codes, and what measures their pictures.
struct Models {
    NatMetadata metadata;
    std::unique_ptr<NatTransformer> transformer;
    std::unique_ptr<Tokenizer> tokenizer;
    OpenedFeatures features;
    std::optional<QualityReference> reference;  // on rank 0
};

Models load_models(const StrategySearchJob& job, const Comm& comm) {
    const Backend backend = job.backend.backend(comm.local_rank());
    const auto file = open_tensor_file(job.checkpoint);
    require_kind(*file, nat_kind);
    Models models{read_nat_metadata(*file, std::nullopt), nullptr, nullptr,
                  open_features(job.features, job.convention, backend), std::nullopt};
    const auto tokenizer = open_tensor_file(job.tokenizer);
    models.tokenizer = load_tokenizer(*tokenizer, backend);
    require_tokenizer(
        *file, models.metadata,
        tokenizer_fingerprint(codebook_values(*models.tokenizer), models.metadata.config.codebook_size),
        job.tokenizer);
    models.transformer = load_nat(*file, models.metadata.config, backend, std::nullopt);
    const TokenizerConfig& config = models.tokenizer->config();
    const std::int64_t size = models.metadata.config.img_size * config.downsampling();
    models.features.network->require_fitting(config.out_ch, {size, size}, "--features: the model");
    if (comm.rank() == 0) models.reference = read_reference(job.reference, models.features, {size, size});
    return models;
}

// Of the reference, the same on every rank.
std::uint32_t reference_checksum(const Models& models, const Comm& comm) {
    std::uint32_t crc = 0;
    if (models.reference) {
        const Moments& moments = models.reference->moments();
        crc = checksum(std::as_bytes(std::span(moments.mean))) ^
              checksum(std::as_bytes(std::span(moments.covariance)));
    }
    comm.broadcast(&crc, sizeof crc);
    return crc;
}

// What decides the trajectory.
std::string settings_of(const StrategySearchJob& job, const Models& models, const Comm& comm) {
    return json_text(nlohmann::ordered_json{
        {"checkpoint", fmt::format("{:08x}", weights_checksum(models.transformer->parameters()))},
        {"tokenizer", fmt::format("{:08x}", weights_checksum(models.tokenizer->parameters()))},
        {"features", models.features.fingerprint()},
        {"reference", fmt::format("{:08x}", reference_checksum(models, comm))},
        {"method", job.method},
        {"objective", job.objective},
        {"search", job.groups},
        {"steps", job.steps},
        {"images", job.images},
        {"rounded", job.rounded},
        {"seed", job.seed}});
}

std::unique_ptr<SearchMethod> make_method(const StrategySearchJob& job, const Strategy& start) {
    SearchSettings settings;
    settings.updates = job.updates;
    settings.spsa.seed = settings.cma_es.seed = job.seed;
    std::string name = job.method;
    std::ranges::replace(name, '-', '_');
    return make_search_method(name, SearchSpace(job.steps, parse_search_groups(job.groups)), start, settings);
}

// The seed of an update's pictures, and of those on which results are reported.
std::uint64_t update_seed(std::uint64_t seed, std::int64_t update) {
    return seed * 0x9e3779b97f4a7c15u + static_cast<std::uint64_t>(update);
}
std::uint64_t fresh_seed(std::uint64_t seed, std::int64_t repeat) {
    return ~update_seed(seed, repeat);
}

class Search {
  public:
    Search(const StrategySearchJob& job, const Comm& comm, const Models& models, StrategyObjective& objective,
           SearchMethod& method, const Strategy& start, StrategyFolder& folder)
        : job_(job),
          comm_(comm),
          models_(models),
          objective_(objective),
          method_(method),
          start_(start),
          folder_(folder) {}

    void run(std::int64_t drawn_before) {
        drawn_ = drawn_before;
        begun_ = std::chrono::steady_clock::now();
        if (!method_.finished()) say_cost();
        while (!method_.finished() && !comm_.any(stop_signals::requested()))
            if (!update()) break;
        line_.clear();
        if (!method_.finished())
            print_text(
                fmt::format("stopped after update {}; the same command continues\n", method_.update()));
    }

  private:
    Strategy strategy_at(std::span<const double> x) const {
        Strategy strategy = start_;
        method_.space().assign(x, strategy);
        // Finite differences probe a ratio of 1, which strategy files do not hold; the same number of tokens.
        for (double& ratio : strategy.ratios) ratio = std::min(ratio, 1 - 1e-12);
        return strategy;
    }

    // The pictures of an update and, from one batch of them, its time.
    void say_cost() {
        const auto points = static_cast<std::int64_t>(method_.ask().size());
        const auto start = std::chrono::steady_clock::now();
        ObjectiveRule rule = objective_.rule();
        rule.images = std::clamp<std::int64_t>(job_.batch, 2, rule.images);
        const QualityReference none(Moments{}, FeatureMatrix{});
        StrategyObjective sample(*models_.transformer, *models_.tokenizer, models_.features,
                                 comm_.rank() == 0 ? *models_.reference : none, rule, job_.batch, comm_);
        sample.measure(start_, 0, false);
        const std::chrono::duration<double> spent = std::chrono::steady_clock::now() - start;
        const double seconds =
            spent.count() * static_cast<double>(points * job_.images) / static_cast<double>(rule.images);
        print_text(
            fmt::format("{} of {} numbers in {} steps: an update evaluates {} strategies of {} pictures, {} "
                        "pictures, about "
                        "{}\n",
                        job_.method, method_.space().searched().size(), job_.steps, points, job_.images,
                        points * job_.images, duration_text(seconds)));
    }

    // False if a request to stop came before it was complete.
    bool update() {
        const std::vector<SearchPoint> points = method_.ask();
        const std::int64_t update = method_.update();
        std::vector<double> values;
        for (const SearchPoint& point : points) {
            if (comm_.any(stop_signals::requested())) return false;
            const auto number = values.size();
            values.push_back(objective_.evaluate(strategy_at(point.x), update_seed(job_.seed, update),
                                                 [&](std::int64_t done, std::int64_t count) {
                                                     line_.show(fmt::format(
                                                         "update {}: strategy {} of {}, {} of {} pictures",
                                                         update, number + 1, points.size(), done, count));
                                                 }));
            drawn_ += job_.images;
            folder_.append({std::string(method_.name()), update, point.phase, point.x, values.back(),
                            std::nullopt, drawn_, method_.learning_rates()});
        }
        method_.tell(values);
        folder_.save(method_, drawn_);
        folder_.draw_curves(method_);
        say_update(update, points, values);
        return true;
    }

    void say_update(std::int64_t update, std::span<const SearchPoint> points,
                    std::span<const double> values) {
        const std::chrono::duration<double> spent = std::chrono::steady_clock::now() - begun_;
        line_.clear();
        std::string text = fmt::format("update {}/{}", update, job_.updates);
        for (std::size_t i = 0; i < points.size(); ++i)
            if (points[i].phase.starts_with("stp_")) text += fmt::format("  objective {:.6g}", values[i]);
        if (folder_.best()) text += fmt::format("  best {:.6g}", folder_.best()->objective);
        print_text(fmt::format("{}  {} pictures, {}\n", text, drawn_, duration_text(spent.count())));
    }

    const StrategySearchJob& job_;
    const Comm& comm_;
    const Models& models_;
    StrategyObjective& objective_;
    SearchMethod& method_;
    const Strategy& start_;
    StrategyFolder& folder_;
    std::int64_t drawn_ = 0;
    std::chrono::steady_clock::time_point begun_;
    LiveLine line_;
};

// Mean and standard error of a figure over repeats.
std::string mean_text(const std::vector<double>& values, const char* format) {
    const auto n = static_cast<double>(values.size());
    double mean = 0, squares = 0;
    for (const double value : values) mean += value / n;
    for (const double value : values) squares += (value - mean) * (value - mean);
    const double error = values.size() > 1 ? std::sqrt(squares / (n - 1) / n) : 0;
    return fmt::format("{} +- {}", fmt::format(fmt::runtime(format), mean),
                       fmt::format(fmt::runtime(format), error));
}

// The search's own objective is biased for what it found: figures are those of fresh seeds, and the second
// measures, which were not optimised, stand beside them.
void report(const StrategySearchJob& job, const Comm& comm, const Models& models, const Strategy& start,
            const std::optional<Strategy>& best) {
    if (job.repeats == 0) return;
    const QualityReference none(Moments{}, FeatureMatrix{});
    ObjectiveRule rule{{}, job.images, job.rounded};
    StrategyObjective objective(*models.transformer, *models.tokenizer, models.features,
                                comm.rank() == 0 ? *models.reference : none, rule, job.batch, comm);
    print_text(fmt::format(
        "{} fresh seeds of {} pictures, mean +- standard error:\n{:<10}{:>24}{:>26}{:>20}{:>20}\n",
        job.repeats, job.images, "", models.features.distance_name(), "kernel distance", "precision",
        "recall"));
    const auto row = [&](const char* name, const Strategy& strategy) {
        std::vector<double> frechet, kernel, precision, recall;
        for (std::int64_t i = 0; i < job.repeats; ++i) {
            const Quality quality = objective.measure(strategy, fresh_seed(job.seed, i), true);
            if (comm.rank() > 0) continue;
            frechet.push_back(quality.frechet);
            if (quality.kernel) kernel.push_back(quality.kernel->value);
            if (quality.manifold) precision.push_back(quality.manifold->precision);
            if (quality.manifold) recall.push_back(quality.manifold->recall);
        }
        if (comm.rank() > 0) return;
        const auto cell = [](const std::vector<double>& values, const char* format) {
            return values.empty() ? std::string("-") : mean_text(values, format);
        };
        print_text(fmt::format("{:<10}{:>24}{:>26}{:>20}{:>20}\n", name, cell(frechet, "{:.4f}"),
                               cell(kernel, "{:.5f}"), cell(precision, "{:.4f}"), cell(recall, "{:.4f}")));
    };
    row("start", start);
    if (best) row("found", *best);
}

void run_job(const StrategySearchJob& job, const Comm& comm) {
    comm.require_built();
    if (job.out.empty()) fail_usage("--out is required");
    const Strategy start = start_of(job);
    const Models models = load_models(job, comm);
    const std::int64_t tokens = models.metadata.config.tokens();
    if (job.steps > tokens) fail_usage("--steps {}: the model has {} tokens", job.steps, tokens);
    require_distinct_folder({"--out", job.out}, job.inputs());
    StrategySearchJob resolved = job;
    if (resolved.objective.empty()) resolved.objective = models.features.distance_key();
    const ObjectiveRule rule{parse_objective(resolved.objective, models.features), job.images, job.rounded};
    if (comm.rank() == 0 && !models.reference->has_features() &&
        (rule.terms.kernel != 0 || rule.terms.needs_manifold()))
        fail_usage("--objective {}: {} holds statistics without features", resolved.objective, job.reference);
    const QualityReference none(Moments{}, FeatureMatrix{});
    StrategyObjective objective(*models.transformer, *models.tokenizer, models.features,
                                comm.rank() == 0 ? *models.reference : none, rule, job.batch, comm);
    const auto method = make_method(job, start);
    StrategyFolder folder(job.out, comm.rank() == 0);
    std::int64_t drawn = 0;
    if (folder.open(*method, settings_of(resolved, models, comm), start, drawn))
        print_text(method->finished()
                       ? fmt::format("{} has done its {} updates\n", job.out, method->update())
                       : fmt::format("continuing {} after update {}\n", job.out, method->update()));
    stop_signals::finish_step_first();
    Search(resolved, comm, models, objective, *method, start, folder).run(drawn);
    if (!method->finished()) return;
    std::optional<Strategy> best;
    if (folder.best()) {
        best = start;
        method->space().assign(folder.best()->x, *best);
    }
    report(job, comm, models, start, best);
}

}  // namespace

void add_strategy_search_job(CommandLine& app, const Comm& comm) {
    CommandLine* command = app.add_subcommand(
        "strategy",
        "Search the generation strategy of a masked-token transformer by the quality of its pictures");
    const auto job = std::make_shared<StrategySearchJob>();
    const auto file = [&](const char* name, std::string& value, const char* meaning) {
        return command->add_option(name, value, meaning)->type_name("FILE");
    };
    file("--checkpoint", job->checkpoint, "The transformer; its averaged weights, if there are any")
        ->required();
    file("--tokenizer", job->tokenizer, "Tokenizer whose codes it predicts")->required();
    file("--features", job->features,
         "Feature network of the objective, as build/sample evaluate quality takes it")
        ->required();
    command
        ->add_option("--reference", job->reference,
                     "Pictures to compare with, or an .npz of their statistics")
        ->type_name("PATH")
        ->required();
    command
        ->add_option("--convention", job->convention, "Of Inception's input: pytorch-fid or torch-fidelity")
        ->type_name("NAME");
    command
        ->add_option("--out", job->out,
                     "Folder of the search: search.json, history.csv, curves.png, best.json; a search there "
                     "continues")
        ->type_name("DIR");
    command->add_option("--steps", job->steps, "Steps T of the strategy")
        ->capture_default_str()
        ->check(within(2, max_decoding_steps));
    command
        ->add_option("--start", job->start,
                     "Strategy to begin with, a name or a file (default: AutoNAT's start)")
        ->type_name("NAME|FILE");
    command
        ->add_option(
            "--method", job->method,
            "finite-differences, as AutoNAT's authors released it; spsa and cma-es need fewer pictures")
        ->type_name("NAME")
        ->capture_default_str()
        ->check(one_of({"finite-differences", "spsa", "cma-es"}));
    command
        ->add_option(
            "--objective", job->objective,
            "What is made small: fid or fd (the default), kid, -is, or a weighted sum with precision and "
            "recall, fd,-10*recall")
        ->type_name("SUM");
    command
        ->add_option(
            "--schedules", job->groups,
            "Which schedules move: all, or some of ratios, remask_temperatures, sampling_temperatures, "
            "guidance_scales, with commas")
        ->type_name("NAMES")
        ->capture_default_str();
    command->add_option("--updates", job->updates, "Updates of the strategy")
        ->capture_default_str()
        ->check(within(1, 1'000'000));
    command->add_option("--images", job->images, "Pictures of an evaluation")
        ->capture_default_str()
        ->check(within(2, 10'000'000));
    command->add_option("--batch", job->batch, "Pictures at once")
        ->capture_default_str()
        ->check(within(1, 4096));
    command->add_flag(
        "--rounded", job->rounded,
        "Measure pictures of 8 bits (default: the decoder's output, clamped, as in the release)");
    command
        ->add_option("--repeats", job->repeats,
                     "At the end, measure start and result on so many fresh seeds; 0 for none")
        ->capture_default_str()
        ->check(within(0, 1000));
    command->add_option("--seed", job->seed, "Of all random numbers")
        ->capture_default_str()
        ->check(any_seed());
    add_backend_flags(*command, job->backend);
    command->callback([job, &comm] { run_job(*job, comm); });
}
