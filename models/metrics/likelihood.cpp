#include "models/metrics/likelihood.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <numeric>
#include <stdexcept>

#include "runtime/base/error.h"
#include "runtime/tensor/require_memory.h"

Likelihood::Likelihood(const FractalModel& model, std::int64_t batch, std::uint64_t seed)
    : model_(model), batch_(batch), seed_(seed), exact_(true), tape_(model.backend()) {
    for (std::size_t level = 0; level < model.config().generators(); ++level)
        if (model.config().is_mar(level)) exact_ = false;
    const std::vector<std::int32_t> ids(static_cast<std::size_t>(batch));
    std::vector<double> totals;
    plan_ = plan_job(tape_, [&] { run({}, ids, {}, totals); });
}

void Likelihood::run(const ImageValues& images, std::span<const std::int32_t> ids, const FractalMasks& masks,
                     std::vector<double>& totals) {
    const FractalConfig& config = model_.config();
    const std::int64_t C = config.channels, rows = static_cast<std::int64_t>(config.generators()) + 1;
    const Tensor sums = tape_.create(rows, C, false, Element::f64);
    zero_tensor(tape_, sums);
    const std::vector<float> scales(static_cast<std::size_t>(rows * C));
    model_.loss(tape_, device_images(tape_, config, images, static_cast<std::int64_t>(ids.size())), ids,
                masks, scales, sums, {}, model_.default_chunks());
    totals.resize(scales.size());
    copy_from_tensor(tape_, totals.data(), sums, totals.size() * sizeof(double));
}

void Likelihood::add(const ImageValues& images, std::span<const std::int64_t> classes, std::uint32_t pass) {
    if (static_cast<std::int64_t>(classes.size()) > batch_)
        throw std::logic_error("likelihood: batch larger than planned");
    std::vector<std::int32_t> ids;
    for (const std::int64_t label : classes) ids.push_back(static_cast<std::int32_t>(label + 1));
    std::vector<std::int64_t> samples(classes.size());
    std::iota(samples.begin(), samples.end(), images_);
    const FractalConfig& config = model_.config();
    const FractalMasks masks = evaluation_masks(config, samples, seed_, pass, parts_.size());
    require_memory(tape_, plan_, fmt::format("the likelihood of {} images at once", batch_),
                   "evaluate fewer at once (--batch)");
    Part part{static_cast<double>(classes.size()), {}};
    run_job(tape_, plan_, [&] { run(images, ids, masks, part.bits); });
    const std::vector<double> terms = loss_terms(config, masks);
    const auto C = static_cast<std::size_t>(config.channels);
    for (std::size_t i = 0; i < part.bits.size(); ++i)
        part.bits[i] = terms[i / C] > 0 ? part.bits[i] / terms[i / C] / std::numbers::ln2 : 0.0;
    images_ += static_cast<std::int64_t>(classes.size());
    parts_.push_back(std::move(part));
}

void Likelihood::restart() {
    images_ = 0;
    parts_.clear();
}

double Likelihood::mean(const Part& part, bool guiding) const {
    const auto C = static_cast<double>(model_.config().channels);
    const auto first = guiding ? part.bits.begin() : part.bits.end() - model_.config().channels;
    return std::accumulate(first, part.bits.end(), 0.0) / C;
}

double Likelihood::average(bool guiding) const {
    double sum = 0;
    for (const Part& part : parts_) sum += part.images * mean(part, guiding);
    return sum / static_cast<double>(images_);
}

double Likelihood::bits_per_dim() const {
    return average(false);
}

double Likelihood::bits_per_dim_with_guiding() const {
    return average(true);
}

std::vector<double> Likelihood::channel_bits_per_dim() const {
    const auto C = static_cast<std::size_t>(model_.config().channels);
    std::vector<double> bits(C);
    for (const Part& part : parts_)
        for (std::size_t c = 0; c < C; ++c)
            bits[c] += part.images / static_cast<double>(images_) * part.bits[part.bits.size() - C + c];
    return bits;
}

double Likelihood::standard_error() const {
    if (parts_.size() < 2) return 0;
    const double center = bits_per_dim(), total = static_cast<double>(images_);
    double sum = 0;
    for (const Part& part : parts_) {
        const double distance = mean(part, false) - center;
        sum += part.images / total * distance * distance;
    }
    return std::sqrt(sum / static_cast<double>(parts_.size() - 1));
}
