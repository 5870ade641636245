#include "train/recipe.h"

#include <doctest/doctest.h>

#include "runtime/base/error.h"

namespace {

TrainingSettings settings() {
    TrainingFlags flags;
    flags.steps = 40;
    flags.batch = 12;
    flags.learning_rate = 0.003;
    flags.seed = 18446744073709551615u;
    flags.flip = false;
    Recipe recipe;
    recipe.warmup = [](std::int64_t steps) { return steps / 10; };
    recipe.peak = [](double) { return 1e-3; };
    recipe.optimizer = {.beta2 = 0.95f, .weight_decay = 0.03f, .max_norm = 1};
    return resolve_training(flags, recipe, 100, 1, {{"mask-alpha", 12}, {"mask-beta", 3}});
}

}  // namespace

TEST_CASE(
    "training settings: those of a checkpoint's JSON are the same, on any ranks that can share the images") {
    const TrainingSettings before = settings(), again = parse_training(to_json(before), 1, "a");
    CHECK(to_json(again) == to_json(before));
    CHECK(again.learning_rate.at(7) == before.learning_rate.at(7));
    CHECK(again.optimizer.beta2 == before.optimizer.beta2);
    CHECK(again.of("mask-beta") == 3);
    const TrainingSettings shared = parse_training(to_json(before), 3, "a");
    CHECK(shared.batch == 4);
    CHECK(shared.images_per_step() == before.images_per_step());
    require_same_training(to_json(before), shared, "a");
    CHECK_THROWS_WITH_AS(parse_training(to_json(before), 5, "a"),
                         "a: was trained on 12 images at once, which 5 ranks cannot share", UsageError);
    CHECK_THROWS_AS(parse_training("[]", 1, "a"), Error);
    CHECK_THROWS_AS(parse_training(R"({"steps": 3})", 1, "a"), UsageError);
}
