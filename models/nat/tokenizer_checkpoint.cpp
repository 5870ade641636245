#include "models/nat/tokenizer_checkpoint.h"

#include <algorithm>
#include <set>

#include "runtime/base/error.h"
#include "runtime/base/json_keys.h"

namespace {

constexpr const char* first_name = "encoder.conv_in.weight";

const std::vector<std::int64_t>& shape_of(const TensorFile& file, const std::string& name, std::size_t rank) {
    const std::vector<std::int64_t>& shape = file.shape(name);
    if (shape.size() != rank)
        fail("{}: tensor {} has {} dimensions, expected {}", file.path().string(), name, shape.size(), rank);
    return shape;
}

TokenizerConfig config_of_shapes(const TensorFile& file) {
    TokenizerConfig config;
    const auto& first = shape_of(file, first_name, 4);
    config.ch = first[0];
    config.in_channels = first[1];
    config.out_ch = shape_of(file, "decoder.conv_out.weight", 4)[0];
    config.z_channels = shape_of(file, "encoder.conv_out.weight", 4)[0];
    const auto& codebook = shape_of(file, codebook_name, 2);
    config.n_embed = codebook[0];
    config.embed_dim = codebook[1];
    const auto block = [](std::size_t level, std::int64_t number) {
        return fmt::format("encoder.down.{}.block.{}.conv1.weight", level, number);
    };
    config.ch_mult.clear();
    while (file.contains(block(config.levels(), 0))) {
        const std::string name = block(config.levels(), 0);
        const std::int64_t channels = shape_of(file, name, 4)[0];
        if (config.ch <= 0 || channels % config.ch != 0)
            fail("{}: tensor {} has {} channels, expected a multiple of {}", file.path().string(), name,
                 channels, config.ch);
        config.ch_mult.push_back(channels / config.ch);
    }
    config.num_res_blocks = 0;
    while (file.contains(block(0, config.num_res_blocks))) ++config.num_res_blocks;
    try {
        config.validate(file.path().string());
    } catch (const UsageError& error) {
        throw Error(error.what());
    }
    return config;
}

// A tokenizer's own parts must all be known: with an attention block or a projection around the codebook that
// this model lacks, the pictures would be wrong without a word.
void refuse_other_parts(const TensorFile& file, const Parameters& parameters, std::string_view prefix) {
    std::set<std::string, std::less<>> known;
    for (const Parameter& parameter : parameters.all()) known.insert(parameter.name);
    for (const std::string& name : file.names()) {
        if (!name.starts_with(prefix)) continue;
        const std::string_view own = std::string_view(name).substr(prefix.size());
        const bool part =
            std::ranges::any_of(std::initializer_list<std::string_view>{"encoder.", "decoder.", "quantize.",
                                                                        "quant_conv.", "post_quant_conv."},
                                [&](std::string_view start) { return own.starts_with(start); });
        if (part && !known.contains(own))
            fail("{}: holds tensor {}, which this tokenizer lacks", file.path().string(), name);
    }
}

}  // namespace

void write_metadata(CheckpointWriter& writer, const TokenizerMetadata& metadata) {
    write_metadata(writer, tokenizer_kind, to_json(metadata.config), metadata);
    if (metadata.image_size > 0) writer.set("image_size", std::to_string(metadata.image_size));
}

bool is_tokenizer(const TensorFile& file) {
    return model_kind(file) == tokenizer_kind;
}

TokenizerMetadata read_tokenizer_metadata(const TensorFile& file) {
    const std::string path = file.path().string();
    require_kind(file, tokenizer_kind);
    if (!is_tokenizer(file))
        fail("{}: not a tokenizer: no metadata \"{}\" and no tensors {} and {}", path,
             format_of(tokenizer_kind), codebook_name, first_name);
    TokenizerMetadata metadata;
    if (!has_format(file, tokenizer_kind)) {
        metadata.config = config_of_shapes(file);
        return metadata;
    }
    read_metadata(file, metadata, [&](const std::string& json, const std::string& source) {
        metadata.config = parse_tokenizer_config(json, source);
        if (file.metadata().contains("image_size"))
            parse_value(file.metadata("image_size"), metadata.image_size,
                        file.path().string() + ": image_size");
    });
    return metadata;
}

void load_tokenizer_weights(const TensorFile& file, const Parameters& parameters, std::string_view prefix,
                            float* values) {
    refuse_other_parts(file, parameters, prefix);
    load_slab(file, parameters, prefix, values);
}

std::string_view tokenizer_prefix(const TensorFile& file) {
    return file.contains(std::string(average_prefix) + codebook_name) ? average_prefix : "";
}

std::unique_ptr<Tokenizer> load_tokenizer(const TensorFile& file, Backend backend) {
    const TokenizerMetadata metadata = read_tokenizer_metadata(file);
    auto tokenizer = std::make_unique<Tokenizer>(metadata.config, backend);
    Parameters& parameters = tokenizer->parameters();
    parameters.allocate(backend, false);
    load_tokenizer_weights(file, parameters, tokenizer_prefix(file), parameters.values());
    parameters.round_values();
    return tokenizer;
}

std::vector<float> codebook_values(const Tokenizer& tokenizer) {
    const Parameter& codebook = tokenizer.codebook();
    std::vector<float> values(static_cast<std::size_t>(codebook.count));
    copy_from_device(tokenizer.parameters().device(), values.data(), codebook.value,
                     values.size() * sizeof(float));
    return values;
}

void require_tokenizer(const std::string& path, std::optional<std::uint32_t> of_model,
                       std::uint32_t fingerprint, std::string_view whose) {
    if (of_model && *of_model != fingerprint)
        fail("{}: predicts the codes of the tokenizer {:08x}, expected {:08x}, the one of {}", path,
             *of_model, fingerprint, whose);
}
