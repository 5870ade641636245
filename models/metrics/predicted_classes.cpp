#include "models/metrics/predicted_classes.h"

#include <algorithm>

#include "runtime/ops/ops.h"
#include "runtime/tensor/require_memory.h"

ClassJudge::ClassJudge(const FeatureClassifier& network, std::int64_t batch, std::int64_t channels,
                       MapSize size, std::string_view source)
    : network_(network), values_(channels * size.height * size.width), tape_(network.backend()) {
    network.require_fitting(channels, size, source);
    plan_ = plan_job(tape_, [&] { run({}, batch, nullptr); });
    require_memory(tape_, plan_, "classes of pictures", "take fewer at once (--batch)");
}

std::vector<std::int64_t> ClassJudge::classes(std::span<const std::uint8_t> pictures) {
    const std::int64_t count = static_cast<std::int64_t>(pictures.size()) / values_, K = network_.classes();
    std::vector<float> logits(static_cast<std::size_t>(count * K));
    run_job(tape_, plan_, [&] { run(pictures, count, logits.data()); });
    std::vector<std::int64_t> largest;
    for (auto row = logits.begin(); row != logits.end(); row += K)
        largest.push_back(std::max_element(row, row + K) - row);
    return largest;
}

void ClassJudge::run(std::span<const std::uint8_t> pictures, std::int64_t count, float* logits) {
    const Tensor x = tape_.create(count, values_, false, Element::u8);
    copy_to_tensor(tape_, x, pictures.data(), pictures.size());
    const Tensor y = network_.class_logits(tape_, x);
    if (!tape_.planning())
        copy_from_tensor(tape_, logits, y,
                         static_cast<std::size_t>(count * network_.classes()) * sizeof(float));
}
