// `build/sample evaluate quality`: generated pictures against reference pictures, by FID and its relatives.
#include <algorithm>
#include <chrono>
#include <memory>
#include <numeric>
#include <optional>
#include <string>
#include <vector>

#include "data/records/class_names.h"
#include "data/records/picture_source.h"
#include "data/text/evaluation_captions.h"
#include "models/metrics/picture_features.h"
#include "models/metrics/quality.h"
#include "runtime/base/command_line.h"
#include "runtime/base/error.h"
#include "runtime/base/interruption.h"
#include "runtime/base/live_line.h"
#include "runtime/base/report.h"
#include "runtime/files/atomic_file.h"
#include "runtime/tensor/random.h"
#include "sample/jobs.h"
#include "sample/picture_drawer.h"
#include "sample/quality_report.h"

namespace {

struct QualityJob {
    std::string generated, reference, features, convention, save_statistics;
    DrawerFlags drawer;
    std::vector<std::string> classes;
    std::int64_t count = 0, batch = 32, repeats = 1;
    bool random_classes = false, extrapolates = false, json = false;

    bool draws() const { return !drawer.checkpoint.checkpoint.empty(); }
    std::vector<NamedPath> inputs() const {
        std::vector<NamedPath> files = drawer.inputs();
        files.push_back({"--generated", generated});
        files.push_back({"--reference", reference});
        files.push_back({"--features", features});
        return files;
    }
};

constexpr std::int64_t default_drawn = 1000;

// One live line for all parts of the job, and its end on Ctrl-C.
class JobProgress {
  public:
    void show(std::string_view what, double share, const std::string& detail = "") {
        if (interrupted()) fail("interrupted while measuring, nothing written");
        if (what != what_) {
            what_ = what;
            start_ = std::chrono::steady_clock::now();
        }
        const std::chrono::duration<double> spent = std::chrono::steady_clock::now() - start_;
        line_.show(fmt::format(
            "{}{}{}", what, detail.empty() ? fmt::format(", {:.0f} %", 100 * share) : detail,
            share > 0 ? fmt::format(", {} left", duration_text(spent.count() * (1 / share - 1))) : ""));
    }
    CountProgress counting(std::string what) {
        return [this, what = std::move(what)](std::int64_t done, std::int64_t count) {
            show(what, static_cast<double>(done) / static_cast<double>(count),
                 fmt::format(" {} of {} pictures", done, count));
        };
    }
    void clear() { line_.clear(); }

  private:
    LiveLine line_;
    std::string what_;
    std::chrono::steady_clock::time_point start_;
};

// A set of pictures that is given, or the statistics of one.
struct GivenSet {
    std::unique_ptr<PictureSource> pictures;  // null: statistics
    std::int64_t count = 0;                   // of pictures
};

GivenSet open_reference(const std::string& path) {
    if (path.ends_with(".npz") && holds_statistics(path)) return {};
    GivenSet set{open_pictures(path), 0};
    set.count = set.pictures->count();
    return set;
}

PictureSet set_of(const PictureSource& source, std::int64_t count) {
    return {source.name(),
            count,
            source.channels(),
            {source.height(), source.width()},
            [&source](std::int64_t first, std::int64_t n) { return source.read(first, n); }};
}

// Pictures 0 to `count` - 1 of a model, of these classes in turn or, `random`, independently of each other.
// `seconds`, which must stay, grows by the time of drawing.
PictureSet set_of(PictureDrawer& drawer, std::vector<std::int64_t> classes, bool random, std::int64_t count,
                  std::uint64_t seed, double& seconds) {
    return {
        "the model",
        count,
        drawer.channels(),
        {drawer.image_size(), drawer.image_size()},
        [&drawer, classes = std::move(classes), random, seed, &seconds](std::int64_t first, std::int64_t n) {
            const PhiloxKey key = random_key(seed, "class");
            const auto choices = static_cast<float>(classes.size());
            std::vector<std::int64_t> chosen;
            for (std::int64_t i = first; i < first + n; ++i) {
                const auto number = static_cast<std::uint64_t>(i);
                const std::size_t choice =
                    random ? static_cast<std::size_t>(choices * random_uniform(key, number))
                           : static_cast<std::size_t>(i) % classes.size();
                chosen.push_back(classes[std::min(choice, classes.size() - 1)]);
            }
            const auto start = std::chrono::steady_clock::now();
            std::vector<std::uint8_t> pictures = drawer.draw(chosen, first, seed);
            seconds += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
            return pictures;
        }};
}

void check_flags(const QualityJob& job) {
    if (job.draws() == !job.generated.empty())
        fail_usage("expected either --generated, pictures, or --checkpoint, a model that draws them");
    if (!job.draws() && job.repeats > 1)
        fail_usage("--repeats {}: given pictures stay the same; it is for those that --checkpoint draws",
                   job.repeats);
    if (!job.draws() && !job.drawer.nat.tokenizer.empty())
        fail_usage("--tokenizer: is for --checkpoint, a model that draws pictures");
    if (!job.draws() && job.drawer.nat.text.given())
        fail_usage("--captions, --text-encoder: are for --checkpoint, a model that draws from texts");
    if (!job.save_statistics.empty()) {
        if (!job.save_statistics.ends_with(".npz"))
            fail_usage("--save-statistics {}: expected a name that ends in .npz", job.save_statistics);
        require_distinct({"--save-statistics", job.save_statistics}, job.inputs());
        require_writable(job.save_statistics);
    }
}

std::vector<std::int64_t> drawn_classes(const QualityJob& job, const PictureDrawer& drawer) {
    std::vector<std::int64_t> classes;
    for (const std::string& list : job.classes)
        for (const std::int64_t number :
             class_numbers("--classes", list, drawer.class_num(), drawer.class_names()))
            classes.push_back(number);
    if (!classes.empty()) return classes;
    if (drawer.class_num() == 0) return {-1};
    classes.resize(static_cast<std::size_t>(drawer.class_num()));
    std::iota(classes.begin(), classes.end(), 0);
    return classes;
}

// How much memory the features take, before any is computed. Throws Error if there is less.
void announce(std::int64_t generated, std::int64_t reference, const FeatureNetwork& network,
              const Comm& comm) {
    const std::int64_t floats = network.feature_width() + (network.inception() ? network.classes() : 0);
    const auto bytes = static_cast<std::size_t>((generated + reference) * floats) * sizeof(float);
    constexpr std::size_t worth_saying = std::size_t{64} << 20;
    if (bytes > available_memory(Device::cpu))
        fail("the features of {} pictures take {:.0f} MiB, {:.0f} MiB are free: lower --count",
             generated + reference, static_cast<double>(bytes) / 0x1p20,
             static_cast<double>(available_memory(Device::cpu)) / 0x1p20);
    if (bytes >= worth_saying && comm.rank() == 0)
        report_line("sample", fmt::format("the features of {} pictures take {:.0f} MiB of memory",
                                          generated + reference, static_cast<double>(bytes) / 0x1p20));
}

std::int64_t generated_count(const QualityJob& job, const PictureSource* pictures) {
    if (pictures == nullptr) return job.count > 0 ? job.count : default_drawn;
    if (job.count > pictures->count())
        fail_usage("--count {}: {} has {} pictures", job.count, pictures->name(), pictures->count());
    return job.count > 0 ? job.count : pictures->count();
}

QualityReference measure_reference(const QualityJob& job, const GivenSet& set, const OpenedFeatures& features,
                                   const Comm& comm, JobProgress& progress) {
    const std::int64_t width = features.network->feature_width();
    if (!set.pictures) return read_statistics(job.reference, width, features.fingerprint());
    PictureFeatures measured = features_of(set_of(*set.pictures, set.count), features, job.batch, &comm,
                                           progress.counting("reference: measured"));
    // Only rank 0 has the features.
    if (comm.rank() > 0) return QualityReference(Moments{}, FeatureMatrix{width, {}});
    return QualityReference(std::move(measured.features),
                            [&](double share) { progress.show("moments of the reference", share); });
}

void run_job(QualityJob job, const Comm& comm) {
    comm.require_built();
    check_flags(job);
    watch_interruption();
    const Backend backend = job.drawer.fractal.backend.backend(comm.local_rank());
    const OpenedFeatures features = open_features(job.features, job.convention, backend);
    const GivenSet reference = open_reference(job.reference);
    std::unique_ptr<PictureSource> pictures;
    std::unique_ptr<PictureDrawer> drawer;
    if (!job.draws()) pictures = open_pictures(job.generated);
    const std::int64_t count = generated_count(job, pictures.get());
    const TextFlags& text = job.drawer.nat.text;
    if (!text.captions.empty())
        job.drawer.texts =
            evaluation_captions(text.captions, caption_protocol("--caption-protocol", text.protocol), count,
                                job.drawer.fractal.seed);
    if (job.draws()) drawer = open_drawer(job.drawer, job.batch);
    if (count < 2) fail_usage("{} picture: expected at least 2 to measure", count);
    announce(count, reference.count, *features.network, comm);

    JobProgress progress;
    const QualityReference measured = measure_reference(job, reference, features, comm, progress);
    std::vector<Quality> repeats;
    double seconds = 0;
    for (std::int64_t repeat = 0; repeat < job.repeats; ++repeat) {
        const std::uint64_t seed = job.drawer.fractal.seed + static_cast<std::uint64_t>(repeat);
        const PictureFeatures generated = features_of(
            drawer ? set_of(*drawer, drawn_classes(job, *drawer), job.random_classes, count, seed, seconds)
                   : set_of(*pictures, count),
            features, job.batch, &comm,
            progress.counting(drawer ? "drew and measured" : "generated: measured"));
        if (comm.rank() > 0) continue;
        repeats.push_back(measure_quality(
            generated.features, generated.logits, measured, {.seed = 0, .extrapolates = job.extrapolates},
            [&](std::string_view what, double share) { progress.show(what, share); }));
    }
    progress.clear();
    if (comm.rank() > 0) return;
    if (!job.save_statistics.empty())
        write_statistics(job.save_statistics, measured, {features.file, features.fingerprint()});
    QualityReport report{job.draws() ? job.drawer.checkpoint.checkpoint : job.generated,
                         job.reference,
                         count,
                         measured.moments().count,
                         measured.has_features(),
                         repeats,
                         {}};
    if (drawer)
        report.drawing = {drawer->parameters(), drawer->operations(),
                          seconds * comm.ranks() / static_cast<double>(count * job.repeats)};
    fmt::print("{}", job.json ? quality_json(report, features) + "\n" : quality_words(report, features));
}

}  // namespace

void add_quality_job(CommandLine& evaluate, const Comm& comm) {
    CommandLine* command = evaluate.add_subcommand("quality",
                                                   "FID, KID, Inception score, precision and recall of "
                                                   "pictures, given ones or those that a model draws");
    const auto job = std::make_shared<QualityJob>();
    command
        ->add_option("--generated", job->generated,
                     "Pictures to measure: a folder of JPEG or PNG files, a packed file, or an .npz with "
                     "arr_0, uint8 [N, height, width, 3]")
        ->type_name("PATH");
    command
        ->add_option("--reference", job->reference,
                     "Pictures to compare with, the same kinds, or an .npz of their statistics mu and sigma")
        ->type_name("PATH")
        ->required();
    command
        ->add_option(
            "--features", job->features,
            "Feature network: the published weights of Inception-v3 (pt_inception-2015-12-05, .pth or "
            ".safetensors), for FID, or a network of build/train features, for FD")
        ->type_name("FILE")
        ->required();
    command
        ->add_option("--convention", job->convention,
                     "How pictures become Inception's input: pytorch-fid (the default, as the NAT's authors "
                     "use it) or torch-fidelity (the fractal models' authors)")
        ->type_name("NAME");
    command
        ->add_option(
            "--count", job->count,
            fmt::format("Generated pictures, the first ones (default: all; of a model {})", default_drawn))
        ->check(within(2, 10'000'000));
    command->add_option("--batch", job->batch, "Pictures at once")
        ->capture_default_str()
        ->check(within(1, 4096));
    command
        ->add_option("--repeats", job->repeats,
                     "With --checkpoint: draw so many times, by the seeds from --seed on, and give the means "
                     "with their standard errors")
        ->capture_default_str()
        ->check(within(1, 1000));
    command->add_flag(
        "--extrapolate", job->extrapolates,
        "The distance of infinitely many generated pictures as well: a line over 1/N through 15 "
        "numbers N of them");
    command
        ->add_option("--save-statistics", job->save_statistics,
                     "Write the reference's statistics, and features, for the next time")
        ->type_name("FILE.npz");
    command->add_flag("--json", job->json, "One JSON object instead of a table");
    command
        ->add_option(
            "--checkpoint", job->drawer.checkpoint.checkpoint,
            "Draw the pictures by this model instead: a checkpoint with its sampling flags, which are "
            "those of build/sample fractal and nat")
        ->type_name("FILE");
    add_model_flags(*command, job->drawer.checkpoint);
    command->add_option("--weights", job->drawer.checkpoint.weights, weights_meaning)->type_name("NAME");
    command
        ->add_option("--classes", job->classes, "Classes to draw in turn, by name or number (default: all)")
        ->type_name("CLASS");
    command->add_flag("--random-classes", job->random_classes,
                      "Draw each picture's class independently, as --extrapolate supposes, instead of the "
                      "classes in turn");
    add_nat_model_flags(*command, job->drawer.nat);
    add_strategy_flags(*command, job->drawer.nat.strategy, "--strategy");
    add_caption_flags(*command, job->drawer.nat.text);
    add_draw_flags(*command, job->drawer.fractal);
    add_backend_flags(*command, job->drawer.fractal.backend);
    command->callback([job, &comm] { run_job(*job, comm); });
}
