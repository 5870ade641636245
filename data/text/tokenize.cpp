#include "data/text/tokenize.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string_view>

#include "data/text/clip_tokenizer.h"
#include "data/text/utf8.h"
#include "runtime/base/error.h"
#include "runtime/base/json_keys.h"
#include "runtime/files/text_file.h"

namespace {

constexpr std::uintmax_t longest_file = std::uintmax_t{1} << 30;  // bytes: twenty million captions

// The first line without its end, LF or CR LF; taken off `text`.
std::string_view take_line(std::string_view& text) {
    std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    if (line.ends_with('\r')) line.remove_suffix(1);
    return line;
}

std::string line_of(const ClipTokenizer& tokenizer, std::string_view text, const TokenizeSettings& settings) {
    const auto ids = settings.pad ? tokenizer.encode_padded(text) : tokenizer.encode_truncated(text);
    if (!settings.json) return fmt::format("{}", fmt::join(ids, " "));
    const std::string valid = encode_utf8(decode_utf8(text));
    return json_text(nlohmann::ordered_json{{"text", valid}, {"ids", ids}, {"clean", tokenizer.clean(text)}});
}

void print_lines(const ClipTokenizer& tokenizer, std::string_view text, const TokenizeSettings& settings) {
    while (!text.empty()) fmt::print("{}\n", line_of(tokenizer, take_line(text), settings));
}

void print_array(const ClipTokenizer& tokenizer, std::string_view text, const TokenizeSettings& settings) {
    std::string_view before = "[";
    for (; !text.empty(); before = ",\n")
        fmt::print("{}{}", before, line_of(tokenizer, take_line(text), settings));
    fmt::print("{}]\n", before == "[" ? "[" : "");
}

}  // namespace

void run_tokenize(const TokenizeSettings& settings) {
    if (settings.text.empty() == settings.file.empty()) fail_usage("give either --text or --file");
    const ClipVariant& variant = clip_variant("--variant", settings.variant);
    const bool one = !settings.text.empty();
    const std::string text = one ? settings.text : read_text_file(settings.file, longest_file);
    const ClipTokenizer tokenizer(variant);
    if (one)
        fmt::print("{}\n", line_of(tokenizer, text, settings));
    else if (settings.json)
        print_array(tokenizer, text, settings);
    else
        print_lines(tokenizer, text, settings);
}
