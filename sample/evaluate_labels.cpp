// `build/sample evaluate labels`: how often a classifier sees in drawn pictures what was asked for.
#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "data/records/class_names.h"
#include "data/records/packed.h"
#include "models/metrics/predicted_classes.h"
#include "runtime/base/command_line.h"
#include "runtime/base/error.h"
#include "runtime/base/json_keys.h"
#include "runtime/base/live_line.h"
#include "runtime/files/open_tensor_file.h"
#include "sample/jobs.h"
#include "sample/picture_drawer.h"

namespace {

struct LabelsJob {
    std::string data, classifier;
    DrawerFlags drawer;
    std::int64_t count = 0, batch = 32;
    bool json = false;
};

// Of one class: pictures asked for, and those that the classifier takes for it.
struct Seen {
    std::int64_t asked = 0, drawn = 0, real = 0;
};

double share(std::int64_t part, std::int64_t whole) {
    return whole > 0 ? static_cast<double>(part) / static_cast<double>(whole) : 0;
}

// Records of the file that have a label and, for a model of texts, a caption: the first `count`, or all.
std::vector<std::int64_t> chosen_records(const PackedFile& file, bool with_captions, std::int64_t count) {
    std::vector<std::int64_t> records;
    for (std::int64_t i = 0; i < file.count(); ++i)
        if (file.label(i) >= 0 && (!with_captions || file.captions(i) > 0) &&
            (count == 0 || static_cast<std::int64_t>(records.size()) < count))
            records.push_back(i);
    if (records.empty())
        fail("{}: no image with a label{}", file.path().string(), with_captions ? " and a caption" : "");
    return records;
}

void print_table(const LabelsJob& job, const std::vector<std::string>& names, const std::vector<Seen>& seen) {
    Seen all;
    for (const Seen& one : seen) all = {all.asked + one.asked, all.drawn + one.drawn, all.real + one.real};
    if (job.json) {
        nlohmann::ordered_json classes = nlohmann::ordered_json::object();
        for (std::size_t i = 0; i < seen.size(); ++i)
            if (seen[i].asked > 0)
                classes[names[i]] = {{"pictures", seen[i].asked},
                                     {"drawn", share(seen[i].drawn, seen[i].asked)},
                                     {"real", share(seen[i].real, seen[i].asked)}};
        fmt::print("{}\n", json_text(nlohmann::ordered_json{{"pictures", all.asked},
                                                            {"drawn", share(all.drawn, all.asked)},
                                                            {"real", share(all.real, all.asked)},
                                                            {"classes", classes}}));
        return;
    }
    fmt::print("{:<20}{:>10}{:>10}{:>10}\n", "label", "pictures", "drawn", "real");
    const auto row = [](std::string_view name, const Seen& one) {
        fmt::print("{:<20}{:>10}{:>10.3f}{:>10.3f}\n", name, one.asked, share(one.drawn, one.asked),
                   share(one.real, one.asked));
    };
    for (std::size_t i = 0; i < seen.size(); ++i)
        if (seen[i].asked > 0) row(names[i], seen[i]);
    row("all", all);
}

void run_job(LabelsJob job) {
    const Backend backend = job.drawer.fractal.backend.backend();
    const PackedFile file(job.data);
    file.verify();
    const auto opened = open_tensor_file(job.classifier);
    const FeatureMetadata metadata = read_feature_metadata(*opened);
    if (metadata.config.rotations)
        fail_usage("{}: tells rotations, no classes: train it without --rotations", job.classifier);
    // What each label of the file is for the classifier.
    const std::vector<std::int64_t> numbers =
        match_classes({job.classifier, metadata.classes}, {job.data, file.classes()}, false);
    const auto network = load_feature_classifier(*opened, backend);

    const std::vector<std::int64_t> records = chosen_records(file, file.has_captions(), job.count);
    if (file.has_captions())
        for (const std::int64_t record : records) job.drawer.texts.emplace_back(file.caption(record, 0));
    const auto drawer = open_drawer(job.drawer, job.batch);
    const bool by_text = drawer->class_names() == job.drawer.texts;
    const std::vector<std::int64_t> classes =
        by_text ? std::vector<std::int64_t>()
                : match_classes({job.drawer.checkpoint.checkpoint, drawer->class_names()},
                                {job.data, file.classes()}, false);
    ClassJudge drawn_judge(*network, job.batch, drawer->channels(),
                           {drawer->image_size(), drawer->image_size()}, job.drawer.checkpoint.checkpoint),
        real_judge(*network, job.batch, file.channels(), {file.size(), file.size()}, job.data);

    std::vector<Seen> seen(metadata.classes.size());
    LiveLine line;
    const auto total = static_cast<std::int64_t>(records.size());
    for (std::int64_t first = 0; first < total; first += job.batch) {
        line.show(fmt::format("drew and judged {} of {} pictures", first, total));
        const std::int64_t n = std::min(job.batch, total - first);
        std::vector<std::int64_t> asked, labels;
        std::vector<std::uint8_t> real;
        for (std::int64_t i = first; i < first + n; ++i) {
            const std::int64_t record = records[static_cast<std::size_t>(i)];
            const auto label = static_cast<std::size_t>(file.label(record));
            asked.push_back(by_text ? i : classes[label]);
            labels.push_back(numbers[label]);
            real.insert(real.end(), file.pixels(record), file.pixels(record) + file.record_bytes());
        }
        const auto drawn = drawn_judge.classes(drawer->draw(asked, first, job.drawer.fractal.seed)),
                   shown = real_judge.classes(real);
        for (std::size_t i = 0; i < labels.size(); ++i) {
            Seen& one = seen[static_cast<std::size_t>(labels[i])];
            ++one.asked;
            one.drawn += drawn[i] == labels[i];
            one.real += shown[i] == labels[i];
        }
    }
    line.clear();
    print_table(job, metadata.classes, seen);
}

}  // namespace

void add_labels_job(CommandLine& evaluate) {
    CommandLine* command = evaluate.add_subcommand(
        "labels",
        "How often a classifier sees in a drawn picture the label of the one whose caption or class it was "
        "drawn from, and how often in that picture itself");
    const auto job = std::make_shared<LabelsJob>();
    command
        ->add_option(
            "--checkpoint", job->drawer.checkpoint.checkpoint,
            "The model that draws, with its sampling flags, which are those of build/sample fractal and nat")
        ->type_name("FILE")
        ->required();
    add_model_flags(*command, job->drawer.checkpoint);
    command->add_option("--weights", job->drawer.checkpoint.weights, weights_meaning)->type_name("NAME");
    command
        ->add_option(
            "--data", job->data,
            "Packed images with labels and, for a model of texts, captions, of which the first is drawn from")
        ->type_name("FILE")
        ->required();
    command
        ->add_option("--classifier", job->classifier,
                     "A network of build/train features, trained on images with these labels")
        ->type_name("FILE")
        ->required();
    command->add_option("--count", job->count, "Only so many images, the first ones (default: all)")
        ->check(within(1, 10'000'000));
    command->add_option("--batch", job->batch, "Pictures at once")
        ->capture_default_str()
        ->check(within(1, 4096));
    command->add_flag("--json", job->json, "One JSON object instead of a table");
    add_nat_model_flags(*command, job->drawer.nat);
    add_strategy_flags(*command, job->drawer.nat.strategy, "--strategy");
    add_draw_flags(*command, job->drawer.fractal);
    add_backend_flags(*command, job->drawer.fractal.backend);
    command->callback([job] { run_job(*job); });
}
