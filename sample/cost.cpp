// `build/sample cost`: cost of a model by formula and, for fractal models, measured on this machine.
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "models/fractal/cost.h"
#include "models/fractal/fractal.h"
#include "runtime/base/command_line.h"
#include "runtime/base/error.h"
#include "runtime/base/json_keys.h"
#include "sample/cost_claims.h"
#include "sample/cost_measure.h"
#include "sample/jobs.h"
#include "sample/nat_cost.h"

namespace {

struct CostJob {
    std::string preset, config;
    std::vector<std::int64_t> iterations;
    double guidance = 1;
    std::int64_t batch = 16;
    bool json = false, measure = false;
};

FractalConfig choose_config(const CostJob& job) {
    if (job.preset.empty() == job.config.empty()) fail_usage("expected either --preset or --config");
    if (!job.config.empty()) return read_fractal_config(job.config);
    return fractal_preset(job.preset).config;
}

// The masked-token transformer of that name, null if it is none.
const NatPreset* nat_preset_named(const std::string& name) {
    const auto known = std::ranges::find(nat_presets(), name, &NatPreset::name);
    return known == nat_presets().end() ? nullptr : &*known;
}

// Everything that is reported, one way or the other.
struct Report {
    FractalConfig config;
    SamplingCostRule rule;
    FractalCost cost;
    MemoryCost memory;
    std::vector<CostClaim> claims;
    std::optional<CostMeasurement> measured;
};

Report make_report(const CostJob& job) {
    Report report;
    report.config = choose_config(job);
    report.rule.iterations = job.iterations.empty() ? recommended_iterations(report.config) : job.iterations;
    if (!std::isfinite(job.guidance)) fail_usage("--cfg {}: expected a finite number", job.guidance);
    report.rule.guided = job.guidance != 1;
    report.cost = fractal_cost(report.config, report.rule);
    const ChunkSizes chunks = FractalModel(report.config, Device::cpu).default_chunks();
    report.memory =
        memory_cost(report.cost, job.batch, report.rule.guided ? 2 * job.batch : job.batch, chunks);
    report.claims = cost_claims(job.preset);
    if (job.measure)
        report.measured = measure_cost(report.config, report.rule.iterations, job.batch, job.guidance);
    return report;
}

std::string network_name(const NetworkCost& network, const FractalConfig& config) {
    switch (network.kind) {
        case NetworkCost::Kind::ar:
            return fmt::format("level {}, ar", network.level);
        case NetworkCost::Kind::mar:
            return fmt::format("level {}, mar", network.level);
        case NetworkCost::Kind::guiding_pixel:
            return fmt::format("level {}, guiding pixel", network.level);
        case NetworkCost::Kind::pixel:
            break;
    }
    return config.of_codes() ? "codes" : "pixels";
}

// A whole number with commas between thousands.
std::string grouped(double number) {
    const std::string digits = fmt::format("{:.0f}", number);
    std::string text;
    for (std::size_t i = 0; i < digits.size(); ++i) {
        if (i > 0 && (digits.size() - i) % 3 == 0) text += ',';
        text += digits[i];
    }
    return text;
}

double mebibytes(double bytes) {
    return bytes / 0x1p20;
}

void print_networks(const Report& report) {
    const double full = full_attention_entries(report.config);
    fmt::print("{:<24}{:>7}{:>7}{:>8}{:>7}{:>14}{:>12}{:>13}{:>12}{:>18}\n", "", "tokens", "width", "blocks",
               "heads", "parameters", "sequences", "in training", "attention", "of full");
    for (const NetworkCost& network : report.cost.networks)
        fmt::print("{:<24}{:>7}{:>7}{:>8}{:>7}{:>14}{:>12}{:>13.1f}{:>12}{:>18}\n",
                   network_name(network, report.config), network.tokens, network.width, network.blocks,
                   network.heads, grouped(static_cast<double>(network.parameters)),
                   grouped(network.sequences), network.training_sequences, grouped(network.attention_entries),
                   fmt::format("1 / {}", grouped(full / network.attention_entries)));
    fmt::print("{:<24}{:>43}\n\n", "class embeddings",
               grouped(static_cast<double>(report.cost.class_parameters)));
    fmt::print(
        "sequences: of one image with all its patches; in training, where a mar level hands on its masked "
        "patches only, on average\nattention: entries of the attention matrices of one image, sequences x "
        "tokens^2; full attention over all pixels has {}\n\n",
        grouped(full));
}

void print_operations(const Report& report) {
    const auto row = [](const std::string& name, double published, double forward, double training,
                        double sampling) {
        fmt::print("{:<24}{:>16.3f}{:>16.3f}{:>16.3f}{:>16.3f}\n", name, published / 1e9, forward / 1e9,
                   training / 1e9, sampling / 1e9);
    };
    fmt::print("{:<24}{:>16}{:>16}{:>16}{:>16}\n", "GFLOP of one image", "forward, paper", "forward, here",
               "training", "sampling");
    for (const NetworkCost& network : report.cost.networks)
        row(network_name(network, report.config), network.published_forward, network.forward,
            network.training, network.sampling);
    const FractalCost& cost = report.cost;
    row("together", cost.sum(&NetworkCost::published_forward), cost.sum(&NetworkCost::forward),
        cost.sum(&NetworkCost::training), cost.sum(&NetworkCost::sampling));
    fmt::print(
        "\nforward: a pass over all patches, 2 operations per multiply-add; \"paper\" counts the published "
        "sequences as the paper does,\n\"here\" what this engine computes (no token or pair of tokens that "
        "no "
        "output looks at; the conditions' projections)\ntraining: forward and backward of the sequences that "
        "training runs\nsampling: {}, --iters {}\n(ar levels: one step a patch, keys and values kept; mar "
        "levels: the whole sequence in each step)\n\n",
        report.rule.guided ? "with guidance, every sequence twice" : "without guidance, which doubles it",
        fmt::join(report.rule.iterations, ","));
}

void print_memory(const Report& report, std::int64_t batch) {
    fmt::print("{:<24}{:>16}{:>16}\n", "MiB of one sequence", "training", "sampling");
    for (const NetworkCost& network : report.cost.networks)
        fmt::print("{:<24}{:>16.3f}{:>16.3f}\n", network_name(network, report.config),
                   mebibytes(network.activation_bytes), mebibytes(network.cache_bytes));
    fmt::print(
        "\ntraining: activations kept for the backward pass, without --recompute; sampling: keys and values "
        "of ar levels\n\n");
    const MemoryCost& memory = report.memory;
    fmt::print(
        "{:<24}{:>12.1f} MiB  weights {:.1f}, gradients {:.1f}, AdamW's moments {:.1f}, activations {:.1f}\n",
        fmt::format("training, batch {}", batch), mebibytes(memory.training()), mebibytes(memory.weights),
        mebibytes(memory.gradients), mebibytes(memory.moments), mebibytes(memory.activations));
    fmt::print("{:<24}{:>12.1f} MiB  weights {:.1f}, keys and values {:.1f}\n",
               fmt::format("sampling, batch {}", batch), mebibytes(memory.weights + memory.caches),
               mebibytes(memory.weights), mebibytes(memory.caches));
    fmt::print(
        "(fp32; every level on one chunk of sequences at a time; the memory of a run: build/train fractal "
        "--plan)\n");
}

void print_claims(const std::vector<CostClaim>& claims) {
    if (claims.empty()) return;
    fmt::print("\n{:<58}{:>16}{:>16}\n", "the paper's figures", "here", "published");
    for (const CostClaim& claim : claims)
        fmt::print(
            "{:<58}{:>16}{:>16}\n", claim.what,
            claim.decimals == 0 ? grouped(claim.ours) : fmt::format("{:.{}f}", claim.ours, claim.decimals),
            (claim.roughly ? "about " : "") + grouped(claim.published));
}

// Operations per second and the share of the ceiling.
void print_measured(const Report& report, std::int64_t batch) {
    const CostMeasurement& measured = *report.measured;
    const auto row = [&](const char* name, double seconds, double operations, double bytes) {
        fmt::print(
            "{:<24}{:>12.3f} s{:>14.1f} GFLOP{:>10.1f} GFLOP/s  {:.2f} of the ceiling{:>12.1f} MiB planned\n",
            name, seconds, operations / 1e9, operations / seconds / 1e9,
            operations / seconds / measured.ceiling, mebibytes(bytes));
    };
    const auto images = static_cast<double>(batch);
    fmt::print(
        "\nmeasured here, {} images, random weights; ceiling {:.1f} GFLOP/s (product of 2048 x 2048 "
        "matrices)\n",
        batch, measured.ceiling / 1e9);
    row("forward and backward", measured.training_seconds, images * report.cost.sum(&NetworkCost::training),
        measured.training_bytes);
    row("sampling", measured.sampling_seconds, images * report.cost.sum(&NetworkCost::sampling),
        measured.sampling_bytes);
}

void print_tables(const Report& report, const CostJob& job) {
    const FractalConfig& config = report.config;
    fmt::print("{}: {}, {} parameters\n\n", job.preset.empty() ? job.config : job.preset, images_of(config),
               grouped(static_cast<double>(report.cost.parameters())));
    print_networks(report);
    print_operations(report);
    print_memory(report, job.batch);
    print_claims(report.claims);
    if (report.measured) print_measured(report, job.batch);
}

nlohmann::ordered_json network_json(const NetworkCost& network, const FractalConfig& config) {
    return {{"name", network_name(network, config)},
            {"tokens", network.tokens},
            {"width", network.width},
            {"blocks", network.blocks},
            {"heads", network.heads},
            {"parameters", network.parameters},
            {"sequences", network.sequences},
            {"training_sequences", network.training_sequences},
            {"published_forward_operations", network.published_forward},
            {"forward_operations", network.forward},
            {"training_operations", network.training},
            {"sampling_operations", network.sampling},
            {"attention_entries", network.attention_entries},
            {"activation_bytes", network.activation_bytes},
            {"cache_bytes", network.cache_bytes}};
}

void print_json(const Report& report, const CostJob& job) {
    nlohmann::ordered_json json{
        {"model", parse_ordered_json(to_json(report.config))},
        {"iterations", report.rule.iterations},
        {"guided", report.rule.guided},
        {"batch", job.batch},
        {"parameters", report.cost.parameters()},
        {"published_forward_operations", report.cost.sum(&NetworkCost::published_forward)},
        {"forward_operations", report.cost.sum(&NetworkCost::forward)},
        {"training_operations", report.cost.sum(&NetworkCost::training)},
        {"sampling_operations", report.cost.sum(&NetworkCost::sampling)},
        {"full_attention_entries", full_attention_entries(report.config)},
        {"weight_bytes", report.memory.weights},
        {"gradient_bytes", report.memory.gradients},
        {"moment_bytes", report.memory.moments},
        {"activation_bytes", report.memory.activations},
        {"cache_bytes", report.memory.caches}};
    for (const NetworkCost& network : report.cost.networks)
        json["networks"].push_back(network_json(network, report.config));
    for (const CostClaim& claim : report.claims)
        json["paper"].push_back(
            {{"figure", claim.what}, {"here", claim.ours}, {"published", claim.published}});
    if (report.measured)
        json["measured"] = {{"ceiling_operations_per_second", report.measured->ceiling},
                            {"training_seconds", report.measured->training_seconds},
                            {"sampling_seconds", report.measured->sampling_seconds},
                            {"training_planned_bytes", report.measured->training_bytes},
                            {"sampling_planned_bytes", report.measured->sampling_bytes}};
    fmt::print("{}\n", json_text(json));
}

}  // namespace

void add_cost_job(CommandLine& app) {
    CommandLine* command = app.add_subcommand(
        "cost", "Parameters, operations and memory of a model by formula, against the paper's figures");
    const auto job = std::make_shared<CostJob>();
    std::string presets;
    for (const FractalPreset& preset : fractal_presets())
        presets += (presets.empty() ? "" : ", ") + std::string(preset.name);
    for (const NatPreset& preset : nat_presets()) presets += ", " + std::string(preset.name);
    command->add_option("--preset", job->preset, "Model by name: " + presets)->type_name("NAME");
    command->add_option("--config", job->config, "Model from a JSON file (keys: build/train fractal --help)")
        ->type_name("FILE");
    Option* iterations =
        command
            ->add_option(
                "--iters", job->iterations,
                "Sampling steps per level, outermost first (default 64,16,...); ignored for AR levels, which "
                "take one step per patch")
            ->delimiter(',');
    Option* guidance =
        command
            ->add_option("--cfg", job->guidance,
                         "Guidance scale of sampling; any other than 1 runs every sequence twice")
            ->capture_default_str();
    Option* batch = command->add_option("--batch", job->batch, "Images at once, for memory and --measure")
                        ->capture_default_str()
                        ->check(within(1, 1'000'000));
    command->add_flag("--json", job->json, "One JSON object (operations and bytes, not GFLOP and MiB)");
    Option* measure = command->add_flag(
        "--measure", job->measure,
        "Also run one training pass and sampling of --batch images with random weights, and print "
        "their share of this machine's ceiling");
    const std::vector<Option*> of_fractals{iterations, guidance, batch, measure};
    command->callback([job, of_fractals] {
        if (const NatPreset* nat = nat_preset_named(job->preset); nat != nullptr && job->config.empty()) {
            for (const Option* flag : of_fractals)
                if (flag->count() > 0)
                    fail_usage("{}: is for fractal models, {} is none", flag->get_name(), job->preset);
            return print_nat_cost(*nat, job->json);
        }
        const Report report = make_report(*job);
        if (job->json)
            print_json(report, *job);
        else
            print_tables(report, *job);
    });
}
