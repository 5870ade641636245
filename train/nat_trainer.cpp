#include "train/nat_trainer.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "data/records/class_names.h"
#include "runtime/base/error.h"
#include "runtime/checkpoint/reordered_rows.h"
#include "runtime/ops/ops.h"

namespace {

constexpr std::string_view class_embeddings = "context_embed.word_embeddings.weight";

std::vector<std::int64_t> numbers_from(std::int64_t first, std::int64_t count) {
    std::vector<std::int64_t> numbers(static_cast<std::size_t>(count));
    std::iota(numbers.begin(), numbers.end(), first);
    return numbers;
}

std::unique_ptr<NatTransformer> make_model(const NatConfig& config, Backend backend,
                                           const TextEncoder* encoder) {
    auto model = std::make_unique<NatTransformer>(config, backend);
    if (encoder != nullptr) model->use_encoder(*encoder);
    return model;
}

}  // namespace

void require_fitting_tokens(const NatConfig& config, const TokenFile& tokens) {
    tokens.require_grid(config.img_size, config.codebook_size);
    const auto classes = static_cast<std::int64_t>(tokens.classes().size());
    if (!config.takes_texts() && classes != config.num_classes - 1)
        fail_usage("{}: {} classes, the model has {}", tokens.path().string(), classes,
                   config.num_classes - 1);
}

NatTrainer::NatTrainer(const NatConfig& config, const TrainingSettings& settings, Backend backend,
                       bool recompute, std::int64_t chunk, const TokenFile& data, NatConditions& conditions,
                       const RankRule& ranks, const TextEncoder* encoder)
    : NatTrainer(make_model(config, backend, encoder), settings, backend, recompute, chunk, data, conditions,
                 ranks) {}

NatTrainer::NatTrainer(std::unique_ptr<NatTransformer> model, const TrainingSettings& settings,
                       Backend backend, bool recompute, std::int64_t chunk, const TokenFile& data,
                       NatConditions& conditions, const RankRule& ranks)
    : Trainer(settings, backend, model->parameters(), ranks),
      recompute_(recompute),
      data_(data),
      conditions_(conditions),
      model_(std::move(model)),
      chunk_(chunk > 0 ? chunk : model_->default_chunk()) {
    const std::vector<std::int64_t> samples(static_cast<std::size_t>(settings.batch));
    const float features = 0;
    NatBatch batch{{}, {}, {}, samples};
    if (model_->config().takes_texts() && model_->encoder() == nullptr)
        batch.contexts.features = {&features, 1};
    double total = 0;
    const auto plan = [&](bool recording, const NatPass& pass) {
        tape_.set_recording(recording);
        return plan_job(tape_, [&] { run_batch(batch, {}, pass, total, nullptr, {}); });
    };
    plan_ = plan(true, {settings.dropout, recompute, settings.seed, 0});
    validation_plan_ = plan(false, {});
}

std::size_t NatTrainer::validation_bytes() const {
    return std::max(validation_plan_.bytes, plan_.bytes) - plan_.bytes;
}

void NatTrainer::start_from(const TensorFile& file, std::span<const std::int64_t> order) {
    Parameters& parameters = model_->parameters();
    load_slab(file, parameters, "", parameters.values());
    if (!model_->config().takes_texts())
        load_reordered_rows(file, parameters.find(class_embeddings), order, parameters.values(),
                            parameters.device());
    state_.weights_replaced();
    if (comm_.rank() == 0) report_origin("train", file, "");
}

RunDescription NatTrainer::description(const std::string& initial) const {
    return {.model = to_json(model_->config()),
            .data = described_tokens(data_),
            .data_key = "tokens",
            .initial = initial,
            .backend = model_->backend(),
            .parameters = model_->parameters().count(),
            .images = data_.count(),
            .planned_bytes = state_bytes() + plan().bytes};
}

std::int64_t NatTrainer::check_checkpoint(const SafetensorsFile& file) const {
    require_kind(file, nat_kind);
    require_same_classes({file.path().string(), class_names_of(file)}, class_names(data_));
    const NatMetadata metadata = read_nat_metadata(file);
    const std::string path = file.path().string();
    if (metadata.config != model_->config())
        fail_usage("{} is of another model: give its --preset or --config, or another --out", path);
    if (metadata.tokenizer != data_.format().fingerprint)
        fail_usage(
            "{} was trained on the tokens of another tokenizer than {}: give its tokens, or another --out",
            path, data_.path().string());
    if (metadata.text_encoder != conditions_.encoder())
        fail_usage(
            "{} was trained on the features of another text encoder: give the old one, or another --out",
            path);
    return metadata.step;
}

void NatTrainer::write_model(CheckpointWriter& writer) const {
    write_metadata(writer, NatMetadata{{data_.classes(), steps_done(), settings_.optimizer.ema_decay},
                                       model_->config(),
                                       data_.format().fingerprint,
                                       conditions_.encoder()});
    writer.set("data_position", std::to_string(position()));
}

StepResult NatTrainer::step(const StepProgress& progress) {
    if (!loader_)
        loader_ = std::make_unique<TokenLoader>(data_, settings_.batch, settings_.seed, settings_.flip,
                                                position() + comm_.rank() * settings_.batch,
                                                comm_.ranks() * settings_.batch);
    model_->parameters().zero_gradients(tape_.stream());
    const NatConfig& config = model_->config();
    std::int64_t hidden = 0;  // of all ranks: denominator of the loss
    for (std::int64_t i = 0; i < settings_.accumulation; ++i)
        for (int rank = 0; rank < comm_.ranks(); ++rank)
            hidden += count_hidden(config, mask_rule(), settings_.samples(steps_done(), i, rank),
                                   settings_.seed, step_number());
    const SmoothedLoss rule{static_cast<float>(settings_.of("label-smoothing")),
                            static_cast<float>(1 / static_cast<double>(hidden))};
    const NatPass pass{settings_.dropout, recompute_, settings_.seed, step_number()};
    std::vector<double> total(1);
    tape_.set_recording(true);
    for (std::int64_t i = 0; i < settings_.accumulation; ++i) {
        const TokenBatch& batch = loader_->next();
        const std::vector<std::int64_t> samples = settings_.samples(steps_done(), i, comm_.rank());
        const NatMasks masks = draw_masks(config, mask_rule(), samples, settings_.seed, step_number());
        const NatContexts contexts =
            conditions_.draw(batch, samples, {settings_.label_drop, settings_.seed, step_number()});
        GradientReadyListener* const listener = i + 1 == settings_.accumulation ? state_.exchange() : nullptr;
        if (listener != nullptr) state_.exchange()->begin(model_->parameters().gradients());
        run_job(tape_, plan_, [&] {
            run_batch({batch.tokens, contexts, masks.mask, samples}, rule, pass, total[0], listener,
                      part_of(progress, i, settings_.accumulation));
        });
    }
    if (state_.exchange() != nullptr) state_.exchange()->finish();
    comm_.sum(total);
    StepResult result;
    result.loss = total[0] / static_cast<double>(hidden);
    result.learning_rate = settings_.learning_rate.at(steps_done());
    result.gradient_norm = std::isfinite(result.loss) ? state_.update(result.learning_rate) : std::nan("");
    return result;
}

MaskRule NatTrainer::mask_rule() const {
    if (settings_.has("mask-cosine")) return {.cosine = true};
    return {settings_.of("mask-alpha"), settings_.of("mask-beta")};
}

double NatTrainer::validation_loss(const TokenFile& held_out, std::int64_t images,
                                   NatConditions& conditions) {
    constexpr std::uint64_t seed = 0;  // not the run's: runs are compared
    const NatConfig& config = model_->config();
    images = std::min(images, held_out.count());
    double total = 0;
    std::int64_t hidden = 0;
    tape_.set_recording(false);
    TokenBatch batch;
    for (std::int64_t first = 0; first < images; first += settings_.batch) {
        read_batch(held_out, first, std::min(settings_.batch, images - first), batch);
        const std::vector<std::int64_t> samples =
            numbers_from(first, static_cast<std::int64_t>(batch.labels.size()));
        const NatMasks masks = draw_masks(config, mask_rule(), samples, seed, 0);
        const NatContexts contexts = conditions.draw(batch, samples, {0, seed, 0});
        run_job(tape_, validation_plan_, [&] {
            run_batch({batch.tokens, contexts, masks.mask, samples}, {}, {}, total, nullptr, {});
        });
        hidden += masks.hidden;
    }
    return total / static_cast<double>(hidden);
}

void NatTrainer::run_batch(const NatBatch& batch, const SmoothedLoss& rule, const NatPass& pass,
                           double& total, GradientReadyListener* listener, const StepProgress& progress) {
    const Tensor sum = tape_.create(1, 1, false, Element::f64);
    copy_to_tensor(tape_, sum, &total, sizeof total);
    model_->loss(tape_, batch, rule, sum, pass, chunk_, listener, progress);
    copy_from_tensor(tape_, &total, sum, sizeof total);
}
