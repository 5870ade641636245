// One training run of a feature network in memory: the classifier, its optimizer and the planned memory of a
// step.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "data/records/loader.h"
#include "models/metrics/feature_classifier.h"
#include "train/trainer.h"

class FeatureTrainer : public Trainer {
  public:
    // Plans a step; takes no memory yet. The images of `data` fit the network. One rank alone.
    FeatureTrainer(const FeatureConfig& config, const TrainingSettings& settings, Backend backend,
                   const PackedFile& data, const Comm& comm);

    FeatureClassifier& network() { return *network_; }

    std::vector<Figure> figures() const override { return {{"accuracy", "accuracy {:.3f}"}}; }
    StepResult step(const StepProgress& progress) override;

    // Mean cross-entropy in nats, and the share of images whose most probable class is theirs.
    struct Score {
        double loss = 0, accuracy = 0;
    };
    // Of the first `images` held-out images, by the weights in place. `numbers`: what each of their labels is in
    // the model; without classes, each image is measured in its four rotations.
    Score validate(const PackedFile& held_out, std::int64_t images, std::span<const std::int64_t> numbers);

  private:
    FeatureTrainer(std::unique_ptr<FeatureClassifier> network, const TrainingSettings& settings,
                   Backend backend, const PackedFile& data, const Comm& comm);
    std::vector<std::string> own_columns() const override {
        return {"validation_loss", "validation_accuracy"};
    }
    std::int64_t check_checkpoint(const SafetensorsFile& file) const override;
    void write_model(CheckpointWriter& writer) const override;

    // Images [n, channels, size, size] and their classes [n]: adds the summed loss and the number of correct
    // answers to `score`.
    void run_batch(std::span<const std::uint8_t> images, std::span<const std::int32_t> classes, float scale,
                   Score& score);

    const PackedFile& data_;
    std::unique_ptr<FeatureClassifier> network_;
    std::unique_ptr<Loader> loader_;
};
