// Captions: any bytes are one. By each variant of CLIP's tokenizer, with a part of its vocabulary, which
// loads faster.
#include <algorithm>
#include <array>

#include "data/text/clip_tokenizer.h"
#include "data/text/utf8.h"
#include "tests/fuzz/entry.h"

namespace {

void check(const ClipTokenizer& tokenizer, std::string_view text) {
    const std::string clean = tokenizer.clean(text);
    require(encode_utf8(decode_utf8(clean)) == clean);
    require(!clean.starts_with(' ') && !clean.ends_with(' ') && clean.find("  ") == std::string::npos);

    const auto ids = tokenizer.encode(text), padded = tokenizer.encode_padded(text);
    require(ids.size() >= 2 && ids.size() <= clean.size() + 2);
    require(ids.front() == tokenizer.start() && ids.back() == tokenizer.end());
    require(std::ranges::all_of(ids, [&](auto id) { return id >= 0 && id < tokenizer.vocabulary_size(); }));
    const std::size_t kept = std::min(ids.size(), clip_context_length) - 1;
    require(padded.size() == clip_context_length && padded[kept] == tokenizer.end());
    require(std::equal(ids.begin(), ids.begin() + static_cast<std::ptrdiff_t>(kept), padded.begin()));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
    static const std::array<ClipTokenizer, 3> tokenizers = {
        ClipTokenizer(clip_openai, 2000), ClipTokenizer(clip_open_clip, 2000), ClipTokenizer(clip_hf, 2000)};
    parse_rubbish([&] {
        for (const ClipTokenizer& tokenizer : tokenizers)
            check(tokenizer, {reinterpret_cast<const char*>(bytes), size});
    });
    return 0;
}
