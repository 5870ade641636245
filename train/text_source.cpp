#include "train/text_source.h"

#include "models/text/text_checkpoint.h"
#include "runtime/base/error.h"
#include "runtime/files/open_tensor_file.h"

namespace {

void require_taken(const NatConfig& config, const std::string& path, std::int64_t length,
                   std::int64_t width) {
    if (length != config.num_clip_token || width != config.clip_dim)
        fail_usage("{}: {} features of width {}, the model takes {} of width {}", path, length, width,
                   config.num_clip_token, config.clip_dim);
}

}  // namespace

TextSource::TextSource(const std::string& path, const NatConfig& config, Backend backend) : path_(path) {
    if (is_text_feature_file(path)) {
        features_ = std::make_unique<TextFeatureFile>(path);
        require_taken(config, path, features_->format().length, features_->format().width);
        return;
    }
    const auto file = open_tensor_file(path);
    const TextConfig text = read_text_metadata(*file).config;
    require_taken(config, path, text.context_length, text.width);
    encoder_ = load_text_encoder(*file, text, backend);
    encoder_checksum_ = weights_checksum(encoder_->parameters());
}

std::uint32_t TextSource::checksum() const {
    return features_ ? features_->format().encoder : encoder_checksum_;
}

std::unique_ptr<NatConditions> TextSource::conditions(const TokenFile& tokens) const {
    if (features_) return feature_conditions(tokens, *features_);
    return caption_conditions(tokens, encoder_->config(), path_, encoder_checksum_);
}

void TextSource::require_same_encoder(const TextSource& other) const {
    if (checksum() != other.checksum())
        fail("{}: features of the text encoder {:08x}, expected {:08x}, that of {}", path_, checksum(),
             other.checksum(), other.path_);
}
