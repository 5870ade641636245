// build/data: the jobs of data/, and those that need a model. `tokens`: the tokens of every image of a packed file
// and of its mirror image, so that the transformer is trained without the tokenizer. `statistics`: the features of
// reference pictures and their moments, so that they are measured once.
#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "data/jobs.h"
#include "data/records/live_progress.h"
#include "data/records/packed.h"
#include "data/records/picture_source.h"
#include "data/records/tokens.h"
#include "models/metrics/picture_features.h"
#include "models/metrics/quality.h"
#include "models/metrics/reconstruction.h"
#include "models/nat/image_codec.h"
#include "models/nat/tokenizer_checkpoint.h"
#include "runtime/base/command_line.h"
#include "runtime/base/error.h"
#include "runtime/device/backend_flags.h"
#include "runtime/files/atomic_file.h"
#include "runtime/files/open_tensor_file.h"
#include "runtime/files/output_file.h"
#include "sample/data/text.h"

namespace {

struct TokensJob {
    std::string tokenizer, data, out;
    std::int64_t batch = 16;
    BackendFlags backend;
};

// Images first .. first + count - 1, each followed by its mirror image.
std::vector<std::uint8_t> with_mirror_images(const PackedFile& file, std::int64_t first, std::int64_t count) {
    std::vector<std::uint8_t> images(static_cast<std::size_t>(2 * count * file.record_bytes()));
    for (std::int64_t i = 0; i < count; ++i) {
        std::uint8_t* to = images.data() + 2 * i * file.record_bytes();
        std::copy_n(file.pixels(first + i), file.record_bytes(), to);
        file.read_mirrored(first + i, to + file.record_bytes());
    }
    return images;
}

void run_job(const TokensJob& job) {
    require_distinct({"--out", job.out},
                     std::vector<NamedPath>{{"--tokenizer", job.tokenizer}, {"--data", job.data}});
    flush_denormals();
    const Backend backend = job.backend.backend();
    const PackedFile file(job.data);
    const auto opened = open_tensor_file(job.tokenizer);
    const auto tokenizer = load_tokenizer(*opened, backend);
    report_origin("data", *opened, tokenizer_prefix(*opened));
    const TokenizerConfig& config = tokenizer->config();
    if (file.channels() != config.in_channels)
        fail("{}: images of {} channels, expected {} as the tokenizer {} takes them", job.data,
             file.channels(), config.in_channels, job.tokenizer);
    ImageCodec codec(*tokenizer, file.size(), 2 * job.batch, job.data);
    const std::int64_t N = codec.tokens();
    TokenWriter writer(job.out,
                       {codec.side(), config.n_embed, config.downsampling(),
                        tokenizer_fingerprint(codebook_values(*tokenizer), config.n_embed)},
                       file.classes());
    const PackProgress progress = show_progress("tokenized");
    std::vector<std::int64_t> counts(static_cast<std::size_t>(config.n_embed));
    for (std::int64_t first = 0; first < file.count(); first += job.batch) {
        const std::int64_t count = std::min(job.batch, file.count() - first);
        file.check_length();
        const std::vector<std::int32_t> codes = codec.encode(with_mirror_images(file, first, count));
        for (const std::int32_t code : codes) ++counts[static_cast<std::size_t>(code)];
        for (std::int64_t i = 0; i < count; ++i) {
            const std::int32_t* own = codes.data() + 2 * i * N;
            writer.add(own, own + N, file.label(first + i), captions_of(file, first + i));
        }
        progress(first + count, file.count());
    }
    writer.commit();
    fmt::print(
        "{}: {} images and their mirror images, {} tokens each, {} of {} codes used, perplexity {:.1f}\n",
        job.out, file.count(), N, counts.size() - static_cast<std::size_t>(std::ranges::count(counts, 0)),
        counts.size(), codebook_perplexity(counts));
}

void add_tokens_job(CommandLine& app) {
    CommandLine* command = app.add_subcommand("tokens", "Make a token file of a packed file, by a tokenizer");
    const auto job = std::make_shared<TokensJob>();
    command->add_option("--tokenizer", job->tokenizer, "Checkpoint of a tokenizer, or a published .pth")
        ->required()
        ->type_name("FILE");
    command->add_option("--data", job->data, "Packed file")->required()->type_name("FILE");
    command->add_option("--out", job->out, "Token file to write")->required()->type_name("FILE");
    command->add_option("--batch", job->batch, "Images at once, and as many mirror images")
        ->capture_default_str()
        ->check(within(1, 4096));
    add_backend_flags(*command, job->backend);
    command->callback([job] { run_job(*job); });
}

struct StatisticsJob {
    std::string data, features, convention, out;
    std::int64_t count = 0, batch = 32;
    bool moments_alone = false;
    BackendFlags backend;
};

void run_job(const StatisticsJob& job) {
    if (!job.out.ends_with(".npz")) fail_usage("--out {}: expected a name that ends in .npz", job.out);
    require_distinct({"--out", job.out},
                     std::vector<NamedPath>{{"--data", job.data}, {"--features", job.features}});
    flush_denormals();
    const OpenedFeatures features = open_features(job.features, job.convention, job.backend.backend());
    const auto source = open_pictures(job.data);
    const std::int64_t count = job.count > 0 ? job.count : source->count();
    if (count > source->count())
        fail_usage("--count {}: {} has {} pictures", count, job.data, source->count());
    require_writable(job.out);
    PictureFeatures measured =
        features_of({source->name(),
                     count,
                     source->channels(),
                     {source->height(), source->width()},
                     [&](std::int64_t first, std::int64_t n) { return source->read(first, n); }},
                    features, job.batch, nullptr, show_progress("measured"));
    write_statistics(job.out, QualityReference(std::move(measured.features)),
                     {features.file, features.fingerprint()}, !job.moments_alone);
    fmt::print("{}: mean and covariance of {} features of {} pictures{}\n", job.out,
               features.network->feature_width(), count, job.moments_alone ? "" : ", and the features");
}

void add_statistics_job(CommandLine& app) {
    CommandLine* command = app.add_subcommand(
        "statistics", "Measure reference pictures once, for build/sample evaluate quality");
    const auto job = std::make_shared<StatisticsJob>();
    command
        ->add_option(
            "--data", job->data,
            "Pictures: a folder of JPEG or PNG files, a packed file, or an .npz with arr_0, uint8 [N, "
            "height, width, 3]")
        ->required()
        ->type_name("PATH");
    command
        ->add_option("--features", job->features,
                     "Feature network, as build/sample evaluate quality takes it")
        ->required()
        ->type_name("FILE");
    command
        ->add_option("--convention", job->convention, "Of Inception's input: pytorch-fid or torch-fidelity")
        ->type_name("NAME");
    command->add_option("--out", job->out, "File to write: mu, sigma, features, as NumPy reads them")
        ->required()
        ->type_name("FILE.npz");
    command->add_option("--count", job->count, "Only so many pictures, the first ones (default: all)")
        ->check(within(2, 10'000'000));
    command->add_option("--batch", job->batch, "Pictures at once")
        ->capture_default_str()
        ->check(within(1, 4096));
    command->add_flag("--moments-alone", job->moments_alone,
                      "Leave out the features, which KID, precision and recall need");
    add_backend_flags(*command, job->backend);
    command->callback([job] { run_job(*job); });
}

}  // namespace

int main(int argument_count, char** arguments) {
    CommandLine app(
        "Packed image files for training: from folders, from CIFAR-10, or drawn; their tokens; captions as "
        "ids.");
    add_data_jobs(app);
    add_tokens_job(app);
    add_text_job(app);
    add_statistics_job(app);
    return run_program(app, "data", argument_count, arguments);
}
