#include "train/search/strategy_objective.h"

#include <algorithm>
#include <charconv>

#include "data/records/sample_order.h"
#include "models/nat/pictures.h"
#include "runtime/base/error.h"
#include "runtime/tensor/random.h"
#include "train/stop_signals.h"

double ObjectiveTerms::of(const Figures& figures) const {
    double sum = 0;
    const auto add = [&](double weight, double figure) {
        if (weight != 0) sum += weight * figure;
    };
    add(frechet, figures.frechet);
    add(kernel, figures.kernel);
    add(inception_score, figures.inception_score);
    add(precision, figures.precision);
    add(recall, figures.recall);
    return sum;
}

std::vector<std::int64_t> evaluation_classes(std::int64_t classes, bool balanced, std::uint64_t seed,
                                             std::int64_t first, std::int64_t n) {
    std::vector<std::int64_t> chosen;
    SampleOrder rounds(seed, classes);
    const PhiloxKey key = random_key(seed, "class");
    for (std::int64_t i = first; i < first + n; ++i) {
        if (classes == 0) {
            chosen.push_back(-1);
        } else if (balanced) {
            chosen.push_back(rounds.record(i));
        } else {
            const float uniform = random_uniform(key, static_cast<std::uint64_t>(i));
            const auto choice = static_cast<std::int64_t>(static_cast<float>(classes) * uniform);
            chosen.push_back(std::min(choice, classes - 1));
        }
    }
    return chosen;
}

ObjectiveTerms parse_objective(std::string_view text, const Measure& measure, const Comm& comm) {
    const OpenedFeatures& features = measure.features;
    ObjectiveTerms terms;
    const auto refuse = [&](std::string_view term) {
        fail_usage("--objective {}: {} is not [-][WEIGHT*]NAME with one of {}, kid, precision, recall{}",
                   text, term.empty() ? "an empty term" : term, features.distance_key(),
                   features.network->inception() ? ", is" : "");
    };
    for (std::size_t begin = 0; begin <= text.size();) {
        const std::size_t end = std::min(text.find(',', begin), text.size());
        const std::string_view term = text.substr(begin, end - begin);
        begin = end + 1;
        std::string_view name = term;
        double weight = 1;
        if (name.starts_with('-')) {
            weight = -1;
            name.remove_prefix(1);
        }
        if (const std::size_t times = name.find('*'); times != std::string_view::npos) {
            double factor = 0;
            const auto read = std::from_chars(name.data(), name.data() + times, factor);
            if (read.ec != std::errc() || read.ptr != name.data() + times || !(factor > 0)) refuse(term);
            weight *= factor;
            name.remove_prefix(times + 1);
        }
        double* const place = name == features.distance_key()                 ? &terms.frechet
                              : name == "kid"                                 ? &terms.kernel
                              : name == "is" && features.network->inception() ? &terms.inception_score
                              : name == "precision"                           ? &terms.precision
                              : name == "recall"                              ? &terms.recall
                                                                              : nullptr;
        if (place == nullptr || *place != 0) refuse(term);
        *place = weight;
    }
    if (comm.rank() == 0 && !measure.reference.has_features() &&
        (terms.kernel != 0 || terms.needs_manifold()))
        fail_usage("--objective {}: the reference is statistics without features", text);
    return terms;
}

StrategyObjective::StrategyObjective(const NatTransformer& transformer, const SearchModels& models,
                                     const SearchTexts& texts, const ObjectiveRule& rule, std::int64_t batch,
                                     const Comm& comm)
    : transformer_(transformer),
      models_(models),
      classes_(texts.count() > 0 ? texts.count() : transformer.config().num_classes - 1),
      rule_(rule),
      batch_(batch),
      comm_(comm) {
    const std::int64_t side = transformer.config().img_size;
    const Tokenizer& tokenizer = *models.tokenizer;
    generator_ = std::make_unique<NatGenerator>(
        transformer, batch_, true,
        rule.rounded ? decode_into(tokenizer, side, bytes_) : decode_into(tokenizer, side, values_));
    if (texts.count() > 0) generator_->use_texts(texts.table());
}

std::int64_t StrategyObjective::most_at_once(std::int64_t steps) const {
    constexpr std::int64_t feature_bytes = std::int64_t{1} << 30;
    const std::int64_t each = rule_.images * models_.measure.features.network->feature_width() *
                              static_cast<std::int64_t>(sizeof(float));
    return std::max<std::int64_t>(1, std::min({batch_, max_decoding_steps / steps, feature_bytes / each}));
}

void StrategyObjective::draw(std::span<const Strategy> strategies, std::int64_t first, std::int64_t n,
                             std::uint64_t seed) {
    generator_->generate(evaluation_classes(classes_, rule_.balanced, seed, first, n), strategies,
                         {seed, first});
}

namespace {

// Pictures of S strategies, [S, n, ...], picture by picture: [n, S, ...].
template <class Value>
std::vector<Value> by_picture(const std::vector<Value>& pictures, std::size_t S, std::size_t n) {
    const std::size_t size = pictures.size() / (S * n);
    std::vector<Value> ordered(pictures.size());
    for (std::size_t s = 0; s < S; ++s)
        for (std::size_t i = 0; i < n; ++i)
            std::copy_n(pictures.data() + (s * n + i) * size, size, ordered.data() + (i * S + s) * size);
    return ordered;
}

// Rows s, s + S, ...
FeatureMatrix rows_of(const FeatureMatrix& all, std::size_t s, std::size_t S) {
    FeatureMatrix own{all.width, {}};
    for (auto row = static_cast<std::int64_t>(s); row < all.rows(); row += static_cast<std::int64_t>(S))
        own.values.insert(own.values.end(), all.row(row), all.row(row) + all.width);
    return own;
}

Figures figures_of(const Quality& quality) {
    Figures figures;
    figures.frechet = quality.frechet;
    if (quality.kernel) figures.kernel = quality.kernel->value;
    if (quality.inception_score) figures.inception_score = quality.inception_score->mean;
    if (quality.manifold) {
        figures.precision = quality.manifold->precision;
        figures.recall = quality.manifold->recall;
    }
    return figures;
}

}  // namespace

std::vector<Figures> StrategyObjective::measure_together(std::span<const Strategy> strategies,
                                                         std::uint64_t seed, bool manifold, bool second,
                                                         const CountProgress& progress) {
    const std::size_t S = strategies.size();
    const auto together = static_cast<std::int64_t>(S);
    const std::int64_t size = models_.image_size(transformer_.config());
    PictureSet set{
        "the model", rule_.images * together, models_.tokenizer->config().out_ch, {size, size}, {}, {},
        together};
    const auto drawn = [&](const auto& pictures, std::int64_t first, std::int64_t n) {
        draw(strategies, first / together, n / together, seed);
        return by_picture(pictures, S, static_cast<std::size_t>(n / together));
    };
    if (rule_.rounded)
        set.read = [&](std::int64_t first, std::int64_t n) { return drawn(bytes_, first, n); };
    else
        set.read_unrounded = [&](std::int64_t first, std::int64_t n) { return drawn(values_, first, n); };
    std::vector<const OpenedFeatures*> networks{&models_.measure.features};
    if (second && models_.second) networks.push_back(&models_.second->features);
    const std::vector<PictureFeatures> features =
        features_of(set, networks, std::min(batch_ / together * together, set.count), &comm_, progress);
    std::vector<Figures> figures(S);
    for (std::size_t s = 0; s < S && comm_.rank() == 0; ++s) {
        const QualityRule rule{.seed = 0, .manifold = manifold};
        figures[s] =
            figures_of(measure_quality(rows_of(features[0].features, s, S), rows_of(features[0].logits, s, S),
                                       models_.measure.reference, rule));
        if (features.size() > 1)
            figures[s].second_frechet =
                models_.second->reference.frechet().distance(moments(rows_of(features[1].features, s, S)));
    }
    comm_.broadcast(figures.data(), figures.size() * sizeof(Figures));
    return figures;
}

std::optional<std::vector<Figures>> StrategyObjective::measure(std::span<const Strategy> strategies,
                                                               std::uint64_t seed, bool manifold, bool second,
                                                               const CountProgress& progress) {
    struct Stopped {};  // thrown out of the drawing of pictures
    std::vector<Figures> figures;
    const std::int64_t count = static_cast<std::int64_t>(strategies.size()) * rule_.images;
    while (figures.size() < strategies.size()) {
        if (comm_.any(stop_signals::requested())) return std::nullopt;
        const auto most = static_cast<std::size_t>(most_at_once(strategies[0].steps()));
        const std::span part =
            strategies.subspan(figures.size(), std::min(most, strategies.size() - figures.size()));
        const std::int64_t before = static_cast<std::int64_t>(figures.size()) * rule_.images;
        try {
            const std::vector<Figures> own =
                measure_together(part, seed, manifold, second, [&](std::int64_t done, std::int64_t) {
                    // Ranks stop together, between parts.
                    if (comm_.ranks() == 1 && stop_signals::requested()) throw Stopped{};
                    if (progress) progress(before + done, count);
                });
            figures.insert(figures.end(), own.begin(), own.end());
        } catch (const Stopped&) {
            return std::nullopt;
        }
    }
    return figures;
}

std::optional<std::vector<Figures>> StrategyObjective::measure(std::span<const Strategy> strategies,
                                                               std::uint64_t seed,
                                                               const CountProgress& progress) {
    return measure(strategies, seed, true, true, progress);
}

std::optional<std::vector<double>> StrategyObjective::evaluate(std::span<const Strategy> strategies,
                                                               std::uint64_t seed,
                                                               const CountProgress& progress) {
    const auto figures = measure(strategies, seed, rule_.terms.needs_manifold(), false, progress);
    if (!figures) return std::nullopt;
    std::vector<double> values;
    for (const Figures& each : *figures) values.push_back(rule_.terms.of(each));
    return values;
}
