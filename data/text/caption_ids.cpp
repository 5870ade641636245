#include "data/text/caption_ids.h"

#include "runtime/base/error.h"

CaptionIds::CaptionIds(const CaptionFormat& format, std::string_view source)
    : tokenizer_(clip_variant(fmt::format("{}: tokenizer", source), format.tokenizer)),
      length_(format.length),
      padding_(format.padding) {
    if (format.vocabulary != tokenizer_.vocabulary_size())
        fail_usage("{}: takes {} ids, but the merges of CLIP's tokenizer make {}", source, format.vocabulary,
                   tokenizer_.vocabulary_size());
}

std::vector<std::int32_t> CaptionIds::of(std::string_view caption) const {
    std::vector<std::int32_t> ids = tokenizer_.encode(caption);
    if (static_cast<std::int64_t>(ids.size()) > length_) {
        ids.resize(static_cast<std::size_t>(length_));
        ids.back() = tokenizer_.end();
    }
    ids.resize(static_cast<std::size_t>(length_), padding_);
    return ids;
}

std::vector<std::int32_t> CaptionIds::table(std::span<const std::string> captions) const {
    std::vector<std::int32_t> all;
    const auto add = [&](std::string_view caption) {
        const std::vector<std::int32_t> ids = of(caption);
        all.insert(all.end(), ids.begin(), ids.end());
    };
    for (const std::string& caption : captions) add(caption);
    add("");
    return all;
}

std::int64_t CaptionIds::whole_length(std::string_view caption) const {
    return static_cast<std::int64_t>(tokenizer_.encode(caption).size());
}
