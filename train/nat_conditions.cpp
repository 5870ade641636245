#include "train/nat_conditions.h"

#include <stdexcept>

#include "data/records/class_names.h"
#include "runtime/base/error.h"

namespace {

class ClassConditions : public NatConditions {
  public:
    ClassConditions(const NatConfig& config, std::vector<std::int64_t> numbers)
        : config_(config), numbers_(std::move(numbers)) {}

    NatContexts draw(const TokenBatch& batch, std::span<const std::int64_t> samples,
                     const ConditionDraw& rule) override {
        std::vector<std::int32_t> labels = batch.labels;
        if (!numbers_.empty()) relabel(labels, numbers_);
        contexts_ = draw_contexts(config_, labels, samples, rule);
        return {contexts_};
    }
    NatContexts first_texts(std::int64_t) override { throw std::logic_error("texts of classes"); }

  private:
    NatConfig config_;
    std::vector<std::int64_t> numbers_;
    std::vector<std::int32_t> contexts_;
};

void require_captions(const TokenFile& tokens) {
    if (!tokens.has_captions())
        fail_usage("{}: no captions: the tokens of a file that build/data packed with --captions have them",
                   tokens.path().string());
}

// Number in the file of the caption that a sample is trained with, -1: none.
std::int64_t caption_of(const TokenFile& tokens, std::int64_t record, std::int64_t sample,
                        const ConditionDraw& rule) {
    const std::int64_t count = tokens.captions(record);
    if (count == 0 || drops_condition(rule, sample)) return -1;
    return tokens.first_caption(record) + drawn_caption(rule, sample, count);
}

class CaptionConditions : public NatConditions {
  public:
    CaptionConditions(const TokenFile& tokens, const TextConfig& encoder, std::string_view source,
                      std::optional<std::uint32_t> checksum)
        : tokens_(tokens), ids_(caption_format(encoder), source), checksum_(checksum) {
        require_captions(tokens);
    }

    NatContexts draw(const TokenBatch& batch, std::span<const std::int64_t> samples,
                     const ConditionDraw& rule) override {
        contexts_.clear();
        for (std::size_t i = 0; i < samples.size(); ++i) {
            const std::int64_t record = batch.records[i],
                               caption = caption_of(tokens_, record, samples[i], rule);
            add(caption < 0 ? "" : tokens_.caption(record, caption - tokens_.first_caption(record)));
        }
        return {contexts_};
    }
    NatContexts first_texts(std::int64_t count) override {
        contexts_.clear();
        for (std::int64_t record = 0; record < count; ++record)
            add(tokens_.captions(record) > 0 ? tokens_.caption(record, 0) : "");
        add("");
        return {contexts_};
    }
    std::optional<std::uint32_t> encoder() const override { return checksum_; }

  private:
    void add(std::string_view caption) {
        const std::vector<std::int32_t> ids = ids_.of(caption);
        contexts_.insert(contexts_.end(), ids.begin(), ids.end());
    }

    const TokenFile& tokens_;
    CaptionIds ids_;
    std::optional<std::uint32_t> checksum_;
    std::vector<std::int32_t> contexts_;
};

class FeatureConditions : public NatConditions {
  public:
    FeatureConditions(const TokenFile& tokens, const TextFeatureFile& features)
        : tokens_(tokens), features_(features) {
        require_captions(tokens);
        features.require_captions(tokens.caption_checksum(), tokens.path().string());
    }

    NatContexts draw(const TokenBatch& batch, std::span<const std::int64_t> samples,
                     const ConditionDraw& rule) override {
        contexts_.clear();
        for (std::size_t i = 0; i < samples.size(); ++i)
            add(caption_of(tokens_, batch.records[i], samples[i], rule));
        return {{}, contexts_};
    }
    NatContexts first_texts(std::int64_t count) override {
        contexts_.clear();
        for (std::int64_t record = 0; record < count; ++record)
            add(tokens_.captions(record) > 0 ? tokens_.first_caption(record) : -1);
        add(-1);
        return {{}, contexts_};
    }
    std::optional<std::uint32_t> encoder() const override { return features_.format().encoder; }

  private:
    void add(std::int64_t caption) {
        const auto values = static_cast<std::size_t>(features_.format().caption_values());
        contexts_.resize(contexts_.size() + values);
        features_.read(caption, contexts_.data() + contexts_.size() - values);
    }

    const TokenFile& tokens_;
    const TextFeatureFile& features_;
    std::vector<float> contexts_;
};

}  // namespace

std::unique_ptr<NatConditions> class_conditions(const NatConfig& config, std::vector<std::int64_t> numbers) {
    return std::make_unique<ClassConditions>(config, std::move(numbers));
}

std::unique_ptr<NatConditions> caption_conditions(const TokenFile& tokens, const TextConfig& encoder,
                                                  std::string_view source,
                                                  std::optional<std::uint32_t> checksum) {
    return std::make_unique<CaptionConditions>(tokens, encoder, source, checksum);
}

std::unique_ptr<NatConditions> feature_conditions(const TokenFile& tokens, const TextFeatureFile& features) {
    return std::make_unique<FeatureConditions>(tokens, features);
}

std::unique_ptr<NatConditions> own_conditions(const NatConfig& config, const TokenFile& tokens,
                                              std::string_view source) {
    if (!config.takes_texts()) return class_conditions(config);
    if (!config.text_encoder) fail_usage("{}: takes the features of another text encoder", source);
    return caption_conditions(tokens, *config.text_encoder, source);
}
