// `build/sample compress`: pictures into a file of as many bits as a fractal model's likelihood says.
#include <algorithm>
#include <chrono>
#include <memory>
#include <string>

#include "data/records/baselines.h"
#include "data/records/coded_pictures.h"
#include "data/records/exact_pictures.h"
#include "models/fractal/codec.h"
#include "models/metrics/likelihood.h"
#include "runtime/base/command_line.h"
#include "runtime/base/error.h"
#include "runtime/base/live_line.h"
#include "runtime/device/arithmetic.h"
#include "runtime/device/backend_flags.h"
#include "sample/checkpoint_flags.h"
#include "sample/jobs.h"

namespace {

struct CompressJob {
    CheckpointFlags checkpoint;
    std::string images, out;
    BackendFlags backend;
    std::int64_t batch = 64;
};

// As many as --batch, but so that a lane's own six bytes are below 0.3 % of its code at 3 bits a value.
std::int64_t lanes_for(const CodedHeader& header, std::int64_t batch) {
    constexpr std::int64_t least_values = 6144;
    const std::int64_t pictures = (least_values + header.picture_bytes() - 1) / header.picture_bytes();
    return std::clamp<std::int64_t>(header.count / pictures, 1, batch);
}

struct Sizes {
    std::int64_t coded = 0, names = 0;
    FileSizes files;
    double likelihood = 0;  // bits/dim
    double seconds = 0;     // of coding
};

// What is measured beside coding.
void add_comparison(Sizes& sizes, Likelihood& likelihood, std::int64_t batch, const CodedHeader& header,
                    const std::vector<std::uint8_t>& pictures) {
    const auto bytes = static_cast<std::size_t>(header.picture_bytes());
    const std::size_t count = pictures.size() / bytes;
    const FileSizes files = file_sizes(pictures.data(), static_cast<std::int64_t>(count),
                                       static_cast<int>(header.size), static_cast<int>(header.channels));
    sizes.files.png += files.png;
    sizes.files.webp += files.webp;
    for (std::size_t first = 0; first < count; first += static_cast<std::size_t>(batch)) {
        const std::size_t n = std::min(static_cast<std::size_t>(batch), count - first);
        likelihood.add(std::span(pictures).subspan(first * bytes, n * bytes),
                       std::vector<std::int64_t>(n, -1));
    }
}

void report(const CompressJob& job, const CodedHeader& header, const Sizes& sizes) {
    const double values = static_cast<double>(header.count * header.picture_bytes());
    const auto line = [&](const char* what, double bits_per_dim, const std::string& note) {
        fmt::print("{:<22} {:>12.0f} bytes  {:7.4f} bits/dim{}\n", what, bits_per_dim * values / 8,
                   bits_per_dim, note);
    };
    const auto of_bytes = [&](std::int64_t bytes) { return 8 * static_cast<double>(bytes) / values; };
    fmt::print("{} pictures of {}x{} in {:.2f} s, {:.1f} a second: {}\n", header.count, header.size,
               header.size, sizes.seconds, static_cast<double>(header.count) / sizes.seconds, job.out);
    line("PNG", of_bytes(sizes.files.png), "");
    line("WebP, lossless", of_bytes(sizes.files.webp), "");
    line("this file", of_bytes(sizes.coded),
         fmt::format(", {:+.2f} % of the likelihood", 100 * (of_bytes(sizes.coded) / sizes.likelihood - 1)) +
             (sizes.names > 0 ? fmt::format(", {} bytes of it names", sizes.names) : ""));
    line("the model's likelihood", sizes.likelihood, "");
}

void run_job(const CompressJob& job) {
    const Backend backend = job.backend.backend();
    std::vector<NamedPath> inputs = job.checkpoint.inputs();
    inputs.push_back({"--images", job.images});
    require_distinct({"--out", job.out}, inputs);
    const OpenedCheckpoint checkpoint(job.checkpoint);
    const FractalConfig& config = checkpoint.metadata.config;
    require_codable(config);
    const ExactPictures pictures(job.images, static_cast<int>(config.image_size()),
                                 static_cast<int>(config.channels));
    const auto model = checkpoint.load(backend);
    CodedHeader header{config.image_size(),
                       config.channels,
                       pictures.count(),
                       1,
                       weights_checksum(model->parameters()),
                       0,
                       arithmetic_of(backend),
                       pictures.names()};
    header.lanes = lanes_for(header, job.batch);
    FractalCodec codec(*model, header.lanes);
    header.probe = codec.probe();
    CodedWriter writer(job.out, header);
    const std::int64_t likelihood_batch = std::min<std::int64_t>(32, header.count);
    Likelihood likelihood(*model, likelihood_batch);
    Sizes sizes;
    LiveLine line;
    for (std::int64_t segment = 0; segment < header.segments(); ++segment) {
        const std::int64_t first = header.first_picture(segment), count = header.pictures_of(segment);
        const std::vector<std::uint8_t> bytes = pictures.read(first, count);
        codec.watch([&](double share) {
            line.show(fmt::format("coded {} of {} pictures",
                                  first + static_cast<std::int64_t>(share * static_cast<double>(count)),
                                  header.count));
        });
        const auto start = std::chrono::steady_clock::now();
        const FractalCodec::Codes codes = codec.encode(bytes);
        CodedSegment coded;
        for (std::int64_t i = 0; i < count; ++i)
            coded.checksums.push_back(picture_checksum(
                std::span(bytes).subspan(static_cast<std::size_t>(i * header.picture_bytes()),
                                         static_cast<std::size_t>(header.picture_bytes()))));
        coded.codes.assign(codes.begin(), codes.end());
        writer.add(coded);
        sizes.seconds += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
        add_comparison(sizes, likelihood, likelihood_batch, header, bytes);
    }
    writer.commit();
    line.clear();
    sizes.coded = writer.bytes();
    sizes.names = writer.name_bytes();
    sizes.likelihood = likelihood.bits_per_dim();
    report(job, header, sizes);
}

}  // namespace

void add_compress_job(CommandLine& app) {
    CommandLine* command = app.add_subcommand(
        "compress", "Code pictures without loss, in as many bits as a fractal model's likelihood says");
    const auto job = std::make_shared<CompressJob>();
    add_checkpoint_flags(*command, job->checkpoint);
    command
        ->add_option(
            "--images", job->images,
            "Folder of JPEG or PNG files, one such file, or packed images (build/data pack); pictures "
            "have the model's size, 8 bits and no transparency")
        ->type_name("DIR|FILE")
        ->required();
    command
        ->add_option(
            "--out", job->out,
            "File to write; decompress needs this checkpoint and the same kind of processor, --device "
            "and --precision")
        ->type_name("FILE.frc")
        ->required();
    command
        ->add_option("--batch", job->batch,
                     "Pictures at once, of few small pictures fewer; decompress takes as many")
        ->capture_default_str()
        ->check(within(1, 4096));
    add_backend_flags(*command, job->backend);
    command->callback([job] { run_job(*job); });
}
