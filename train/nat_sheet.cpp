#include "train/nat_sheet.h"

#include <algorithm>

#include "data/images/sheet.h"
#include "models/nat/pictures.h"
#include "models/nat/strategy_heuristics.h"
#include "models/nat/strategy_steps.h"
#include "models/nat/tokenizer_checkpoint.h"
#include "runtime/base/error.h"
#include "runtime/files/open_tensor_file.h"

namespace {

constexpr std::int64_t most_texts = 512;

std::int64_t label_count(const NatConfig& config, const TokenFile& tokens) {
    return config.takes_texts() ? std::min(most_texts, tokens.count()) : config.num_classes - 1;
}

}  // namespace

NatSheet::NatSheet(const NatTransformer& model, const std::string& tokenizer, const TokenFile& tokens,
                   NatConditions& conditions, const NatSheetRule& rule)
    : labels_(label_count(model.config(), tokens)), rule_(rule), side_(model.config().img_size) {
    strategy_ = named_strategy("cosine", rule.steps, labels_ > 0 ? rule.guidance : 0);
    require_tokens(strategy_, model.config().tokens(), "--sheet-steps");
    const auto file = open_tensor_file(tokenizer);
    tokenizer_ = load_tokenizer(*file, model.backend());
    report_origin("train", *file, tokenizer_prefix(*file));
    const TokenizerConfig& config = tokenizer_->config();
    tokens.require_tokenizer(tokenizer_fingerprint(codebook_values(*tokenizer_), config.n_embed), tokenizer);
    if (labels_ > 0) rule_.columns = std::min(rule.columns, labels_);
    require_sheet(rule_.columns * rule.rows, config.out_ch, side_ * config.downsampling(), rule_.columns);
    for (std::int64_t i = 0; i < rule_.columns * rule.rows; ++i)
        classes_.push_back(labels_ > 0 ? i % rule_.columns : -1);
    generator_ =
        std::make_unique<NatGenerator>(model, static_cast<std::int64_t>(classes_.size()), strategy_.guided(),
                                       decode_into(*tokenizer_, side_, pictures_));
    if (!model.config().takes_texts()) return;
    const NatContexts texts = conditions.first_texts(labels_);
    text_ids_.assign(texts.ids.begin(), texts.ids.end());
    text_features_.assign(texts.features.begin(), texts.features.end());
    generator_->use_texts({text_ids_, text_features_});
}

std::vector<std::uint8_t> NatSheet::draw(std::span<const std::int64_t> classes, std::int64_t first) {
    generator_->generate(classes, strategy_, {rule_.seed, first});
    return pictures_;
}

std::vector<double> NatSheet::measure(const RunQuality& quality) {
    const auto at_once = static_cast<std::int64_t>(classes_.size());
    return quality.measure([&](std::int64_t first, std::int64_t n) {
        std::vector<std::uint8_t> pictures;
        for (std::int64_t begin = first; begin < first + n; begin += at_once) {
            std::vector<std::int64_t> classes;
            for (std::int64_t i = begin; i < std::min(first + n, begin + at_once); ++i)
                classes.push_back(labels_ > 0 ? i % labels_ : -1);
            const std::vector<std::uint8_t> drawn = draw(classes, begin);
            pictures.insert(pictures.end(), drawn.begin(), drawn.end());
        }
        return pictures;
    });
}

void NatSheet::write(const std::filesystem::path& png) {
    draw(classes_, 0);
    const TokenizerConfig& config = tokenizer_->config();
    write_png(png,
              image_sheet(pictures_, static_cast<int>(config.out_ch),
                          static_cast<int>(side_ * config.downsampling()), static_cast<int>(rule_.columns)));
}
