// `build/train strategy`: searches the strategies of a masked-token transformer whose pictures are the best by a
// measure of quality: of generation (the four schedules of decoding), of training (the distribution of masks), or
// both by turns.
#include <memory>

#include "runtime/base/command_line.h"
#include "runtime/base/error.h"
#include "train/jobs.h"
#include "train/search/strategy_search.h"
#include "train/stop_signals.h"

namespace {

constexpr const char *generation = "generation", *training = "mask-distribution", *both = "both";

struct StrategySearchJob {
    StrategySearchRule rule;
    std::string search = generation;
    bool no_baselines = false;
};

void run_job(StrategySearchJob& job, const Comm& comm) {
    comm.require_built();
    if (job.rule.out.empty()) fail_usage("--out is required");
    require_distinct_folder({"--out", job.rule.out}, job.rule.inputs());
    if (job.no_baselines) job.rule.baselines.names.clear();
    stop_signals::finish_step_first();
    StrategySearch search(job.rule, comm);
    if (job.search == generation)
        search.search_generation();
    else if (job.search == training)
        search.search_masks();
    else
        search.search_both();
}

void add_measure_flags(CommandLine& app, StrategySearchRule& rule) {
    const auto file = [&](const char* name, std::string& value, const char* meaning) {
        return app.add_option(name, value, meaning)->type_name("FILE");
    };
    file("--features", rule.features,
         "Feature network of the objective, as build/sample evaluate quality takes it")
        ->required();
    file("--second-features", rule.second_features,
         "Another network, which is not optimised: its distance is reported beside, since an optimiser can "
         "fool one");
    app.add_option("--reference", rule.reference, "Pictures to compare with, or an .npz of their statistics")
        ->type_name("PATH")
        ->required();
    app.add_option("--convention", rule.convention, "Of Inception's input: pytorch-fid or torch-fidelity")
        ->type_name("NAME");
    app.add_option(
           "--objective", rule.objective,
           "What is made small: fid or fd (the default), kid, -is, or a weighted sum with precision and "
           "recall, fd,-10*recall")
        ->type_name("SUM");
    app.add_option("--images", rule.images, "Pictures of an evaluation")
        ->capture_default_str()
        ->check(within(2, 10'000'000));
    app.add_option("--batch", rule.batch,
                   "Pictures at once; the strategies of an update are drawn side by side, as many as fit")
        ->capture_default_str()
        ->check(within(1, 65536));
    app.add_flag("--rounded", rule.rounded,
                 "Measure pictures of 8 bits (default: the decoder's output, clamped, as in the release)");
    app.add_flag("--balanced", rule.balanced,
                 "As many pictures of each class or text, a shuffled round of all after another: less noise "
                 "(default: drawn independently, as in the release)");
    app.add_option(
           "--repeats", rule.repeats,
           "Sets of pictures, of seeds of their own, by which models and baselines are chosen, and as many "
           "fresh ones for the table at the end; 0: no table")
        ->capture_default_str()
        ->check(within(0, 1000));
}

void add_generation_flags(CommandLine& app, StrategySearchRule& rule) {
    app.add_option("--steps", rule.steps, "Steps T of the generation strategy")
        ->capture_default_str()
        ->check(within(2, max_decoding_steps));
    app.add_option(
           "--start", rule.start,
           "Strategy to begin with: a name, a file, or baseline, the best of the baselines, each at its "
           "best setting, and of AutoNAT's start (default: AutoNAT's start)")
        ->type_name("NAME|FILE");
    app.add_option(
           "--method", rule.generation.method,
           "finite-differences, as AutoNAT's authors released it; spsa and cma-es need fewer pictures")
        ->type_name("NAME")
        ->capture_default_str()
        ->check(one_of({"finite-differences", "spsa", "cma-es"}));
    app.add_option(
           "--schedules", rule.generation.schedules,
           "Which schedules move: all, or some of ratios, remask_temperatures, sampling_temperatures, "
           "guidance_scales, with commas")
        ->type_name("NAMES")
        ->capture_default_str();
    app.add_option("--updates", rule.generation.updates, "Updates of the generation strategy, in each round")
        ->capture_default_str()
        ->check(within(1, 1'000'000));
}

void add_training_search_flags(CommandLine& app, StrategySearchRule& rule) {
    app.add_option("--tokens", rule.tokens, "Training tokens of --checkpoint, for candidates")
        ->type_name("FILE");
    app.add_option("--alpha", rule.masks.alphas,
                   "Grid of the masks' Beta distribution: alphas (default 4,8,12,16)")
        ->delimiter(',');
    app.add_option("--beta", rule.masks.betas, "The same: betas (default 1,2,3,4)")->delimiter(',');
    app.add_option(
           "--train-steps", rule.masks.steps,
           "Updates of a candidate's training (default: as many as --checkpoint had); with fewer, the best "
           "two that their figures do not tell apart are trained to their end")
        ->check(at_least(1));
    app.add_option("--rounds", rule.rounds, "Most rounds of --search both")
        ->capture_default_str()
        ->check(within(1, 1000));
}

void add_baseline_flags(CommandLine& app, BaselineGrid& grid, bool& no_baselines) {
    app.add_option("--baselines", grid.names,
                   "Strategies of the literature in the table, each at its best setting (default "
                   "cosine,muse,halton)")
        ->delimiter(',');
    app.add_flag("--no-baselines", no_baselines, "None of them");
    app.add_option("--baseline-guidance", grid.guidance_scales,
                   "Settings tried: largest guidance scales s (default 0,1,2,4)")
        ->delimiter(',');
    app.add_option("--baseline-temperatures", grid.temperatures,
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
        ->add_option("--checkpoint", job->rule.checkpoint,
                     "The transformer; its averaged weights, if there are any")
        ->type_name("FILE")
        ->required();
    command->add_option("--tokenizer", job->rule.tokenizer, "Tokenizer whose codes it predicts")
        ->type_name("FILE")
        ->required();
    command
        ->add_option(
            "--out", job->rule.out,
            "Folder of the search: history.csv, curves.png, best.json (a strategy file), table.json; of the "
            "training search masks.png, candidates, model.safetensors; a search there continues")
        ->type_name("DIR");
    command
        ->add_option(
            "--captions", job->rule.captions,
            "Of a model of texts: a packed file or a token file, of whose captions an evaluation draws from "
            "random ones")
        ->type_name("FILE");
    command
        ->add_option("--text-encoder", job->rule.text_encoder,
                     "Weights of the text encoder of a model that has none of its own")
        ->type_name("FILE");
    add_measure_flags(*command, job->rule);
    add_generation_flags(*command, job->rule);
    add_training_search_flags(*command, job->rule);
    add_baseline_flags(*command, job->rule.baselines, job->no_baselines);
    command->add_option("--seed", job->rule.generation.seed, "Of all random numbers")
        ->capture_default_str()
        ->check(any_seed());
    add_backend_flags(*command, job->rule.backend);
    command->callback([job, &comm] { run_job(*job, comm); });
}
