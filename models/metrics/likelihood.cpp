#include "models/metrics/likelihood.h"
#include "runtime/image_ops.h"

#include <cmath>
#include <numbers>
#include <numeric>
#include <stdexcept>

Likelihood::Likelihood(const FractalModel& model, std::int64_t batch)
    : model_(model),
      batch_(batch),
      tape_(Device::cpu),
      totals_(static_cast<std::size_t>(model.config().channels)) {
    const std::vector<std::int32_t> ids(static_cast<std::size_t>(batch));
    std::vector<double> totals;
    plan_ = plan_job(tape_, [&] { run({}, ids, totals); });
}

void Likelihood::run(std::span<const std::uint8_t> images, std::span<const std::int32_t> ids,
                     std::vector<double>& totals) {
    const FractalConfig& config = model_.config();
    const std::int64_t C = config.channels, dims = C * config.image_size() * config.image_size();
    const auto batch = static_cast<std::int64_t>(ids.size());
    const Tensor bytes = tape_.create(batch, dims, false, 1),
                 id = tape_.create(batch, 1, false, sizeof(std::int32_t)),
                 paths = tape_.create(batch, 1, false, sizeof(std::int64_t)),
                 sums = tape_.create(1, C, false, sizeof(double));
    copy_to_tensor(tape_, bytes, images.data(), images.size());
    copy_to_tensor(tape_, id, ids.data(), ids.size_bytes());
    zero_tensor(tape_, paths);
    zero_tensor(tape_, sums);
    const std::vector<float> scales(static_cast<std::size_t>(C), 0.0f);
    model_.loss(tape_, normalize_pixels(tape_, bytes, config.pixel_mean(), config.pixel_deviation()), id,
                paths, scales, sums, {}, model_.default_chunks());
    copy_from_tensor(tape_, totals.data(), sums, totals.size() * sizeof(double));
}

void Likelihood::add(std::span<const std::uint8_t> images, std::span<const std::int64_t> classes) {
    if (static_cast<std::int64_t>(classes.size()) > batch_)
        throw std::logic_error("likelihood: batch larger than planned");
    std::vector<std::int32_t> ids;
    for (const std::int64_t label : classes) ids.push_back(static_cast<std::int32_t>(label + 1));
    std::vector<double> totals(totals_.size());
    run_job(tape_, plan_, [&] { run(images, ids, totals); });
    for (std::size_t c = 0; c < totals.size(); ++c) totals_[c] += totals[c];
    images_ += static_cast<std::int64_t>(classes.size());
    const double nats = std::accumulate(totals.begin(), totals.end(), 0.0);
    batches_.emplace_back(classes.size(), nats / static_cast<double>(images.size()) / std::numbers::ln2);
}

void Likelihood::restart() {
    images_ = 0;
    totals_.assign(totals_.size(), 0.0);
    batches_.clear();
}

std::vector<double> Likelihood::channel_bits_per_dim() const {
    const auto pixels =
        static_cast<double>(images_ * model_.config().image_size() * model_.config().image_size());
    std::vector<double> bits;
    for (const double nats : totals_) bits.push_back(nats / pixels / std::numbers::ln2);
    return bits;
}

double Likelihood::bits_per_dim() const {
    const std::vector<double> channels = channel_bits_per_dim();
    return std::accumulate(channels.begin(), channels.end(), 0.0) / static_cast<double>(channels.size());
}

double Likelihood::standard_error() const {
    if (batches_.size() < 2) return 0;
    const double mean = bits_per_dim(), total = static_cast<double>(images_);
    double sum = 0;
    for (const auto& [count, bits] : batches_) sum += count / total * (bits - mean) * (bits - mean);
    return std::sqrt(sum / static_cast<double>(batches_.size() - 1));
}
