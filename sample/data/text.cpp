#include "sample/data/text.h"

#include <algorithm>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "data/records/caption_source.h"
#include "data/records/live_progress.h"
#include "data/text/caption_ids.h"
#include "data/text/text_features.h"
#include "models/text/text_checkpoint.h"
#include "runtime/base/command_line.h"
#include "runtime/base/error.h"
#include "runtime/device/backend_flags.h"
#include "runtime/files/open_tensor_file.h"
#include "runtime/files/output_file.h"
#include "runtime/ops/ops.h"
#include "runtime/tensor/require_memory.h"

namespace {

struct TextJob {
    std::string encoder, preset, data, out;
    std::int64_t batch = 16;
    BackendFlags backend;
};

// Features of texts, `batch` at once.
class EncodedTexts {
  public:
    EncodedTexts(const TextEncoder& encoder, std::int64_t batch)
        : encoder_(encoder), tape_(encoder.backend()) {
        const std::vector<std::int32_t> ids(
            static_cast<std::size_t>(batch * encoder.config().context_length));
        plan_ = plan_job(tape_, [&] { run(ids, nullptr); });
        require_memory(tape_, plan_, fmt::format("encoding {} captions at once", batch),
                       "encode fewer at once (--batch)");
    }

    // ids [n, length], n at most `batch` -> fp32 [n, length, width].
    const std::vector<float>& encode(const std::vector<std::int32_t>& ids) {
        features_.resize(ids.size() * static_cast<std::size_t>(encoder_.config().width));
        run_job(tape_, plan_, [&] { run(ids, features_.data()); });
        return features_;
    }

  private:
    void run(const std::vector<std::int32_t>& ids, float* features) {
        const std::int64_t texts = static_cast<std::int64_t>(ids.size()) / encoder_.config().context_length;
        const Tensor made = encoder_.forward(tape_, device_copy(tape_, ids, texts));
        if (!tape_.planning()) copy_from_tensor(tape_, features, made, features_.size() * sizeof(float));
    }

    const TextEncoder& encoder_;
    Tape tape_;
    Plan plan_;
    std::vector<float> features_;
};

// Says how large the file will be. Throws Error if the disk has less room.
void announce(const TextJob& job, const TextFeatureFormat& format, std::int64_t captions) {
    const std::uint64_t bytes = text_feature_bytes(format, captions);
    const double megabytes = static_cast<double>(bytes) / 1e6;
    std::error_code none;
    const auto folder = std::filesystem::absolute(job.out).parent_path();
    const auto space = std::filesystem::space(folder, none);
    if (!none && space.available < bytes)
        fail(
            "{}: {} captions take {:.1f} MB, its disk has {:.1f} MB: train nat --text {} encodes them as it "
            "goes",
            job.out, captions, megabytes, static_cast<double>(space.available) / 1e6, job.encoder);
    fmt::print("{}: {} captions and the empty one, {} features of width {} each, {:.1f} MB\n", job.out,
               captions, format.length, format.width, megabytes);
    std::fflush(stdout);
}

void run_job(const TextJob& job) {
    require_distinct({"--out", job.out},
                     std::vector<NamedPath>{{"--encoder", job.encoder}, {"--data", job.data}});
    flush_denormals();
    const auto data = open_captions(job.data);
    const auto file = open_tensor_file(job.encoder);
    const std::optional<TextConfig> given =
        job.preset.empty() ? std::nullopt : std::optional(text_preset(job.preset).config);
    const TextConfig config = read_text_metadata(*file, given).config;
    const CaptionIds ids(caption_format(config), job.encoder);
    const auto encoder = load_text_encoder(*file, config, job.backend.backend());
    report_origin("data", *file, "");
    const TextFeatureFormat format{config.context_length, config.width,
                                   weights_checksum(encoder->parameters()), data->caption_checksum()};
    const std::int64_t captions = data->caption_count();
    announce(job, format, captions);
    EncodedTexts encoded(*encoder, job.batch);
    TextFeatureWriter writer(job.out, format);
    const PackProgress progress = show_progress("encoded");
    std::vector<std::int32_t> pending;
    std::int64_t done = 0;
    const auto flush = [&] {
        if (pending.empty()) return;
        const std::span<const float> features(encoded.encode(pending));
        const auto each = static_cast<std::size_t>(format.caption_values());
        for (std::size_t at = 0; at < features.size(); at += each) writer.add(features.subspan(at, each));
        done += static_cast<std::int64_t>(features.size() / each);
        pending.clear();
        progress(done, captions + 1);
    };
    const auto add = [&](std::string_view caption) {
        const std::vector<std::int32_t> one = ids.of(caption);
        pending.insert(pending.end(), one.begin(), one.end());
        if (static_cast<std::int64_t>(pending.size()) == job.batch * config.context_length) flush();
    };
    for (std::int64_t i = 0; i < data->count(); ++i)
        for (std::int64_t k = 0; k < data->captions(i); ++k) add(data->caption(i, k));
    add("");
    flush();
    writer.commit();
    fmt::print("{}: written\n", job.out);
}

}  // namespace

void add_text_job(CommandLine& app) {
    CommandLine* command = app.add_subcommand(
        "text",
        "Compute the features of a data set's captions, by a text encoder, for build/train nat --text");
    const auto job = std::make_shared<TextJob>();
    command
        ->add_option("--encoder", job->encoder,
                     "Weights of a text encoder of CLIP: .safetensors, .bin or .pth, as published by either "
                     "CLIP's authors or transformers")
        ->required()
        ->type_name("FILE");
    command
        ->add_option("--preset", job->preset,
                     "Which encoder, of a file whose shapes fit several (default: the one that they fit)")
        ->type_name("NAME");
    command->add_option("--data", job->data, "Packed file or token file with captions")
        ->required()
        ->type_name("FILE");
    command->add_option("--out", job->out, "File of text features to write, in half precision")
        ->required()
        ->type_name("FILE");
    command->add_option("--batch", job->batch, "Captions at once")
        ->capture_default_str()
        ->check(within(1, 4096));
    add_backend_flags(*command, job->backend);
    command->callback([job] { run_job(*job); });
}
