// What drawing from a masked-token transformer takes: the transformer, the tokenizer of its codes, and a strategy.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "models/nat/checkpoint.h"
#include "models/nat/tokenizer.h"
#include "runtime/files/output_file.h"
#include "sample/checkpoint_flags.h"
#include "sample/strategy_flags.h"
#include "sample/text_flags.h"

class CommandLine;
class Option;

struct NatDrawFlags {
    std::string tokenizer;
    TextFlags text;
    StrategyFlags strategy;

    // The files that they name.
    std::vector<NamedPath> inputs() const;
};
// --tokenizer, which it returns, and --text-encoder.
Option* add_nat_model_flags(CommandLine& command, NatDrawFlags& flags);

// The transformer and the tokenizer of its codes, with their metadata.
struct NatModels {
    NatMetadata metadata;
    std::unique_ptr<NatTransformer> transformer;
    std::unique_ptr<Tokenizer> tokenizer;
    std::unique_ptr<TextEncoder> text_encoder;  // one that the transformer has none of

    bool takes_texts() const { return metadata.config.takes_texts(); }
    bool labelled() const { return takes_texts() || class_num() > 0; }
    std::int64_t class_num() const { return metadata.config.num_classes - 1; }
    std::int64_t side() const { return metadata.config.img_size; }
    std::int64_t tokens() const { return metadata.config.tokens(); }
    std::int64_t channels() const { return tokenizer->config().out_ch; }
    std::int64_t image_size() const { return side() * tokenizer->config().downsampling(); }
};
// Throws Error unless the tokens that the one predicts are the other's, and as attach_text_encoder does.
NatModels load_nat_models(const CheckpointFlags& checkpoint, const NatDrawFlags& flags, Backend backend);
