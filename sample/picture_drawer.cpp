#include "sample/picture_drawer.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "models/fractal/cost.h"
#include "models/nat/cost.h"
#include "models/nat/generate.h"
#include "models/nat/pictures.h"
#include "runtime/base/error.h"
#include "runtime/checkpoint/model_kind.h"
#include "runtime/files/open_tensor_file.h"
#include "sample/fractal_drawing.h"

namespace {

class FractalDrawer : public PictureDrawer {
  public:
    FractalDrawer(const DrawerFlags& flags, std::int64_t batch)
        : model_({flags.checkpoint, flags.fractal, flags.nat.tokenizer}),
          rule_(flags.fractal.rule()),
          parameters_(
              fractal_cost(model_.config(), {recommended_iterations(model_.config()), false}).parameters()),
          operations_(model_.operations(flags.fractal)),
          sampler_(model_.sampler(batch, flags.fractal)) {}

    std::int64_t class_num() const override { return model_.config().class_num; }
    const std::vector<std::string>& class_names() const override { return model_.metadata().classes; }
    std::int64_t channels() const override { return model_.channels(); }
    std::int64_t image_size() const override { return model_.image_size(); }
    std::int64_t parameters() const override { return parameters_; }
    double operations() const override { return operations_; }
    std::vector<std::uint8_t> draw(std::span<const std::int64_t> classes, std::int64_t first,
                                   std::uint64_t seed) override {
        rule_.first_image = first;
        rule_.seed = seed;
        return sampler_->sample(classes, rule_);
    }

  private:
    FractalDrawing model_;
    SampleRule rule_;
    std::int64_t parameters_;
    double operations_;
    std::unique_ptr<PictureSampler> sampler_;
};

class NatDrawer : public PictureDrawer {
  public:
    NatDrawer(const DrawerFlags& flags, std::int64_t batch)
        : models_(load_nat_models(flags.checkpoint, flags.nat, flags.fractal.backend.backend())),
          strategy_(flags.nat.strategy.choose(models_.tokens(), models_.labelled())),
          generator_(*models_.transformer, batch, strategy_.guided(),
                     decode_into(*models_.tokenizer, models_.side(), pictures_)),
          names_(models_.takes_texts() ? flags.texts : models_.metadata.classes) {
        if (!models_.takes_texts()) return;
        if (names_.empty())
            fail_usage("{}: draws from texts: expected --captions", flags.checkpoint.checkpoint);
        text_ids_ = text_table(*models_.transformer, names_);
        generator_.use_texts({text_ids_});
    }

    std::int64_t class_num() const override {
        return models_.takes_texts() ? static_cast<std::int64_t>(names_.size()) : models_.class_num();
    }
    const std::vector<std::string>& class_names() const override { return names_; }
    std::int64_t channels() const override { return models_.channels(); }
    std::int64_t image_size() const override { return models_.image_size(); }
    std::int64_t parameters() const override { return models_.transformer->parameters().count(); }
    double operations() const override {
        return 2 * generation_cost(models_.metadata.config, models_.tokenizer->config())
                       .multiply_adds(strategy_.steps(), strategy_.guided(), true);
    }
    std::vector<std::uint8_t> draw(std::span<const std::int64_t> classes, std::int64_t first,
                                   std::uint64_t seed) override {
        generator_.generate(classes, strategy_, {seed, first});
        return pictures_;
    }

  private:
    NatModels models_;
    Strategy strategy_;
    std::vector<std::uint8_t> pictures_;
    NatGenerator generator_;
    std::vector<std::string> names_;  // of classes, or texts
    std::vector<std::int32_t> text_ids_;
};

}  // namespace

std::vector<NamedPath> DrawerFlags::inputs() const {
    std::vector<NamedPath> files = checkpoint.inputs();
    std::ranges::copy(nat.inputs(), std::back_inserter(files));
    return files;
}

std::unique_ptr<PictureDrawer> open_drawer(const DrawerFlags& flags, std::int64_t batch) {
    const std::string kind = model_kind(*open_tensor_file(flags.checkpoint.checkpoint));
    if (kind == nat_kind) {
        if (flags.nat.tokenizer.empty())
            fail_usage("{}: holds a {}; expected the tokenizer of its codes as --tokenizer",
                       flags.checkpoint.checkpoint, kind);
        return std::make_unique<NatDrawer>(flags, batch);
    }
    if (flags.nat.text.given()) fail_usage("{}: draws from no texts", flags.checkpoint.checkpoint);
    return std::make_unique<FractalDrawer>(flags, batch);
}
