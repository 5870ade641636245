// What --text names: the checkpoint of a text encoder, by which captions are encoded while a transformer is trained, or
// a file of text features, which hold what it made of them.
#pragma once

#include <memory>
#include <string>

#include "train/nat_conditions.h"

class TextSource {
  public:
    // Throws UsageError for features that a model of this configuration does not take; Error for a file that cannot
    // be read. Nothing is allocated for features.
    TextSource(const std::string& path, const NatConfig& config, Backend backend);

    // Null for a file of features.
    const TextEncoder* encoder() const { return encoder_.get(); }
    // Of the captions of `tokens`, which must stay. Throws Error for features of other captions.
    std::unique_ptr<NatConditions> conditions(const TokenFile& tokens) const;
    // Throws Error if the one's features are of another encoder than the other's.
    void require_same_encoder(const TextSource& other) const;

  private:
    std::uint32_t checksum() const;

    std::string path_;
    std::unique_ptr<TextEncoder> encoder_;
    std::uint32_t encoder_checksum_ = 0;
    std::unique_ptr<TextFeatureFile> features_;
};
