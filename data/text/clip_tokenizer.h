// The tokenizer of CLIP's text encoders (Radford et al. 2021): a caption, UTF-8, into ids. The text is
// cleaned (text_cleaning.h), split into words, numbers and signs, and each of these into byte pairs
// (byte_pairs.h). The three published tokenizers share the vocabulary and differ in the cleaning, in how
// start and end may be written in the text, and in the padding.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "data/text/byte_pairs.h"

struct ClipVariant {
    std::string_view name;
    bool unescapes_html;          // twice, after the repair
    std::string_view start, end;  // in the text
    bool cuts_at_specials;        // each part of the text between specials is cleaned alone
    bool pads_with_end;           // else with id 0
};

// openai/CLIP, clip/simple_tokenizer.py.
inline constexpr ClipVariant clip_openai{"openai", true, "<|startoftext|>", "<|endoftext|>", false, false};
// open_clip, of OpenCLIP's models: specials are spelled otherwise.
inline constexpr ClipVariant clip_open_clip{"open_clip",     true,  "<start_of_text>",
                                            "<end_of_text>", false, false};
// transformers' CLIPTokenizer (4.46, with ftfy): HTML entities are left to the repair.
inline constexpr ClipVariant clip_hf{"hf", false, "<|startoftext|>", "<|endoftext|>", true, true};

// By name. Throws UsageError, naming `flag`, for any other.
const ClipVariant& clip_variant(std::string_view flag, std::string_view name);

inline constexpr std::size_t clip_context_length = 77;   // ids of a sequence, start and end included
inline constexpr std::int64_t clip_merge_count = 48894;  // of the published vocabulary of 49,408 ids
inline constexpr std::int64_t clip_plain_ids = 514;      // bytes, bytes at the end of a word, start and end

class ClipTokenizer {
  public:
    // Reads the vocabulary: about 20 ms. With the first `merges` pairs alone, start and end are the next two
    // ids. 0 <= merges <= clip_merge_count.
    explicit ClipTokenizer(const ClipVariant& variant, std::int64_t merges = clip_merge_count);

    std::int32_t start() const { return pairs_.size(); }
    std::int32_t end() const { return pairs_.size() + 1; }
    std::int32_t padding() const { return variant_.pads_with_end ? end() : 0; }
    std::int32_t vocabulary_size() const { return pairs_.size() + 2; }

    // UTF-8 as the words are taken from it: lower case, spaces collapsed. Invalid UTF-8 becomes U+FFFD. Parts
    // that are cleaned alone are joined by spaces.
    std::string clean(std::string_view text) const;

    // Ids of the whole text with start and end, however many.
    std::vector<std::int32_t> encode(std::string_view text) const;
    // At most clip_context_length: of a longer text the first ids and the end.
    std::vector<std::int32_t> encode_truncated(std::string_view text) const;
    // Exactly clip_context_length: the same and, behind the end, padding.
    std::vector<std::int32_t> encode_padded(std::string_view text) const;

  private:
    std::vector<std::u32string> cleaned_parts(std::string_view text) const;
    void append_piece(std::string_view piece, std::vector<std::int32_t>& ids) const;

    ClipVariant variant_;
    BytePairs pairs_;
};
