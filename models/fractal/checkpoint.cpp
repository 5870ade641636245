#include "models/fractal/checkpoint.h"

#include "runtime/base/error.h"

namespace {

constexpr std::string_view class_embeddings = "class_emb.weight";

}  // namespace

void write_metadata(CheckpointWriter& writer, const FractalMetadata& metadata) {
    write_metadata(writer, fractal_kind, to_json(metadata.config), metadata);
    write_fingerprint(writer, tokenizer_key, metadata.tokenizer);
}

FractalMetadata read_metadata(const TensorFile& file, const std::optional<FractalConfig>& config) {
    const std::string path = file.path().string();
    FractalMetadata metadata;
    require_kind(file, fractal_kind);
    if (!has_format(file, fractal_kind)) {
        if (!config)
            fail_usage(
                "{}: does not say which model it is (no metadata \"{}\"): --preset NAME or --config FILE "
                "says it",
                path, format_of(fractal_kind));
        metadata.config = *config;
        return metadata;
    }
    read_metadata(file, metadata, [&](const std::string& json, const std::string& source) {
        metadata.config = parse_fractal_config(json, source);
    });
    metadata.tokenizer = read_fingerprint(file, tokenizer_key, "tokenizer");
    if (config && *config != metadata.config)
        fail_usage(
            "{}: is of another model than --preset or --config says; without them it says itself which",
            path);
    return metadata;
}

FractalConfig preset_for(const TensorFile& file, std::string_view name) {
    FractalConfig config = fractal_preset(name).config;
    const bool labelled = file.contains(class_embeddings);
    if (!labelled) config.class_num = 0;
    if (labelled && !file.shape(class_embeddings).empty())
        config.class_num = file.shape(class_embeddings).front();
    config.validate(file.path().string());
    return config;
}

std::unique_ptr<FractalModel> load_fractal(const TensorFile& file, const FractalConfig& config,
                                           Backend backend, std::optional<WeightChoice> choice) {
    auto model = std::make_unique<FractalModel>(config, backend);
    load_weights(file, model->parameters(), backend, choice);
    return model;
}
