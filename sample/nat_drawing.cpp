#include "sample/nat_drawing.h"

#include "runtime/base/command_line.h"
#include "runtime/files/open_tensor_file.h"
#include "sample/codes_tokenizer.h"

std::vector<NamedPath> NatDrawFlags::inputs() const {
    std::vector<NamedPath> files = strategy.inputs();
    files.push_back({"--tokenizer", tokenizer});
    for (NamedPath& file : text.inputs()) files.push_back(std::move(file));
    return files;
}

NatModels load_nat_models(const CheckpointFlags& checkpoint, const NatDrawFlags& flags, Backend backend) {
    const auto file = open_tensor_file(checkpoint.checkpoint);
    NatModels models{read_nat_metadata(*file, checkpoint.given_nat_config(*file)), nullptr, nullptr, nullptr};
    const NatConfig& config = models.metadata.config;
    models.tokenizer = load_tokenizer_of(
        {checkpoint.checkpoint, config.codebook_size, config.img_size, models.metadata.tokenizer},
        flags.tokenizer, backend);
    models.transformer = load_nat(*file, config, backend, checkpoint.weight_choice());
    models.text_encoder =
        attach_text_encoder(*file, models.metadata, *models.transformer, flags.text, backend);
    report_origin("sample", *file, chosen_prefix(*file, checkpoint.weight_choice()));
    return models;
}

Option* add_nat_model_flags(CommandLine& command, NatDrawFlags& flags) {
    Option* const tokenizer =
        command.add_option("--tokenizer", flags.tokenizer, "Tokenizer whose codes the transformer predicts")
            ->type_name("FILE");
    add_text_encoder_flag(command, flags.text);
    return tokenizer;
}
