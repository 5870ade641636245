#include "models/nat/search/cma_es.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "models/metrics/linear_algebra.h"
#include "runtime/base/error.h"

namespace {

// Table 1 of the source, (55)-(58), with alpha_cov = 2.
struct Rates {
    double c_sigma, d_sigma, c_c, c_1, c_mu, mean_length;  // the last: E|N(0, I)|

    Rates(double n, double mu_eff) {
        c_sigma = (mu_eff + 2) / (n + mu_eff + 5);
        d_sigma = 1 + 2 * std::max(0.0, std::sqrt((mu_eff - 1) / (n + 1)) - 1) + c_sigma;
        c_c = (4 + mu_eff / n) / (n + 4 + 2 * mu_eff / n);
        c_1 = 2 / ((n + 1.3) * (n + 1.3) + mu_eff);
        c_mu = std::min(1 - c_1, 2 * (mu_eff - 2 + 1 / mu_eff) / ((n + 2) * (n + 2) + mu_eff));
        mean_length = std::sqrt(n) * (1 - 1 / (4 * n) + 1 / (21 * n * n));
    }
};

double norm(const std::vector<double>& values) {
    return std::sqrt(std::inner_product(values.begin(), values.end(), values.begin(), 0.0));
}

// Into [0, width] by reflection; width may be infinite.
double reflected(double value, double width) {
    if (std::isinf(width)) return std::abs(value);
    const double folded = std::fmod(std::abs(value), 2 * width);
    return std::min(folded, 2 * width - folded);
}

// The smooth map into [low, high] with margins a (the header has it), and its inverse.
double into_bounds(double z, double low, double high, double a) {
    const double folded = low - a + reflected(z - low + a, high - low + 2 * a);
    if (folded < low + a) return low + (folded - low + a) * (folded - low + a) / (4 * a);
    if (folded > high - a) return high - (high + a - folded) * (high + a - folded) / (4 * a);
    return folded;
}

double out_of_bounds(double x, double low, double high, double a) {
    if (x < low + a) return low - a + std::sqrt(4 * a * (x - low));
    if (x > high - a) return high + a - std::sqrt(4 * a * (high - x));
    return x;
}

}  // namespace

CmaEs::CmaEs(SearchSpace space, const Strategy& start, std::int64_t updates, const CmaSettings& settings)
    : SearchMethod(std::move(space), start, updates, settings.iterate_every),
      settings_(settings),
      key_(random_key(settings.seed, "search/cma_es")),
      n_(this->space().searched().size()),
      mean_(n_),
      covariance_(n_ * n_),
      sigma_path_(n_),
      covariance_path_(n_),
      sigma_(settings.sigma) {
    require_positive(settings.scales.ratios, "the scale of ratios");
    require_positive(settings.scales.others, "the scale");
    require_positive(settings.sigma, "sigma");
    if (settings.scales.ratios > 0.4)
        fail_usage("the scale of ratios is {}, expected at most 0.4", settings.scales.ratios);
    if (settings.population != 0 && (settings.population < 4 || settings.population > 1'000'000))
        fail_usage("a population of {}, expected 4 to 1,000,000", settings.population);
    population_ = settings.population > 0
                      ? static_cast<std::size_t>(settings.population)
                      : 4 + static_cast<std::size_t>(3 * std::log(static_cast<double>(n_)));
    for (std::size_t j = 0; j < population_ / 2; ++j)
        weights_.push_back(std::log((static_cast<double>(population_) + 1) / 2) -
                           std::log(static_cast<double>(j + 1)));
    const double sum = std::reduce(weights_.begin(), weights_.end());
    for (double& weight : weights_) weight /= sum;
    mu_eff_ = 1 / std::inner_product(weights_.begin(), weights_.end(), weights_.begin(), 0.0);
    set_iterate(iterate());
    for (std::size_t i = 0; i < n_; ++i) {
        const std::size_t x = this->space().searched()[i];
        mean_[i] =
            out_of_bounds(iterate()[x], this->space().lower(x), this->space().upper(x), scale(i)) / scale(i);
        covariance_[i * n_ + i] = 1;
    }
    take_root();
}

void CmaEs::take_root() {
    root_ = symmetric_square_root(covariance_, static_cast<std::int64_t>(n_));
}

std::vector<CmaEs::Sample> CmaEs::samples() const {
    std::vector<Sample> drawn(population_);
    for (std::size_t j = 0; j < population_; ++j) {
        auto& [normal, y] = drawn[j];
        for (std::size_t i = 0; i < n_; ++i)
            normal.push_back(
                random_normal(key_, static_cast<std::int64_t>(j), static_cast<std::uint32_t>(i), step()));
        for (std::size_t i = 0; i < n_; ++i)
            y.push_back(std::inner_product(normal.begin(), normal.end(), &root_[i * n_], 0.0));
    }
    return drawn;
}

std::vector<double> CmaEs::bounded(std::span<const double> z) const {
    std::vector<double> x = iterate();
    for (std::size_t n = 0; n < n_; ++n) {
        const std::size_t i = space().searched()[n];
        x[i] = into_bounds(z[n] * scale(n), space().lower(i), space().upper(i), scale(n));
    }
    return x;
}

std::vector<SearchPoint> CmaEs::probes() const {
    std::vector<SearchPoint> points;
    for (const Sample& sample : samples()) {
        std::vector<double> z = mean_;
        for (std::size_t i = 0; i < n_; ++i) z[i] += sigma_ * sample.y[i];
        points.push_back({fmt::format("sample_{}_stp_{}", points.size(), update()), bounded(z)});
    }
    return points;
}

void CmaEs::advance(std::span<const double> objectives) {
    const Rates rates(static_cast<double>(n_), mu_eff_);
    const std::vector<Sample> drawn = samples();
    std::vector<std::size_t> order(population_);  // best first
    std::iota(order.begin(), order.end(), 0);
    std::ranges::stable_sort(order, {}, [&](std::size_t j) { return objectives[j]; });
    std::vector<double> y(n_), normal(n_);  // <y>, <n>
    for (std::size_t j = 0; j < weights_.size(); ++j)
        for (std::size_t i = 0; i < n_; ++i) {
            y[i] += weights_[j] * drawn[order[j]].y[i];
            normal[i] += weights_[j] * drawn[order[j]].normal[i];
        }
    const double of_sigma = std::sqrt(rates.c_sigma * (2 - rates.c_sigma) * mu_eff_);
    for (std::size_t i = 0; i < n_; ++i) {
        mean_[i] += sigma_ * y[i];
        sigma_path_[i] = (1 - rates.c_sigma) * sigma_path_[i] + of_sigma * normal[i];
    }
    // h stalls p_c while p_sigma is long: sigma is still growing.
    const double length = norm(sigma_path_) / rates.mean_length;
    const double generations = static_cast<double>(update()) + 1;
    const bool h = length / std::sqrt(1 - std::pow(1 - rates.c_sigma, 2 * generations)) <
                   1.4 + 2 / (static_cast<double>(n_) + 1);
    const double of_path = h ? std::sqrt(rates.c_c * (2 - rates.c_c) * mu_eff_) : 0;
    for (std::size_t i = 0; i < n_; ++i)
        covariance_path_[i] = (1 - rates.c_c) * covariance_path_[i] + of_path * y[i];
    const double kept = 1 - rates.c_1 - rates.c_mu + (h ? 0 : rates.c_1 * rates.c_c * (2 - rates.c_c));
    for (std::size_t row = 0; row < n_; ++row)
        for (std::size_t column = 0; column < n_; ++column) {
            double& entry = covariance_[row * n_ + column];
            entry = kept * entry + rates.c_1 * covariance_path_[row] * covariance_path_[column];
            for (std::size_t j = 0; j < weights_.size(); ++j) {
                const std::vector<double>& each = drawn[order[j]].y;
                entry += rates.c_mu * weights_[j] * each[row] * each[column];
            }
        }
    sigma_ *= std::exp(rates.c_sigma / rates.d_sigma * (length - 1));
    take_root();
    set_iterate(bounded(mean_));
}

NumberLists CmaEs::settings() const {
    return {{"seed", seed_numbers(settings_.seed)},
            {"scales", {settings_.scales.ratios, settings_.scales.others}},
            {"sigma", {settings_.sigma}},
            {"population", {static_cast<double>(population_)}}};
}

NumberLists CmaEs::variables() const {
    return {{"mean", mean_},
            {"covariance", covariance_},
            {"sigma_path", sigma_path_},
            {"covariance_path", covariance_path_},
            {"sigma", {sigma_}}};
}

void CmaEs::set_variables(const NumberLists& lists) {
    mean_ = lists.at("mean");
    covariance_ = lists.at("covariance");
    sigma_path_ = lists.at("sigma_path");
    covariance_path_ = lists.at("covariance_path");
    sigma_ = lists.at("sigma").front();
    take_root();
}
