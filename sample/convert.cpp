// `build/sample convert`: a checkpoint's weights alone, in a safetensors file with the model's metadata.
#include <memory>
#include <string>

#include "models/nat/tokenizer_checkpoint.h"
#include "runtime/base/command_line.h"
#include "runtime/base/error.h"
#include "runtime/checkpoint/sharded_checkpoint.h"
#include "runtime/files/open_tensor_file.h"
#include "sample/checkpoint_flags.h"
#include "sample/jobs.h"

namespace {

struct ConvertJob {
    CheckpointFlags checkpoint;
    std::string out, precision = "fp32";
};

// The old file's metadata that remain valid for the weights under `prefix` alone.
std::map<std::string, std::string> remaining_metadata(const TensorFile& file, std::string_view prefix) {
    std::map<std::string, std::string> metadata = file.metadata();
    metadata.erase("ema_decay");
    metadata.erase(shards_key);
    // Runs measure their average if they keep one.
    if (prefix.empty() && has_average(file))
        std::erase_if(metadata, [](const auto& item) { return item.first.starts_with("validation_"); });
    std::erase_if(metadata, [](const auto& item) { return item.first.starts_with(checksum_prefix); });
    return metadata;
}

template <class Model, class ModelDescription>
void write_weights(const ConvertJob& job, const TensorFile& file, Model& model, ModelDescription metadata) {
    const std::string_view prefix = chosen_prefix(file, job.checkpoint.weight_choice());
    CheckpointWriter writer;
    writer.add_slab(model.parameters(), "", model.parameters().values());
    // Tokens and models know their tokenizer by its codebook.
    if (job.precision == "bf16") writer.round_to_bf16(codebook_name);
    for (const auto& [key, value] : remaining_metadata(file, prefix)) writer.set(key, value);
    metadata.ema_decay = 0;
    write_metadata(writer, metadata);
    writer.write(job.out);
    report_origin("sample", file, prefix);
    fmt::print("{}: {} parameters in {}, the {} weights of {}\n", job.out, model.parameters().count(),
               job.precision, prefix.empty() ? "newest" : "averaged", file.path().string());
}

void run_convert(const ConvertJob& job) {
    const CheckpointFlags& flags = job.checkpoint;
    if (job.precision != "fp32" && job.precision != "bf16")
        fail_usage("--precision {}: expected fp32 or bf16", job.precision);
    require_distinct({"--out", job.out}, flags.inputs());
    const auto file = open_tensor_file(flags.checkpoint);
    if (is_tokenizer(*file)) {
        const TokenizerMetadata metadata = read_tokenizer_metadata(*file);
        Tokenizer model(metadata.config, Device::cpu);
        model.parameters().allocate(Device::cpu, false);
        load_tokenizer_weights(*file, model.parameters(), chosen_prefix(*file, flags.weight_choice()),
                               model.parameters().values());
        return write_weights(job, *file, model, metadata);
    }
    if (holds_nat(*file)) {
        const NatMetadata metadata = read_nat_metadata(*file, flags.given_nat_config(*file));
        const auto model = load_nat(*file, metadata.config, Device::cpu, flags.weight_choice());
        return write_weights(job, *file, *model, metadata);
    }
    const FractalMetadata metadata = read_metadata(*file, flags.given_config(*file));
    const auto model = load_fractal(*file, metadata.config, Device::cpu, flags.weight_choice());
    write_weights(job, *file, *model, metadata);
}

}  // namespace

void add_convert_job(CommandLine& app) {
    CommandLine* command = app.add_subcommand(
        "convert", "Write a checkpoint's weights (a published .pth's, or a run's) to a safetensors file");
    const auto job = std::make_shared<ConvertJob>();
    add_checkpoint_flags(*command, job->checkpoint);
    command->add_option("--out", job->out, "Safetensors file to write")->type_name("FILE")->required();
    command
        ->add_option("--precision", job->precision,
                     "fp32, or bf16, which halves the file and rounds the weights to 8 bits of significand, but "
                     "for a tokenizer's codebook, by which its tokens know it")
        ->type_name("NAME")
        ->capture_default_str();
    command->callback([job] { run_convert(*job); });
}
