// Captions as the ids that a text encoder takes: of its tokenizer, its length and its padding.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "data/text/clip_tokenizer.h"

// What a text encoder says of its ids.
struct CaptionFormat {
    std::string_view tokenizer;   // of the three of clip_tokenizer.h
    std::int64_t vocabulary = 0;  // ids: fewer than CLIP's 49,408 are those of its first merges alone
    std::int64_t length = 77;     // of a text: start, ids, end, padding
    std::int32_t padding = 0;
};

// What the configuration of a text encoder (models/text/text_config.h) says of them; it must stay.
template <class TextConfig>
CaptionFormat caption_format(const TextConfig& encoder) {
    return {encoder.tokenizer, encoder.vocab_size, encoder.context_length,
            static_cast<std::int32_t>(encoder.padding_id)};
}

class CaptionIds {
  public:
    // Throws UsageError, starting with `source`, for a tokenizer that does not exist, and for a vocabulary that
    // no number of merges makes.
    CaptionIds(const CaptionFormat& format, std::string_view source);

    std::int64_t length() const { return length_; }
    // [length]; of a longer caption the first ids and the end. The ids of "", start and end, are no condition.
    std::vector<std::int32_t> of(std::string_view caption) const;
    // Of several captions and then of "": [captions + 1, length], as NatGenerator::use_texts takes them.
    std::vector<std::int32_t> table(std::span<const std::string> captions) const;
    // Ids of the whole caption, start and end included.
    std::int64_t whole_length(std::string_view caption) const;

  private:
    ClipTokenizer tokenizer_;
    std::int64_t length_;
    std::int32_t padding_;
};
