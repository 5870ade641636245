// `build/train features`: trains the small classifier whose features measure pictures where the weights of
// Inception-v3 are not at hand.
#include <algorithm>
#include <memory>

#include "data/records/class_names.h"
#include "runtime/base/command_line.h"
#include "runtime/base/error.h"
#include "runtime/ranks/comm.h"
#include "train/feature_trainer.h"
#include "train/jobs.h"
#include "train/run_flags.h"

namespace {

struct FeaturesJob {
    std::string preset, data, validation;
    TrainingFlags training;
    RunFlags run;
    std::int64_t validation_images = 1000;
    bool rotations = false, ignore_class_names = false;
};

// The preset's network for the classes of the data or, with --rotations or if it has none, for rotations.
FeatureConfig choose_config(const FeaturesJob& job, const PackedFile& data) {
    const FeaturePreset& preset = feature_preset(job.preset);
    const bool rotations = job.rotations || data.classes().empty();
    const FeatureConfig config{preset.image_size, data.channels(), preset.width,
                               rotations ? 4 : static_cast<std::int64_t>(data.classes().size()), rotations};
    config.validate(job.data);
    return config;
}

void require_fitting_data(const FeatureConfig& config, const PackedFile& data) {
    const std::string path = data.path().string();
    if (data.size() != config.image_size || data.channels() != config.channels)
        fail_usage("{}: images of size {} with {} channels, the network takes size {} and {} channels", path,
                   data.size(), data.channels(), config.image_size, config.channels);
    if (config.rotations) return;
    for (std::int64_t i = 0; i < data.count(); ++i)
        if (data.label(i) < 0)
            fail_usage("{}: image {} has no class, expected all to have one, or none", path, i);
}

std::vector<std::int64_t> validation_numbers(const FeaturesJob& job, const PackedFile& data,
                                             const PackedFile& validation) {
    if (job.rotations || data.classes().empty()) return {};
    return match_classes(class_names(data), class_names(validation), job.ignore_class_names);
}

const RecipeWords recipe_words{.steps = "2000",
                               .batch = "64",
                               .accumulation = "1",
                               .learning_rate = "1e-3",
                               .base_learning_rate = "none",
                               .warmup = "100, at most a tenth",
                               .schedule = "cosine",
                               .clip = "1",
                               .weight_decay = "0.05, of matrices",
                               .beta1 = "0.9",
                               .beta2 = "0.99",
                               .dropout = "",
                               .label_drop = "",
                               .ema = "0",
                               .flip = "on"};

Recipe recipe() {
    Recipe recipe;
    recipe.batch = 64;
    recipe.peak = [](double) { return 1e-3; };
    recipe.warmup = [](std::int64_t steps) { return std::min<std::int64_t>(100, steps / 10); };
    recipe.optimizer = {.beta2 = 0.99f, .weight_decay = 0.05f, .max_norm = 1};
    return recipe;
}

// Validation loss and accuracy; `validation` may be null.
std::vector<double> evaluate(FeatureTrainer& trainer, const PackedFile* validation,
                             std::span<const std::int64_t> numbers, std::int64_t images, Progress& progress) {
    if (validation == nullptr) return {};
    FeatureTrainer::Score score;
    trainer.with_evaluation_weights([&] { score = trainer.validate(*validation, images, numbers); });
    progress.say(fmt::format("step {}: validation loss {:.4f}  accuracy {:.4f}", trainer.steps_done(),
                             score.loss, score.accuracy));
    return {score.loss, score.accuracy};
}

void run_job(const FeaturesJob& job, const Comm& comm) {
    if (comm.ranks() > 1)
        fail_usage("train features: started as {} ranks, expected one: the network is small", comm.ranks());
    const PackedFile data(job.data);
    std::unique_ptr<PackedFile> validation;
    if (!job.validation.empty()) validation = std::make_unique<PackedFile>(job.validation);
    const FeatureConfig config = choose_config(job, data);
    require_fitting_data(config, data);
    std::vector<std::int64_t> numbers;
    if (validation) {
        require_fitting_data(config, *validation);
        numbers = validation_numbers(job, data, *validation);
    }
    const Backend backend = job.run.backend.backend(comm.local_rank());
    FeatureTrainer trainer(config, resolve_training(job.training, recipe(), data.count(), 1), backend, data,
                           comm);
    const std::int64_t parameters = trainer.network().parameters().count();
    if (job.run.plan)
        return print_plan(parameters, trainer.state_bytes(),
                          "values, gradients, two moments, average if kept", trainer.plan(), "");
    RunFolder folder = job.run.open_folder(
        comm, std::vector<NamedPath>{{"--data", job.data}, {"--validation", job.validation}});
    require_memory(
        {trainer.state_bytes(), trainer.plan().bytes, 0, "a smaller --batch lowers the activations"},
        trainer.device(), comm);
    data.verify();
    if (validation) validation->verify();
    trainer.set_evaluation([&](const RunFolder&, Progress& progress) {
        return evaluate(trainer, validation.get(), numbers, job.validation_images, progress);
    });
    trainer.start();
    train_in_folder(trainer, job.run, trainer.settings(), comm, folder,
                    {.model = to_json(config),
                     .data = fmt::format(R"({{"images": {}, "size": {}, "checksum": "{:08x}"}})",
                                         data.count(), data.size(), data.fingerprint()),
                     .initial = "",
                     .backend = backend,
                     .parameters = parameters,
                     .images = data.count(),
                     .planned_bytes = trainer.state_bytes() + trainer.plan().bytes},
                    [] {});
}

}  // namespace

void add_features_job(CommandLine& app, const Comm& comm) {
    CommandLine* command = app.add_subcommand(
        "features", "Train a small classifier whose features measure the quality of pictures");
    const auto job = std::make_shared<FeaturesJob>();
    std::string presets;
    for (const FeaturePreset& preset : feature_presets())
        presets += fmt::format("{}{}: {}", presets.empty() ? "" : "; ", preset.name, preset.description);
    command
        ->add_option("--preset", job->preset,
                     "Network by name; channels and classes follow the data, and of data without classes it "
                     "learns which of four rotations a picture was turned by. " +
                         presets)
        ->type_name("NAME")
        ->required();
    command->add_option("--data", job->data, "Packed training images (build/data pack)")
        ->type_name("FILE")
        ->required();
    command->add_option("--validation", job->validation, "Packed validation images")->type_name("FILE");
    command->add_flag(
        "--rotations", job->rotations,
        "Learn rotations, of data with classes as well: where classes are easy to tell, features of "
        "classes say little else");
    command->add_flag("--ignore-class-names", job->ignore_class_names, ignore_class_names_meaning);
    command
        ->add_option("--validation-images", job->validation_images,
                     "How many validation images an evaluation measures")
        ->capture_default_str()
        ->check(at_least(1));
    add_training_flags(*command, job->training, recipe_words);
    add_run_flags(*command, job->run);
    command->callback([job, &comm] { run_job(*job, comm); });
}
