#include "sample/text_flags.h"

#include <algorithm>

#include "data/text/caption_ids.h"
#include "data/text/utf8.h"
#include "models/text/text_checkpoint.h"
#include "runtime/base/command_line.h"
#include "runtime/base/error.h"
#include "runtime/base/report.h"
#include "runtime/files/open_tensor_file.h"
#include "runtime/files/text_file.h"

namespace {

constexpr std::uintmax_t longest_file = std::uintmax_t{1} << 26;

// The lines of a file, without their ends.
std::vector<std::string> lines_of(const std::string& path) {
    const std::string text = read_text_file(path, longest_file);
    std::vector<std::string> lines;
    for (std::size_t begin = 0; begin < text.size();) {
        const std::size_t end = std::min(text.find('\n', begin), text.size());
        std::string line = text.substr(begin, end - begin);
        if (line.ends_with('\r')) line.pop_back();
        lines.push_back(std::move(line));
        begin = end + 1;
    }
    if (lines.empty()) fail_usage("--prompts {}: no line in it", path);
    return lines;
}

}  // namespace

void TextFlags::require_none(const std::string& path) const {
    if (given()) fail_usage("{}: draws from classes, not from texts: expected --classes", path);
}

std::vector<NamedPath> TextFlags::inputs() const {
    return {{"--text-encoder", encoder}, {"--prompts", prompts_file}, {"--captions", captions}};
}

std::vector<std::string> TextFlags::chosen_prompts() const {
    std::vector<std::string> texts = prompts;
    if (!prompts_file.empty())
        for (std::string& line : lines_of(prompts_file)) texts.push_back(std::move(line));
    if (texts.empty()) fail_usage("the model draws from texts: expected --prompt or --prompts");
    return texts;
}

void add_text_encoder_flag(CommandLine& command, TextFlags& flags) {
    command
        .add_option("--text-encoder", flags.encoder,
                    "Text encoder of a model that has none of its own: weights of CLIP, as published or as "
                    "written here")
        ->type_name("FILE");
}

void add_prompt_flags(CommandLine& command, TextFlags& flags) {
    command
        .add_option("--prompt", flags.prompts,
                    "Texts to draw from, for a model of texts: one or several; \"\" is no condition")
        ->type_name("TEXT")
        ->takes_text();
    command.add_option("--prompts", flags.prompts_file, "Texts to draw from, one a line")->type_name("FILE");
}

void add_caption_flags(CommandLine& command, TextFlags& flags) {
    command
        .add_option("--captions", flags.captions,
                    "Captions to draw from, for a model of texts: those of a packed file or a token file")
        ->type_name("FILE");
    command
        .add_option("--caption-protocol", flags.protocol,
                    "Which of them: coco, images in random order, one of each one's captions; or cc3m, each "
                    "image's first caption in order")
        ->check(one_of({"coco", "cc3m"}))
        ->capture_default_str();
}

std::unique_ptr<TextEncoder> attach_text_encoder(const TensorFile& checkpoint, const NatMetadata& metadata,
                                                 NatTransformer& model, const TextFlags& flags,
                                                 Backend backend) {
    const std::string path = checkpoint.path().string();
    const NatConfig& config = metadata.config;
    if (!config.takes_texts()) {
        flags.require_none(path);
        return nullptr;
    }
    if (config.text_encoder) {
        if (!flags.encoder.empty()) fail_usage("--text-encoder: {} has a text encoder of its own", path);
        return nullptr;
    }
    if (flags.encoder.empty())
        fail_usage("{}: takes the features of a text encoder: expected its weights as --text-encoder", path);
    const auto file = open_tensor_file(flags.encoder);
    const TextConfig text = read_text_metadata(*file).config;
    auto encoder = load_text_encoder(*file, text, backend);
    model.use_encoder(*encoder);
    require_text_encoder(checkpoint, metadata, weights_checksum(encoder->parameters()), flags.encoder);
    report_origin("sample", *file, "");
    return encoder;
}

std::vector<std::int32_t> text_table(const NatTransformer& model, const std::vector<std::string>& texts) {
    const TextConfig& config = model.encoder()->config();
    const CaptionIds ids(caption_format(config), "the text encoder");
    std::int64_t empty = 0, longer = 0, invalid = 0;
    for (const std::string& text : texts) {
        const std::int64_t length = ids.whole_length(text);
        if (encode_utf8(decode_utf8(text)) != text) ++invalid;
        if (length == 2) ++empty;
        if (length > ids.length()) ++longer;
    }
    const auto of_them = [&](std::int64_t count) {
        return texts.size() == 1
                   ? std::string("the prompt is")
                   : fmt::format("{} of {} prompts {}", count, texts.size(), count == 1 ? "is" : "are");
    };
    if (empty > 0) report_line("sample", fmt::format("{} empty: drawn without a condition", of_them(empty)));
    if (longer > 0)
        report_line("sample", fmt::format("{} longer than the {} ids that the text encoder takes: cut there",
                                          of_them(longer), ids.length()));
    if (invalid > 0)
        report_line("sample",
                    fmt::format("{} not valid UTF-8: what is not is read as U+FFFD", of_them(invalid)));
    return ids.table(texts);
}
