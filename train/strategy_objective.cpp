#include "train/strategy_objective.h"

#include <algorithm>
#include <charconv>

#include "models/nat/pictures.h"
#include "runtime/base/error.h"
#include "runtime/tensor/random.h"

double ObjectiveTerms::of(const Quality& quality) const {
    double sum = frechet * quality.frechet;
    if (kernel != 0) sum += kernel * quality.kernel->value;
    if (inception_score != 0) sum += inception_score * quality.inception_score->mean;
    if (needs_manifold()) sum += precision * quality.manifold->precision + recall * quality.manifold->recall;
    return sum;
}

ObjectiveTerms parse_objective(std::string_view text, const OpenedFeatures& features) {
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
    return terms;
}

StrategyObjective::StrategyObjective(const NatTransformer& transformer, const Tokenizer& tokenizer,
                                     const OpenedFeatures& features, const QualityReference& reference,
                                     const ObjectiveRule& rule, std::int64_t batch, const Comm& comm)
    : transformer_(transformer),
      tokenizer_(tokenizer),
      features_(features),
      reference_(reference),
      rule_(rule),
      batch_(std::min(batch, rule.images)),
      comm_(comm) {
    const std::int64_t side = transformer.config().img_size;
    generator_ = std::make_unique<NatGenerator>(
        transformer, batch_, true,
        rule.rounded ? decode_into(tokenizer, side, bytes_) : decode_into(tokenizer, side, values_));
}

std::vector<std::int64_t> StrategyObjective::classes_of(std::int64_t first, std::int64_t n,
                                                        std::uint64_t seed) const {
    const std::int64_t classes = transformer_.config().num_classes - 1;
    const PhiloxKey key = random_key(seed, "class");
    std::vector<std::int64_t> chosen;
    for (std::int64_t i = first; i < first + n; ++i) {
        const auto choice = static_cast<std::int64_t>(static_cast<float>(classes) *
                                                      random_uniform(key, static_cast<std::uint64_t>(i)));
        chosen.push_back(classes > 0 ? std::min(choice, classes - 1) : -1);
    }
    return chosen;
}

Quality StrategyObjective::measure(const Strategy& strategy, std::uint64_t seed, bool manifold,
                                   const CountProgress& progress) {
    const std::int64_t size = transformer_.config().img_size * tokenizer_.config().downsampling();
    const auto draw = [&](std::int64_t first, std::int64_t n) {
        generator_->generate(classes_of(first, n, seed), strategy, {seed, first});
    };
    PictureSet set{"the model", rule_.images, tokenizer_.config().out_ch, {size, size}, {}, {}};
    if (rule_.rounded)
        set.read = [&](std::int64_t first, std::int64_t n) {
            draw(first, n);
            return bytes_;
        };
    else
        set.read_unrounded = [&](std::int64_t first, std::int64_t n) {
            draw(first, n);
            return values_;
        };
    const PictureFeatures drawn = features_of(set, features_, batch_, &comm_, progress);
    drawn_ += rule_.images;
    if (comm_.rank() > 0) return {};
    return measure_quality(drawn.features, drawn.logits, reference_, {.seed = 0, .manifold = manifold});
}

double StrategyObjective::evaluate(const Strategy& strategy, std::uint64_t seed,
                                   const CountProgress& progress) {
    const Quality quality = measure(strategy, seed, rule_.terms.needs_manifold(), progress);
    double value = comm_.rank() == 0 ? rule_.terms.of(quality) : 0;
    comm_.broadcast(&value, sizeof value);
    return value;
}
