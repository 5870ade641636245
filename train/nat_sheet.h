// The pictures that a masked-token transformer draws while it is trained: its tokens, decoded by the
// tokenizer whose codes it learns.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "data/records/tokens.h"
#include "models/nat/generate.h"
#include "models/nat/tokenizer.h"
#include "train/nat_conditions.h"
#include "train/run_quality.h"

struct NatSheetRule {
    std::int64_t columns = 10,
                 rows = 2;   // a column per class, or per text: the first records' first captions
    std::int64_t steps = 8;  // of the strategy cosine
    double guidance = 1;     // their scale at the last step: logits are c + s (c - u)
    std::uint64_t seed = 0;
};

class NatSheet {
  public:
    // Loads the tokenizer and plans the generation. Throws Error if `tokens`, whose `conditions` are given, are
    // another tokenizer's, UsageError for steps or guidance out of range. The model must stay.
    NatSheet(const NatTransformer& model, const std::string& tokenizer, const TokenFile& tokens,
             NatConditions& conditions, const NatSheetRule& rule);

    std::size_t planned_bytes() const { return generator_->planned_bytes(); }
    // Draws pictures of all classes, or of texts of as many records as it takes, in turn with the weights in place, as the sheet's are.
    std::vector<double> measure(const RunQuality& quality);
    // Draws it with the weights in place, the same noise every time.
    void write(const std::filesystem::path& png);

  private:
    std::vector<std::uint8_t> draw(std::span<const std::int64_t> classes, std::int64_t first);

    std::int64_t labels_;  // classes, or texts
    NatSheetRule rule_;
    Strategy strategy_;
    std::unique_ptr<Tokenizer> tokenizer_;
    std::int64_t side_;
    std::vector<std::int64_t> classes_;
    std::vector<std::int32_t> text_ids_;
    std::vector<float> text_features_;
    std::vector<std::uint8_t> pictures_;
    std::unique_ptr<NatGenerator> generator_;
};
