#include "train/search/mask_search.h"

#include <algorithm>

#include "runtime/base/error.h"
#include "runtime/base/number_text.h"
#include "runtime/files/safetensors.h"
#include "train/nat_trainer.h"
#include "train/progress.h"
#include "train/stop_signals.h"

namespace {

bool same(const MaskRule& a, const MaskRule& b) {
    return a.alpha == b.alpha && a.beta == b.beta;
}

std::string text_of(const MaskRule& mask) {
    return fmt::format("alpha {}, beta {}", number_text(mask.alpha), number_text(mask.beta));
}

void require_grid(const char* flag, const std::vector<double>& values) {
    if (values.empty()) fail_usage("--{}: expected numbers, as in --{} 1,2,3", flag, flag);
    for (const double value : values) require_range(flag, value, 1e-3, 1e6);
}

// `steps` updates in place of those of the settings; the warm-up is the same share of them.
TrainingSettings with_steps(TrainingSettings settings, std::int64_t steps) {
    LearningRateSchedule& rate = settings.learning_rate;
    rate.warmup_steps = rate.warmup_steps * steps / settings.steps;
    settings.steps = rate.steps = steps;
    return settings;
}

TrainingSettings with_mask(TrainingSettings settings, const MaskRule& mask) {
    for (auto& [flag, value] : settings.own) {
        if (flag == "mask-alpha") value = mask.alpha;
        if (flag == "mask-beta") value = mask.beta;
    }
    return settings;
}

}  // namespace

MaskSearch::MaskSearch(const MaskSearchRule& rule, const std::string& base, const std::string& tokens,
                       const std::filesystem::path& folder, const BackendFlags& backend, const Comm& comm)
    : rule_(rule), base_(base), folder_(folder), backend_(backend), comm_(comm), tokens_(tokens) {
    require_grid("alpha", rule.alphas);
    require_grid("beta", rule.betas);
    const SafetensorsFile file(base);
    config_ = read_nat_metadata(file).config;
    if (!file.metadata().contains("training"))
        fail(
            "{}: does not know how it was trained, and candidates are trained as it was: expected a "
            "checkpoint of "
            "build/train nat",
            base);
    settings_ = parse_training(file.metadata("training"), comm.ranks(), base);
    if (!settings_.has("mask-alpha"))
        fail_usage(
            "{}: was trained with --mask cosine; the search starts from a Beta distribution's alpha and beta",
            base);
    require_fitting_tokens(config_, tokens_);
    conditions_ = own_conditions(config_, tokens_, base);
    if (comm.local_rank() == 0) tokens_.verify();
    if (rule_.steps == 0) rule_.steps = settings_.steps;
}

MaskRule MaskSearch::base_mask() const {
    return {settings_.of("mask-alpha"), settings_.of("mask-beta")};
}

std::filesystem::path MaskSearch::run_folder(const MaskRule& mask, std::int64_t steps) const {
    return folder_ /
           fmt::format("alpha-{}-beta-{}-steps-{}", number_text(mask.alpha), number_text(mask.beta), steps);
}

std::optional<std::string> MaskSearch::trained(const MaskRule& mask, std::int64_t steps) const {
    if (same(mask, base_mask()) && steps == base_steps()) return base_;
    const std::filesystem::path path = run_folder(mask, steps);
    print_text(fmt::format("training with {} into {}\n", text_of(mask), path.string()));
    RunFlags flags;
    flags.backend = backend_;
    flags.out = path.string();
    flags.log_every = 50;
    flags.keep = 1;
    NatTrainer trainer(config_, with_mask(with_steps(settings_, steps), mask),
                       backend_.backend(comm_.local_rank()), false, 0, tokens_, *conditions_,
                       flags.ranks(comm_));
    require_memory({trainer.state_bytes(), trainer.plan().bytes, 0, "a smaller batch lowers the activations"},
                   trainer.device(), comm_);
    RunFolder folder(path, comm_.rank() == 0);
    trainer.set_evaluation([](const RunFolder&, Progress&) { return std::vector<double>(); });
    trainer.start();
    train_in_folder(trainer, flags, trainer.settings(), comm_, folder, trainer.description(""), [] {});
    if (trainer.steps_done() < steps) return std::nullopt;
    return (path / "last.safetensors").string();
}

std::optional<std::vector<MaskCandidate>> MaskSearch::run(const MaskRule& mask, const ObjectiveTerms& terms,
                                                          const Score& score) const {
    std::vector<MaskCandidate> tried;
    const auto best = [&] {
        return std::ranges::min_element(tried, {}, [&](const MaskCandidate& candidate) {
            return mean_error(candidate.figures, terms).mean;
        });
    };
    const auto attempt = [&](const MaskRule& each) {
        if (std::ranges::any_of(tried, [&](const MaskCandidate& one) { return same(one.mask, each); }))
            return true;
        const auto checkpoint = trained(each, candidate_steps());
        if (!checkpoint) return false;
        const auto figures = score(*checkpoint);
        if (!figures) return false;
        tried.push_back({each, *checkpoint, *figures});
        const MeanError value = mean_error(*figures, terms);
        print_text(fmt::format("{}: objective {}\n", text_of(each), text_of(value, 4)));
        return true;
    };
    if (!attempt(mask)) return std::nullopt;
    for (const double alpha : rule_.alphas)
        if (!attempt({alpha, mask.beta})) return std::nullopt;
    const double alpha = best()->mask.alpha;
    for (const double beta : rule_.betas)
        if (!attempt({alpha, beta})) return std::nullopt;
    std::ranges::stable_sort(tried, {},
                             [&](const MaskCandidate& each) { return mean_error(each.figures, terms).mean; });
    return tried;
}

std::vector<MaskRule> contenders(const std::vector<MaskCandidate>& tried, const MaskRule& current,
                                 const ObjectiveTerms& terms, std::size_t most) {
    std::vector<MaskRule> chosen;
    for (const MaskCandidate& each : tried) {
        std::vector<double> behind;
        for (std::size_t i = 0; i < each.figures.size(); ++i)
            behind.push_back(terms.of(each.figures[i]) - terms.of(tried.front().figures[i]));
        const MeanError difference = mean_error(behind);
        if (chosen.size() < most && !same(each.mask, current) && !(difference.mean > 2 * difference.error))
            chosen.push_back(each.mask);
    }
    return chosen;
}

std::string candidates_text(const std::vector<MaskCandidate>& candidates, const SearchModels& models,
                            const ObjectiveTerms& terms) {
    std::string text = fmt::format(
        "{:>7}{:>7}{:>12}{:>11}{:>22}{:>20}{:>22}{:>18}{:>18}\n", "alpha", "beta", "mean ratio", "deviation",
        "objective", models.measure.features.distance_name(), "kernel distance", "precision", "recall");
    for (const MaskCandidate& candidate : candidates) {
        const double a = candidate.mask.alpha, b = candidate.mask.beta;
        const auto figure = [&](double Figures::*member, int digits) {
            return text_of(mean_error(candidate.figures, member), digits);
        };
        text += fmt::format("{:>7}{:>7}{:>12.3f}{:>11.3f}{:>22}{:>20}{:>22}{:>18}{:>18}\n", number_text(a),
                            number_text(b), a / (a + b), std::sqrt(a * b / (a + b + 1)) / (a + b),
                            text_of(mean_error(candidate.figures, terms), 4), figure(&Figures::frechet, 4),
                            figure(&Figures::kernel, 5), figure(&Figures::precision, 4),
                            figure(&Figures::recall, 4));
    }
    return text;
}
