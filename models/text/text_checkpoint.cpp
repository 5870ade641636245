#include "models/text/text_checkpoint.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <string_view>
#include <utility>

#include "runtime/base/error.h"

namespace {

// Names of a published file by those of our parameters. Queries, keys and values are one tensor here.
struct Naming {
    std::string_view tokens, positions, block, norm;
    std::vector<std::pair<std::string_view, std::vector<std::string_view>>> in_block;
};

const Naming& transformers_naming() {
    static const Naming naming{
        "text_model.embeddings.token_embedding.weight",
        "text_model.embeddings.position_embedding.weight",
        "text_model.encoder.layers.",
        "text_model.final_layer_norm.",
        {{"norm1.", {"layer_norm1."}},
         {"attn.qkv.", {"self_attn.q_proj.", "self_attn.k_proj.", "self_attn.v_proj."}},
         {"attn.proj.", {"self_attn.out_proj."}},
         {"norm2.", {"layer_norm2."}},
         {"mlp.fc1.", {"mlp.fc1."}},
         {"mlp.fc2.", {"mlp.fc2."}}}};
    return naming;
}

const Naming& openai_naming() {
    static const Naming naming{"token_embedding.weight",
                               "positional_embedding",
                               "transformer.resblocks.",
                               "ln_final.",
                               {{"norm1.", {"ln_1."}},
                                {"attn.qkv.", {"attn.in_proj_"}},
                                {"attn.proj.", {"attn.out_proj."}},
                                {"norm2.", {"ln_2."}},
                                {"mlp.fc1.", {"mlp.c_fc."}},
                                {"mlp.fc2.", {"mlp.c_proj."}}}};
    return naming;
}

const Naming& naming_of(const TensorFile& file) {
    return file.contains(transformers_naming().tokens) ? transformers_naming() : openai_naming();
}

// The tensors whose rows, one after the other, are the parameter's.
std::vector<std::string> tensors_of(const Naming& naming, const std::string& parameter) {
    constexpr std::string_view blocks = "blocks.", norm = "norm.";
    if (parameter == "token_embedding.weight") return {std::string(naming.tokens)};
    if (parameter == "positional_embedding") return {std::string(naming.positions)};
    if (parameter.starts_with(norm)) return {std::string(naming.norm) + parameter.substr(norm.size())};
    const std::size_t dot = parameter.find('.', blocks.size()) + 1;
    const std::string block =
        std::string(naming.block) + parameter.substr(blocks.size(), dot - blocks.size());
    const std::string inside = parameter.substr(dot);
    std::vector<std::string> names;
    for (const auto& [ours, theirs] : naming.in_block)
        if (inside.starts_with(ours))
            for (const std::string_view each : theirs)
                names.push_back(block + std::string(each) + inside.substr(ours.size()));
    return names;
}

// The published tensors that are one after the other the rows of a parameter, each as a parameter of its own.
std::vector<Parameter> published_parts(const Naming& naming, const Parameter& parameter) {
    std::vector<Parameter> parts;
    const std::vector<std::string> names = tensors_of(naming, parameter.name);
    const auto count = static_cast<std::int64_t>(names.size());
    for (const std::string& name : names) {
        Parameter& part = parts.emplace_back(parameter);
        part.name = name;
        part.shape.front() /= count;
        part.count /= count;
        part.offset = 0;
    }
    return parts;
}

void load_published(const TensorFile& file, TextEncoder& encoder) {
    const Naming& naming = naming_of(file);
    std::vector<float> values;
    for (const Parameter& parameter : encoder.parameters().all()) {
        values.resize(static_cast<std::size_t>(parameter.count));
        float* to = values.data();
        for (const Parameter& part : published_parts(naming, parameter)) {
            load_parameter(file, part, "", to, Device::cpu);
            to += part.count;
        }
        copy_to_device(encoder.backend().device, encoder.parameters().values() + parameter.offset,
                       values.data(), values.size() * sizeof(float));
    }
    encoder.parameters().round_values();
}

// Width and ids, layers and places of a published file's encoder.
TextConfig config_of_shapes(const TensorFile& file) {
    const Naming& naming = naming_of(file);
    const auto matrix = [&](std::string_view name) -> const std::vector<std::int64_t>& {
        const auto& shape = file.shape(name);
        if (shape.size() != 2) fail("{}: {} is no matrix", file.path().string(), name);
        return shape;
    };
    TextConfig config;
    config.vocab_size = matrix(naming.tokens)[0];
    config.width = matrix(naming.tokens)[1];
    config.context_length = matrix(naming.positions)[0];
    config.layers = 0;
    while (file.contains(tensors_of(naming, fmt::format("blocks.{}.norm1.weight", config.layers)).front()))
        ++config.layers;
    return config;
}

TextConfig infer_config(const TensorFile& file) {
    const TextConfig shapes = config_of_shapes(file);
    for (const TextPreset& preset : text_presets())
        if (preset.config.width == shapes.width && preset.config.layers == shapes.layers &&
            preset.config.vocab_size == shapes.vocab_size &&
            preset.config.context_length == shapes.context_length)
            return preset.config;
    fail_usage(
        "{}: a text encoder of width {}, {} layers and {} ids, which is no preset's: its shapes tell neither "
        "heads nor activation",
        file.path().string(), shapes.width, shapes.layers, shapes.vocab_size);
}

}  // namespace

void write_metadata(CheckpointWriter& writer, const TextMetadata& metadata) {
    write_metadata(writer, text_kind, to_json(metadata.config), metadata);
}

TextMetadata read_text_metadata(const TensorFile& file, const std::optional<TextConfig>& config) {
    const std::string path = file.path().string();
    require_kind(file, text_kind);
    TextMetadata metadata;
    if (!has_format(file, text_kind)) {
        if (model_kind(file) != text_kind) fail("{}: not a text encoder", path);
        metadata.config = config ? *config : infer_config(file);
        return metadata;
    }
    read_metadata(file, metadata, [&](const std::string& json, const std::string& source) {
        metadata.config = parse_text_config(json, source);
    });
    if (config && *config != metadata.config)
        fail_usage("{}: is of another text encoder than asked for; without --preset it says itself which",
                   path);
    return metadata;
}

void require_fitting(const TensorFile& file, const TextEncoder& encoder) {
    if (has_format(file, text_kind)) return require_fitting(file, encoder.parameters(), "");
    for (const Parameter& parameter : encoder.parameters().all())
        for (const Parameter& part : published_parts(naming_of(file), parameter))
            if (file.shape(part.name) != part.shape)
                fail("{}: tensor {} is [{}], expected [{}]", file.path().string(), part.name,
                     fmt::join(file.shape(part.name), ", "), fmt::join(part.shape, ", "));
}

std::unique_ptr<TextEncoder> load_text_encoder(const TensorFile& file, const TextConfig& config,
                                               Backend backend) {
    auto encoder = std::make_unique<TextEncoder>(config, backend);
    if (has_format(file, text_kind)) {
        load_weights(file, encoder->parameters(), backend, std::nullopt);
        return encoder;
    }
    encoder->parameters().allocate(backend, false);
    load_published(file, *encoder);
    return encoder;
}
