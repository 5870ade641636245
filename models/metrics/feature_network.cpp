#include "models/metrics/feature_network.h"

#include <algorithm>

#include "runtime/base/error.h"
#include "runtime/ops/ops.h"
#include "runtime/tensor/require_memory.h"

FeatureExtractor::FeatureExtractor(const FeatureNetwork& network, std::int64_t batch, std::int64_t channels,
                                   MapSize size, std::string_view source)
    : network_(network),
      batch_(batch),
      picture_values_(channels * size.height * size.width),
      size_(size),
      tape_(network.backend()) {
    network.require_fitting(channels, size, source);
    // Float: the larger of the two kinds of pictures.
    plan_ = plan_job(tape_, [&] { run(std::span<const float>(), batch, nullptr, nullptr); });
    restart();
}

void FeatureExtractor::restart() {
    features_ = {network_.feature_width(), {}};
    logits_ = {network_.inception() ? network_.classes() : 0, {}};
}

template <class Value>
void FeatureExtractor::run(std::span<const Value> pictures, std::int64_t count, float* features,
                           float* logits) {
    const Tensor input = tape_.create(count, picture_values_, false, element_of<Value>);
    copy_to_tensor(tape_, input, pictures.data(), pictures.size_bytes());
    const NetworkOutput output = network_.forward(tape_, input, size_);
    const auto read = [&](const Tensor& from, float* to) {
        const Tensor values = to_f32(tape_, from);
        copy_from_tensor(tape_, to, values,
                         static_cast<std::size_t>(values.rows() * values.width()) * sizeof(float));
    };
    read(output.features, features);
    if (output.logits) read(output.logits, logits);
}

template <class Value>
void FeatureExtractor::add_all(std::span<const Value> pictures) {
    const auto each = static_cast<std::size_t>(picture_values_);
    if (pictures.size() % each != 0) throw std::logic_error("features: pictures of another size");
    require_memory(tape_, plan_, fmt::format("the features of {} pictures at once", batch_),
                   "take fewer at once (--batch)");
    for (std::size_t first = 0; first < pictures.size() / each; first += static_cast<std::size_t>(batch_)) {
        const std::size_t count = std::min(static_cast<std::size_t>(batch_), pictures.size() / each - first);
        const auto room = [&](FeatureMatrix& matrix) {
            const std::size_t old = matrix.values.size();
            matrix.values.resize(old + count * static_cast<std::size_t>(matrix.width));
            return matrix.values.data() + old;
        };
        float *const features = room(features_), *const logits = room(logits_);
        run_job(tape_, plan_, [&] {
            run(pictures.subspan(first * each, count * each), static_cast<std::int64_t>(count), features,
                logits);
        });
    }
}

template void FeatureExtractor::add_all(std::span<const std::uint8_t>);
template void FeatureExtractor::add_all(std::span<const float>);
