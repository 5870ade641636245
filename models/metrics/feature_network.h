// Networks whose features measure the quality of pictures: Inception-v3 (inception.h), and classifiers trained
// here (feature_classifier.h).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "models/metrics/feature_matrix.h"
#include "runtime/device/backend.h"
#include "runtime/files/tensor_file.h"
#include "runtime/ops/conv_ops.h"
#include "runtime/tensor/tape.h"

// What a network makes of B pictures.
struct NetworkOutput {
    Tensor features;  // [B, feature_width()], in the activation type
    Tensor logits;    // [B, classes] as the Inception score takes them; none without inception()
};

class FeatureNetwork {
  public:
    virtual ~FeatureNetwork() = default;

    // Whether figures may be named FID and Inception score; else the distance is a Frechet distance (FD).
    virtual bool inception() const = 0;
    virtual Backend backend() const = 0;
    // Of pictures, 1 or 3.
    virtual std::int64_t channels() const = 0;
    virtual std::int64_t feature_width() const = 0;
    virtual std::int64_t classes() const = 0;
    // CRC-32 of all weights: features of equal networks are comparable.
    virtual std::uint32_t fingerprint() const = 0;
    // Throws UsageError, starting with `source`, for pictures that the network does not take.
    virtual void require_fitting(std::int64_t channels, MapSize size, std::string_view source) const = 0;
    // Pictures [B, channels * height * width], planes of values from 0 to 255: bytes (uint8), or float.
    virtual NetworkOutput forward(Tape& tape, const Tensor& pictures, MapSize size) const = 0;
};

// A network at work on pictures of one size, batch by batch.
class FeatureExtractor {
  public:
    // Up to `batch` pictures [channels, height, width] at once; the network must stay. Throws UsageError,
    // starting with `source`, for pictures that it does not take.
    FeatureExtractor(const FeatureNetwork& network, std::int64_t batch, std::int64_t channels, MapSize size,
                     std::string_view source);

    std::int64_t batch() const { return batch_; }
    const Plan& plan() const { return plan_; }

    // Appends the features of pictures [n, channels, height, width], any n, and their logits if the network
    // has any. Throws Error if memory is short.
    void add(std::span<const std::uint8_t> pictures) { add_all(pictures); }
    // The same of unrounded values from 0 to 255.
    void add(std::span<const float> pictures) { add_all(pictures); }

    const FeatureMatrix& features() const { return features_; }
    const FeatureMatrix& logits() const { return logits_; }
    // Discards them; the plan is kept.
    void restart();

  private:
    template <class Value>
    void add_all(std::span<const Value> pictures);
    // One batch: its outputs go to these two, which have room for them.
    template <class Value>
    void run(std::span<const Value> pictures, std::int64_t count, float* features, float* logits);

    const FeatureNetwork& network_;
    std::int64_t batch_, picture_values_;
    MapSize size_;
    Tape tape_;
    Plan plan_;
    FeatureMatrix features_, logits_;
};
