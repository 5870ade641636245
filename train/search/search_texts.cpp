#include "train/search/search_texts.h"

#include <span>

#include "data/records/caption_source.h"
#include "data/text/caption_ids.h"
#include "models/nat/checkpoint.h"
#include "models/text/text_checkpoint.h"
#include "runtime/base/error.h"
#include "runtime/files/open_tensor_file.h"
#include "runtime/files/safetensors.h"

SearchTexts::SearchTexts(const std::string& checkpoint, const std::string& captions,
                         const std::string& encoder, Backend backend) {
    const auto model = open_tensor_file(checkpoint);
    const NatMetadata metadata = read_nat_metadata(*model);
    const NatConfig& config = metadata.config;
    if (!config.takes_texts()) {
        if (!captions.empty() || !encoder.empty())
            fail_usage("--captions, --text-encoder: the model draws from classes");
        return;
    }
    if (captions.empty()) fail_usage("the model draws from texts: expected --captions");
    if (config.text_encoder.has_value() == !encoder.empty())
        fail_usage("{}", encoder.empty()
                             ? "the model takes the features of a text encoder: expected --text-encoder"
                             : "--text-encoder: the model has a text encoder of its own");
    TextConfig text = config.text_encoder.value_or(TextConfig());
    if (!encoder.empty()) {
        const auto file = open_tensor_file(encoder);
        text = read_text_metadata(*file).config;
        encoder_ = load_text_encoder(*file, text, backend);
        require_text_encoder(*model, metadata, weights_checksum(encoder_->parameters()), encoder);
    }
    const CaptionIds ids(caption_format(text), encoder.empty() ? "the model" : encoder);
    const auto source = open_captions(captions);
    std::vector<std::string> all;
    for (std::int64_t i = 0; i < source->count(); ++i)
        for (std::int64_t k = 0; k < source->captions(i); ++k) all.emplace_back(source->caption(i, k));
    count_ = static_cast<std::int64_t>(all.size());
    ids_ = ids.table(all);
}

void SearchTexts::attach(NatTransformer& model) const {
    if (encoder_) model.use_encoder(*encoder_);
}

std::uint32_t SearchTexts::checksum() const {
    return ::checksum(std::as_bytes(std::span(ids_))) ^
           (encoder_ ? weights_checksum(encoder_->parameters()) : 0);
}
