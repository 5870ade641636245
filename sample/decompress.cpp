// `build/sample decompress`: the pictures of a file that `compress` wrote.
#include <chrono>
#include <memory>
#include <string>

#include "data/images/sheet.h"
#include "data/records/coded_pictures.h"
#include "models/fractal/codec.h"
#include "runtime/base/command_line.h"
#include "runtime/base/error.h"
#include "runtime/base/live_line.h"
#include "runtime/device/arithmetic.h"
#include "runtime/device/backend_flags.h"
#include "runtime/files/atomic_file.h"
#include "sample/checkpoint_flags.h"
#include "sample/jobs.h"

namespace {

namespace fs = std::filesystem;

struct DecompressJob {
    CheckpointFlags checkpoint;
    std::string data, out;
    BackendFlags backend;
    bool overwrite = false;
};

void require_fitting(const DecompressJob& job, const FractalConfig& config, const CodedHeader& header) {
    if (header.size != config.image_size() || header.channels != config.channels)
        fail("{}: pictures of {}x{} with {} channels, the model of {} codes {}x{} with {}", job.data,
             header.size, header.size, header.channels, job.checkpoint.checkpoint, config.image_size(),
             config.image_size(), config.channels);
}

void require_absent(const DecompressJob& job, const CodedHeader& header) {
    std::error_code unreachable;
    for (std::int64_t i = 0; i < header.count && !job.overwrite; ++i)
        if (const fs::path file = fs::path(job.out) / header.decoded_name(i); fs::exists(file, unreachable))
            fail_usage("--out {}: holds {} already: give another folder, or --overwrite", job.out,
                       header.decoded_name(i));
}

// The pictures of a segment, each as its checksum says.
std::vector<std::uint8_t> decoded_segment(const DecompressJob& job, const CodedFile& file,
                                          std::int64_t segment, FractalCodec& codec) {
    const CodedHeader& header = file.header();
    const auto bytes = static_cast<std::size_t>(header.picture_bytes());
    const CodedSegment& coded = file.segment(segment);
    FractalCodec::Decoded decoded = codec.decode(coded.codes, header.pictures_of(segment));
    for (std::size_t i = 0; i < coded.checksums.size(); ++i)
        if (picture_checksum(std::span(decoded.pictures).subspan(i * bytes, bytes)) != coded.checksums[i])
            fail(
                "{}: picture {} ({}) differs from its checksum: this machine computes otherwise than the one "
                "that coded it ({})",
                job.data, header.first_picture(segment) + static_cast<std::int64_t>(i),
                header.decoded_name(header.first_picture(segment) + static_cast<std::int64_t>(i)),
                header.arithmetic);
    if (!decoded.complete)
        fail(
            "{}: a code does not end with its last picture: this machine computes otherwise than the one "
            "that "
            "coded it ({})",
            job.data, header.arithmetic);
    return std::move(decoded.pictures);
}

void write_pictures(const DecompressJob& job, const CodedHeader& header, std::int64_t first,
                    std::span<const std::uint8_t> pictures) {
    const auto bytes = static_cast<std::size_t>(header.picture_bytes());
    for (std::size_t at = 0; at < pictures.size(); at += bytes) {
        const fs::path path = fs::path(job.out) / header.decoded_name(first++);
        make_folder(path.parent_path());
        write_png(path, interleaved_image(pictures.subspan(at, bytes), static_cast<int>(header.channels),
                                          static_cast<int>(header.size)));
    }
}

void run_job(const DecompressJob& job) {
    const Backend backend = job.backend.backend();
    const CodedFile file(job.data);
    const CodedHeader& header = file.header();
    std::vector<NamedPath> inputs = job.checkpoint.inputs();
    inputs.push_back({"--data", job.data});
    require_distinct_folder({"--out", job.out}, inputs);
    const OpenedCheckpoint checkpoint(job.checkpoint);
    require_codable(checkpoint.metadata.config);
    require_fitting(job, checkpoint.metadata.config, header);
    require_absent(job, header);
    const auto model = checkpoint.load(backend);
    if (const std::uint32_t weights = weights_checksum(model->parameters()); weights != header.weights)
        fail(
            "{}: coded with weights of checksum {:08x}, {} has {:08x}: decoding needs the same checkpoint "
            "and "
            "--weights",
            job.data, header.weights, job.checkpoint.checkpoint, weights);
    FractalCodec codec(*model, header.lanes);
    if (codec.probe() != header.probe)
        fail(
            "{}: coded by '{}', whose probabilities differ from those of '{}' here: decoding needs the same "
            "kind of processor, --device and --precision",
            job.data, header.arithmetic, arithmetic_of(backend));
    double seconds = 0;
    LiveLine line;
    for (std::int64_t segment = 0; segment < header.segments(); ++segment) {
        const std::int64_t first = header.first_picture(segment), count = header.pictures_of(segment);
        codec.watch([&](double share) {
            line.show(fmt::format("decoded {} of {} pictures",
                                  first + static_cast<std::int64_t>(share * static_cast<double>(count)),
                                  header.count));
        });
        const auto start = std::chrono::steady_clock::now();
        const std::vector<std::uint8_t> pictures = decoded_segment(job, file, segment, codec);
        seconds += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
        write_pictures(job, header, first, pictures);
    }
    line.clear();
    fmt::print("{} pictures of {}x{} in {:.2f} s, {:.1f} a second, each as its checksum says: {}\n",
               header.count, header.size, header.size, seconds, static_cast<double>(header.count) / seconds,
               job.out);
}

}  // namespace

void add_decompress_job(CommandLine& app) {
    CommandLine* command =
        app.add_subcommand("decompress", "Write the pictures of a file of compress as PNG");
    const auto job = std::make_shared<DecompressJob>();
    add_checkpoint_flags(*command, job->checkpoint);
    command->add_option("--data", job->data, "File that compress wrote")->type_name("FILE.frc")->required();
    command
        ->add_option(
            "--out", job->out,
            "Folder for the pictures, as PNG by the names that they had; refused if one of them is there")
        ->type_name("DIR")
        ->required();
    command->add_flag("--overwrite", job->overwrite, "Replace files of these names in the folder of --out");
    add_backend_flags(*command, job->backend);
    command->callback([job] { run_job(*job); });
}
