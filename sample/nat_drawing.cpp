#include "sample/nat_drawing.h"

#include "data/records/tokens.h"
#include "models/nat/tokenizer_checkpoint.h"
#include "runtime/base/command_line.h"
#include "runtime/base/error.h"
#include "runtime/files/open_tensor_file.h"

namespace {

// Throws Error unless the tokens that the one predicts are the other's.
void require_matching(const TensorFile& checkpoint, const NatMetadata& metadata,
                      const std::string& tokenizer_path, const TokenizerMetadata& tokenizer) {
    const std::string path = checkpoint.path().string();
    if (metadata.config.codebook_size != tokenizer.config.n_embed)
        fail("{}: predicts {} codes, but the codebook of {} has {}", path, metadata.config.codebook_size,
             tokenizer_path, tokenizer.config.n_embed);
    const std::int64_t f = tokenizer.config.downsampling();
    if (tokenizer.image_size > 0 && tokenizer.image_size != f * metadata.config.img_size)
        fail("{}: predicts {}x{} tokens, but {} makes {}x{} of its pictures of {}x{} pixels", path,
             metadata.config.img_size, metadata.config.img_size, tokenizer_path, tokenizer.image_size / f,
             tokenizer.image_size / f, tokenizer.image_size, tokenizer.image_size);
}

}  // namespace

std::vector<NamedPath> NatDrawFlags::inputs() const {
    std::vector<NamedPath> files = strategy.inputs();
    files.push_back({"--tokenizer", tokenizer});
    for (NamedPath& file : text.inputs()) files.push_back(std::move(file));
    return files;
}

NatModels load_nat_models(const CheckpointFlags& checkpoint, const NatDrawFlags& flags, Backend backend) {
    const auto file = open_tensor_file(checkpoint.checkpoint);
    const std::string& tokenizer = flags.tokenizer;
    NatModels models{read_nat_metadata(*file, checkpoint.given_nat_config(*file)), nullptr, nullptr, nullptr};
    const auto tokenizer_file = open_tensor_file(tokenizer);
    require_matching(*file, models.metadata, tokenizer, read_tokenizer_metadata(*tokenizer_file));
    models.tokenizer = load_tokenizer(*tokenizer_file, backend);
    require_tokenizer(
        *file, models.metadata,
        tokenizer_fingerprint(codebook_values(*models.tokenizer), models.metadata.config.codebook_size),
        tokenizer);
    models.transformer = load_nat(*file, models.metadata.config, backend, checkpoint.weight_choice());
    models.text_encoder =
        attach_text_encoder(*file, models.metadata, *models.transformer, flags.text, backend);
    report_origin("sample", *file, chosen_prefix(*file, checkpoint.weight_choice()));
    report_origin("sample", *tokenizer_file, tokenizer_prefix(*tokenizer_file));
    return models;
}

Option* add_nat_model_flags(CommandLine& command, NatDrawFlags& flags) {
    Option* const tokenizer =
        command.add_option("--tokenizer", flags.tokenizer, "Tokenizer whose codes the transformer predicts")
            ->type_name("FILE");
    add_text_encoder_flag(command, flags.text);
    return tokenizer;
}
