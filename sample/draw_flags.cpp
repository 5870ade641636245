#include "sample/draw_flags.h"

#include <cmath>

#include "runtime/base/command_line.h"
#include "runtime/base/error.h"

void DrawFlags::check(const FractalConfig& config) const {
    if (schedule != "linear" && schedule != "constant")
        fail_usage("--cfg-schedule {}: expected linear or constant", schedule);
    if (!(temperature > 0) || !std::isfinite(temperature))
        fail_usage("--temperature {}: expected a positive number", temperature);
    if (!std::isfinite(guidance)) fail_usage("--cfg {}: expected a finite number", guidance);
    if (!(filter_threshold >= 0 && filter_threshold < 1))
        fail_usage("--filter-threshold {}: expected 0 to below 1", filter_threshold);
    if (guidance != 1 && config.class_num == 0)
        fail_usage("--cfg {}: the model is unlabelled, expected 1", guidance);
    if (!iterations.empty() && iterations.size() != config.generators())
        fail_usage("--iters: {} numbers, expected one per level above the pixels, {}", iterations.size(),
                   config.generators());
}

SampleRule DrawFlags::rule() const {
    SampleRule rule;
    rule.temperature = static_cast<float>(temperature);
    rule.guidance = static_cast<float>(guidance);
    rule.linear_schedule = schedule == "linear";
    rule.filter_threshold = static_cast<float>(filter_threshold);
    rule.greedy = greedy;
    rule.seed = seed;
    return rule;
}

void add_draw_flags(CommandLine& app, DrawFlags& flags) {
    app.add_option("--cfg", flags.guidance,
                   "Classifier-free guidance scale; 1 draws from the class alone in half the time")
        ->capture_default_str();
    app.add_option("--cfg-schedule", flags.schedule,
                   "linear: the scale grows to --cfg over the patches; constant")
        ->type_name("NAME")
        ->capture_default_str();
    app.add_option(
           "--temperature", flags.temperature,
           "Multiplies the logits, as in the authors' release: above 1 is more certain, below 1 more varied")
        ->capture_default_str();
    app.add_option("--filter-threshold", flags.filter_threshold,
                   "With --cfg: values less probable than this given the class are not raised by guidance")
        ->capture_default_str();
    app.add_option("--iters", flags.iterations,
                   "Steps per level, outermost first (default: 64,16,16,... as in the paper); AR levels take "
                   "one step a patch, whatever it says")
        ->delimiter(',')
        ->check(at_least(1));
    app.add_option("--seed", flags.seed, "An image depends on the seed and its number, not on the batch")
        ->capture_default_str()
        ->check(any_seed());
    app.add_flag("--greedy", flags.greedy, "Take the most probable value instead of drawing");
}
