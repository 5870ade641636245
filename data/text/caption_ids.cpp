#include "data/text/caption_ids.h"

#include "runtime/base/error.h"

namespace {

ClipTokenizer tokenizer_of(const CaptionFormat& format, std::string_view source) {
    const ClipVariant& variant = clip_variant(fmt::format("{}: tokenizer", source), format.tokenizer);
    const std::int64_t merges = format.vocabulary - clip_plain_ids;
    if (merges < 0 || merges > clip_merge_count)
        fail_usage("{}: takes {} ids, expected {} to {}, those of CLIP's tokenizer with some or all merges",
                   source, format.vocabulary, clip_plain_ids,
                   clip_plain_ids + clip_merge_count);
    return ClipTokenizer(variant, merges);
}

}  // namespace

CaptionIds::CaptionIds(const CaptionFormat& format, std::string_view source)
    : tokenizer_(tokenizer_of(format, source)), length_(format.length), padding_(format.padding) {}

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
