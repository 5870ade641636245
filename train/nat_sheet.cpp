#include "train/nat_sheet.h"

#include <algorithm>

#include "data/images/sheet.h"
#include "models/nat/pictures.h"
#include "models/nat/tokenizer_checkpoint.h"
#include "runtime/base/error.h"

NatSheet::NatSheet(const NatTransformer& model, const std::string& tokenizer, const TokenFile& tokens,
                   const NatSheetRule& rule)
    : rule_(rule), side_(model.config().img_size) {
    const std::int64_t labels = model.config().num_classes - 1;
    strategy_ = maskgit_strategy(rule.steps, labels > 0 ? rule.guidance : 0);
    const auto file = open_tensor_file(tokenizer);
    tokenizer_ = load_tokenizer(*file, model.backend());
    report_origin("train", *file, tokenizer_prefix(*file));
    const TokenizerConfig& config = tokenizer_->config();
    tokens.require_tokenizer(tokenizer_fingerprint(codebook_values(*tokenizer_), config.n_embed), tokenizer);
    if (labels > 0) rule_.columns = std::min(rule.columns, labels);
    require_sheet(rule_.columns * rule.rows, config.out_ch, side_ * config.downsampling(), rule_.columns);
    for (std::int64_t i = 0; i < rule_.columns * rule.rows; ++i)
        classes_.push_back(labels > 0 ? i % rule_.columns : -1);
    generator_ =
        std::make_unique<NatGenerator>(model, static_cast<std::int64_t>(classes_.size()), strategy_.guided(),
                                       decode_into(*tokenizer_, side_, pictures_));
}

void NatSheet::write(const std::filesystem::path& png) {
    generator_->generate(classes_, strategy_, {rule_.seed, 0});
    const TokenizerConfig& config = tokenizer_->config();
    write_png(png,
              image_sheet(pictures_, static_cast<int>(config.out_ch),
                          static_cast<int>(side_ * config.downsampling()), static_cast<int>(rule_.columns)));
}
