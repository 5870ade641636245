#include "train/recipe.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <numeric>
#include <stdexcept>

#include "runtime/base/command_line.h"
#include "runtime/base/error.h"
#include "runtime/base/json_keys.h"
#include "runtime/base/json_numbers.h"

namespace {

// Flag -> value, in the order in which --help lists them.
nlohmann::ordered_json flags_of(const TrainingSettings& settings) {
    nlohmann::ordered_json flags{{"steps", settings.steps},
                                 {"batch", settings.batch},
                                 {"accumulation", settings.accumulation},
                                 {"ranks", settings.ranks},
                                 {"lr", settings.learning_rate.peak},
                                 {"warmup-steps", settings.learning_rate.warmup_steps},
                                 {"schedule", settings.learning_rate.cosine ? "cosine" : "constant"},
                                 {"clip", settings.optimizer.max_norm},
                                 {"weight-decay", settings.optimizer.weight_decay},
                                 {"beta1", settings.optimizer.beta1},
                                 {"beta2", settings.optimizer.beta2},
                                 {"ema", settings.optimizer.ema_decay},
                                 {"dropout", settings.dropout},
                                 {"label-drop", settings.label_drop},
                                 {"flip", settings.flip},
                                 {"seed", settings.seed}};
    for (const auto& [flag, value] : settings.own) flags[flag] = value;
    set_numbers_as_given(flags);
    return flags;
}

// How an update's images are divided may change, their number may not.
void require_same_images(const nlohmann::json& before, const TrainingSettings& now, std::string_view source) {
    const auto number = [&](const char* flag) {
        if (!before.contains(flag) || !before[flag].is_number_integer())
            fail("{}: its training settings have no {}", source, flag);
        return before[flag].get<std::int64_t>();
    };
    const std::int64_t batch = number("batch"), accumulation = number("accumulation"),
                       ranks = before.contains("ranks") ? number("ranks") : 1;
    if (ranks * batch * accumulation == now.images_per_step()) return;
    const auto words = [](std::int64_t r, std::int64_t b, std::int64_t a) {
        return fmt::format("{} rank{} x --batch {} x --accumulation {}", r, r == 1 ? "" : "s", b, a);
    };
    fail_usage(
        "{} was trained with {} = {} images an update, now it is {} = {}: keep their number, or give another "
        "--out",
        source, words(ranks, batch, accumulation), ranks * batch * accumulation,
        words(now.ranks, now.batch, now.accumulation), now.images_per_step());
}

}  // namespace

std::vector<std::int64_t> TrainingSettings::samples(std::int64_t step, std::int64_t index, int rank) const {
    std::vector<std::int64_t> numbers(static_cast<std::size_t>(batch));
    std::iota(numbers.begin(), numbers.end(), step * images_per_step() + (index * ranks + rank) * batch);
    return numbers;
}

bool TrainingSettings::has(std::string_view flag) const {
    return std::ranges::find(own, flag, &std::pair<std::string, double>::first) != own.end();
}

double TrainingSettings::of(std::string_view flag) const {
    const auto found = std::ranges::find(own, flag, &std::pair<std::string, double>::first);
    if (found == own.end()) throw std::logic_error(fmt::format("no training setting --{}", flag));
    return found->second;
}

void require_range(std::string_view flag, double value, double low, double high) {
    if (!(value >= low && value <= high))
        fail_usage("--{} {}: expected {} to {}", flag, number_text(value), low, high);
}

namespace {

// Images at once, and in an update. They are counted over the whole run: neither their number nor that of an
// update overflows.
void resolve_batch(TrainingSettings& settings, const TrainingFlags& flags, const Recipe& recipe) {
    constexpr std::int64_t most_images = 1'000'000;
    const std::int64_t ranks = settings.ranks;
    if (recipe.ranks_divide && !flags.batch && recipe.batch % ranks != 0)
        fail_usage("--batch: {} images an update cannot be divided by {} ranks: say how many each takes",
                   recipe.batch, ranks);
    settings.batch = flags.batch.value_or(recipe.ranks_divide ? recipe.batch / ranks : recipe.batch);
    settings.accumulation = flags.accumulation.value_or(1);
    if (settings.batch < 1 || settings.batch > most_images)
        fail_usage("--batch {}: expected 1 to {}", settings.batch, most_images);
    if (settings.accumulation < 1 || settings.accumulation > most_images)
        fail_usage("--accumulation {}: expected 1 to {}", settings.accumulation, most_images);
    if (settings.images_per_step() > most_images)
        fail_usage("--batch {} and --accumulation {} on {} ranks: {} images an update, expected at most {}",
                   settings.batch, settings.accumulation, ranks, settings.images_per_step(), most_images);
}

// The length of the run and of its warm-up, in updates or in passes over the `images` of the data.
void resolve_length(TrainingSettings& settings, const TrainingFlags& flags, const Recipe& recipe,
                    std::int64_t images) {
    const auto steps_of = [&](double epochs) {
        return std::max<std::int64_t>(1, std::llround(epochs * static_cast<double>(images) /
                                                      static_cast<double>(settings.images_per_step())));
    };
    if (flags.steps && flags.epochs) fail_usage("--steps and --epochs: expected one of them");
    if (flags.epochs) require_range("epochs", *flags.epochs, 0, 1e9);
    settings.steps = flags.steps         ? *flags.steps
                     : flags.epochs      ? steps_of(*flags.epochs)
                     : recipe.epochs > 0 ? steps_of(recipe.epochs)
                                         : recipe.steps;
    if (settings.steps < 1 || settings.steps > most_steps)
        fail_usage("--steps {}: expected 1 to {}", settings.steps, most_steps);
    if (flags.warmup_steps && flags.warmup_epochs)
        fail_usage("--warmup-steps and --warmup-epochs: expected one of them");
    if (flags.warmup_epochs) require_range("warmup-epochs", *flags.warmup_epochs, 0, 1e9);
    std::int64_t& warmup = settings.learning_rate.warmup_steps;
    warmup = flags.warmup_steps         ? *flags.warmup_steps
             : flags.warmup_epochs      ? steps_of(*flags.warmup_epochs)
             : recipe.warmup_epochs > 0 ? steps_of(recipe.warmup_epochs)
                                        : recipe.warmup(settings.steps);
    if (warmup < 0 || warmup > most_steps)
        fail_usage("--warmup-steps {}: expected 0 to {}", warmup, most_steps);
    settings.learning_rate.steps = settings.steps;
}

void resolve_learning_rate(LearningRateSchedule& schedule, const TrainingFlags& flags, const Recipe& recipe,
                           double images_per_step) {
    if (flags.learning_rate && flags.base_learning_rate) fail_usage("--lr and --blr: expected one of them");
    double rate = recipe.peak(images_per_step);
    if (flags.base_learning_rate) rate = *flags.base_learning_rate * images_per_step / 256;
    if (flags.learning_rate) rate = *flags.learning_rate;
    if (!(rate > 0) || !std::isfinite(static_cast<float>(rate)))
        fail_usage("--lr {}: expected a positive number", rate);
    schedule.peak = static_cast<float>(rate);
    const std::string name = flags.schedule.value_or(recipe.cosine ? "cosine" : "constant");
    if (name != "cosine" && name != "constant")
        fail_usage("--schedule {}: expected cosine or constant", name);
    schedule.cosine = name == "cosine";
}

void resolve_optimizer(OptimizerRule& rule, const TrainingFlags& flags, const OptimizerRule& standard) {
    rule = standard;
    rule.max_norm = flags.clip.value_or(standard.max_norm);
    rule.weight_decay = flags.weight_decay.value_or(standard.weight_decay);
    rule.beta1 = flags.beta1.value_or(standard.beta1);
    rule.beta2 = flags.beta2.value_or(standard.beta2);
    rule.ema_decay = flags.ema_decay.value_or(standard.ema_decay);
    require_range("clip", static_cast<double>(rule.max_norm), 0, 1e9);
    require_range("weight-decay", static_cast<double>(rule.weight_decay), 0, 1e3);
    require_range("beta1", static_cast<double>(rule.beta1), 0, 0.999999);
    require_range("beta2", static_cast<double>(rule.beta2), 0, 0.999999);
    require_range("ema", static_cast<double>(rule.ema_decay), 0, 0.999999);
}

}  // namespace

TrainingSettings resolve_training(const TrainingFlags& flags, const Recipe& recipe, std::int64_t images,
                                  std::int64_t ranks, OwnSettings own) {
    TrainingSettings settings;
    settings.seed = flags.seed;
    settings.ranks = ranks;
    settings.own = std::move(own);
    resolve_batch(settings, flags, recipe);
    resolve_length(settings, flags, recipe, images);
    resolve_learning_rate(settings.learning_rate, flags, recipe,
                          static_cast<double>(settings.images_per_step()));
    resolve_optimizer(settings.optimizer, flags, recipe.optimizer);
    settings.dropout = flags.dropout.value_or(recipe.dropout);
    settings.label_drop = flags.label_drop.value_or(recipe.label_drop);
    settings.flip = flags.flip.value_or(recipe.flip);
    require_range("dropout", static_cast<double>(settings.dropout), 0, 0.95);
    require_range("label-drop", static_cast<double>(settings.label_drop), 0, 1);
    return settings;
}

void add_training_flags(CommandLine& app, TrainingFlags& flags, const RecipeWords& defaults) {
    const auto add = [&](const char* name, auto& value, const char* meaning, const std::string& standard) {
        if (!standard.empty()) app.add_option(name, value, fmt::format("{} (default {})", meaning, standard));
    };
    add("--steps", flags.steps, "Updates of the weights", defaults.steps);
    app.add_option("--epochs", flags.epochs, "The same in passes over the data");
    add("--batch", flags.batch, "Images at once, on each rank", defaults.batch);
    add("--accumulation", flags.accumulation, "Batches per update", defaults.accumulation);
    add("--lr", flags.learning_rate, "Peak learning rate", defaults.learning_rate);
    add("--blr", flags.base_learning_rate, "Peak learning rate per 256 images of an update",
        defaults.base_learning_rate);
    add("--warmup-steps", flags.warmup_steps, "Linear warm-up in updates", defaults.warmup);
    app.add_option("--warmup-epochs", flags.warmup_epochs, "The same in passes over the data");
    add("--schedule", flags.schedule, "cosine (to 0 at the end) or constant", defaults.schedule);
    add("--clip", flags.clip, "Largest global gradient norm, 0 for none", defaults.clip);
    add("--weight-decay", flags.weight_decay, "Pull of the weights towards 0", defaults.weight_decay);
    app.add_option("--beta1", flags.beta1,
                   fmt::format("Decay of AdamW's mean of gradients (default {})", defaults.beta1));
    app.add_option("--beta2", flags.beta2,
                   fmt::format("Decay of AdamW's mean of their squares (default {})", defaults.beta2));
    add("--dropout", flags.dropout, "Probability in the model's blocks", defaults.dropout);
    add("--label-drop", flags.label_drop, "Probability that an image is trained without its class or text",
        defaults.label_drop);
    add("--ema", flags.ema_decay, "Decay of a moving average of the weights, 0 for none", defaults.ema);
    if (!defaults.flip.empty())
        app.add_flag_function(
            "--flip,!--no-flip", [&flags](bool flip) { flags.flip = flip; },
            fmt::format("Mirror images at random (default {})", defaults.flip));
    app.add_option("--seed", flags.seed, "Of everything that is random")
        ->capture_default_str()
        ->check(any_seed());
}

std::string to_json(const TrainingSettings& settings) {
    return json_text(flags_of(settings));
}

TrainingSettings parse_training(std::string_view json, std::int64_t ranks, std::string_view source) {
    const nlohmann::json flags = parse_json_or_discard(json, fmt::format("{}: training", source));
    if (!flags.is_object()) fail("{}: its training settings are not a JSON object", source);
    TrainingSettings settings;
    std::string schedule;
    std::int64_t ranks_then = 1;
    const auto read = [&](const char* flag, auto& value) { read_key(flags, flag, value, true, source); };
    read("steps", settings.steps);
    read("batch", settings.batch);
    read("accumulation", settings.accumulation);
    read_key(flags, "ranks", ranks_then, false, source);
    read("lr", settings.learning_rate.peak);
    read("warmup-steps", settings.learning_rate.warmup_steps);
    read("schedule", schedule);
    read("clip", settings.optimizer.max_norm);
    read("weight-decay", settings.optimizer.weight_decay);
    read("beta1", settings.optimizer.beta1);
    read("beta2", settings.optimizer.beta2);
    read("ema", settings.optimizer.ema_decay);
    read("dropout", settings.dropout);
    read("label-drop", settings.label_drop);
    read("flip", settings.flip);
    read("seed", settings.seed);
    const std::int64_t images = ranks_then * settings.batch;
    if (settings.steps < 1 || images < 1 || settings.accumulation < 1)
        fail("{}: training settings of {} steps of {} images, expected at least 1", source, settings.steps,
             images);
    if (images % ranks != 0)
        fail_usage("{}: was trained on {} images at once, which {} ranks cannot share", source, images,
                   ranks);
    settings.batch = images / ranks;
    settings.ranks = ranks;
    settings.learning_rate.steps = settings.steps;
    settings.learning_rate.cosine = schedule == "cosine";
    const auto& known = flags_of(settings);
    for (const auto& [flag, value] : flags.items())
        if (!known.contains(flag) && value.is_number()) settings.own.emplace_back(flag, value.get<double>());
    return settings;
}

namespace {

// A setting as it is given on the command line.
std::string text_of(const nlohmann::json& value) {
    return value.is_number_float() ? number_text(value.get<double>()) : json_text(value);
}

}  // namespace

void require_same_training(std::string_view before, const TrainingSettings& now, std::string_view source) {
    auto old_flags = parse_json_or_discard(before, fmt::format("{}: training", source));
    if (!old_flags.is_object()) fail("{}: its training settings are not a JSON object", source);
    set_numbers_as_given(old_flags);  // older runs wrote all digits of the doubles
    require_same_images(old_flags, now, source);
    // A constant rate does not depend on the number of steps, so such a run may be made longer or shorter.
    const bool any_length = !now.learning_rate.cosine;
    const auto flags = flags_of(now);
    for (const auto& [flag, value] : flags.items()) {
        if (flag == "steps" && any_length) continue;
        if (flag == "batch" || flag == "accumulation" || flag == "ranks") continue;
        if (!old_flags.contains(flag)) fail("{}: its training settings have no {}", source, flag);
        if (json_text(old_flags[flag]) != json_text(value))
            fail_usage("{} was trained with --{} {}, now it is {}: give the old value, or another --out",
                       source, flag, text_of(old_flags[flag]), text_of(value));
    }
}
