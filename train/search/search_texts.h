// The texts that a search draws from, where the model takes texts: captions of a data set, and the encoder that the
// model has none of.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "models/nat/generate.h"
#include "models/text/text_encoder.h"

class SearchTexts {
  public:
    // Captions of a packed file or a token file for the transformer in `checkpoint`; `encoder`: of a model without one
    // of its own, else "". Of a model of classes, nothing. Throws UsageError for files that do not fit the model, Error
    // for those that cannot be read and for another encoder than the model's.
    SearchTexts(const std::string& checkpoint, const std::string& captions, const std::string& encoder,
                Backend backend);

    // Gives a model of this configuration the encoder.
    void attach(NatTransformer& model) const;
    // For NatGenerator::use_texts; empty for a model of classes.
    NatContexts table() const { return {ids_}; }
    // Captions; 0 for a model of classes.
    std::int64_t count() const { return count_; }
    // Of captions and encoder.
    std::uint32_t checksum() const;

  private:
    std::unique_ptr<TextEncoder> encoder_;
    std::vector<std::int32_t> ids_;
    std::int64_t count_ = 0;
};
