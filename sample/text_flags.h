// The texts that a model of texts draws from: the flags, and the texts as the model takes them.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "models/nat/checkpoint.h"
#include "models/nat/generate.h"
#include "models/text/text_encoder.h"
#include "runtime/files/output_file.h"

class CommandLine;

struct TextFlags {
    std::string encoder, prompts_file, captions, protocol = "coco";
    std::vector<std::string> prompts;

    bool given() const {
        return !encoder.empty() || !prompts.empty() || !prompts_file.empty() || !captions.empty();
    }
    // Throws UsageError if any is given, for a model of classes, `path`.
    void require_none(const std::string& path) const;
    std::vector<NamedPath> inputs() const;
    // Of --prompt and then of --prompts, a line each. Throws UsageError if there are none.
    std::vector<std::string> chosen_prompts() const;
};
// --text-encoder.
void add_text_encoder_flag(CommandLine& command, TextFlags& flags);
// --prompt and --prompts.
void add_prompt_flags(CommandLine& command, TextFlags& flags);
// --captions and --caption-protocol.
void add_caption_flags(CommandLine& command, TextFlags& flags);

// The text encoder of --text-encoder that a model without one of its own needs, attached to it; null for a model that
// needs none. Throws UsageError for a flag that does not fit the model, Error for another encoder than that of the
// model's training.
std::unique_ptr<TextEncoder> attach_text_encoder(const TensorFile& checkpoint, const NatMetadata& metadata,
                                                 NatTransformer& model, const TextFlags& flags,
                                                 Backend backend);

// Ids of texts as NatGenerator::use_texts takes them. Says how many of them are empty, no condition, longer than the
// encoder takes, or not UTF-8. Throws UsageError for an encoder of another vocabulary.
std::vector<std::int32_t> text_table(const NatTransformer& model, const std::vector<std::string>& texts);
