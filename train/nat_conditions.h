// The conditions that a masked-token transformer is trained under: classes, captions by way of a text encoder, or
// features of captions that were stored.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "data/records/tokens.h"
#include "data/text/caption_ids.h"
#include "data/text/text_features.h"
#include "models/nat/masks.h"
#include "models/nat/transformer.h"
#include "models/text/text_config.h"

class NatConditions {
  public:
    virtual ~NatConditions() = default;
    // Those of a batch of the tokens' file, whose samples have these numbers: a caption of several is drawn. Valid
    // until the next call.
    virtual NatContexts draw(const TokenBatch& batch, std::span<const std::int64_t> samples,
                             const ConditionDraw& rule) = 0;
    // Of a model of texts: the first caption of records 0 to count - 1, then the empty caption, as
    // NatGenerator::use_texts takes them. Valid until the next call.
    virtual NatContexts first_texts(std::int64_t count) = 0;
    // Checksum of the weights of the text encoder that is no part of the model; nothing if there is none.
    virtual std::optional<std::uint32_t> encoder() const { return std::nullopt; }
};

// `numbers`: what each label of the tokens is in the model; empty: the same.
std::unique_ptr<NatConditions> class_conditions(const NatConfig& config,
                                                std::vector<std::int64_t> numbers = {});
// Ids of the captions of `tokens`, which must stay, for the text encoder, the model's own or, with a checksum of its
// weights, another. Throws UsageError if there are no captions, or as CaptionIds does; `source` names the encoder.
std::unique_ptr<NatConditions> caption_conditions(const TokenFile& tokens, const TextConfig& encoder,
                                                  std::string_view source,
                                                  std::optional<std::uint32_t> checksum = std::nullopt);
// Features of the captions of `tokens`; both must stay. Throws Error unless they are of these captions.
std::unique_ptr<NatConditions> feature_conditions(const TokenFile& tokens, const TextFeatureFile& features);

// Of a model that takes classes, or captions by its own encoder. Throws UsageError for one of another's features.
std::unique_ptr<NatConditions> own_conditions(const NatConfig& config, const TokenFile& tokens,
                                              std::string_view source);
