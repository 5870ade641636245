#include "models/metrics/reconstruction.h"

#include <array>
#include <cmath>
#include <limits>
#include <numeric>
#include <stdexcept>
#include <vector>

namespace {

constexpr double peak = 255;

void require(bool fits, const char* what) {
    if (!fits) throw std::logic_error(what);
}

std::array<double, similarity_window> gaussian_window() {
    constexpr double deviation = 1.5;
    std::array<double, similarity_window> weights{};
    double sum = 0;
    for (std::size_t i = 0; i < weights.size(); ++i) {
        const double x = static_cast<double>(i) - static_cast<double>(similarity_window / 2);
        weights[i] = std::exp(-x * x / (2 * deviation * deviation));
        sum += weights[i];
    }
    for (double& weight : weights) weight /= sum;
    return weights;
}

// A plane of numbers [height, width].
struct Plane {
    std::int64_t height, width;
    std::vector<double> values;

    Plane(std::int64_t rows, std::int64_t columns)
        : height(rows), width(columns), values(static_cast<std::size_t>(rows * columns)) {}
    double& at(std::int64_t y, std::int64_t x) { return values[static_cast<std::size_t>(y * width + x)]; }
    double at(std::int64_t y, std::int64_t x) const {
        return values[static_cast<std::size_t>(y * width + x)];
    }
};

// Weighted sums over all windows inside the plane; the Gaussian is separable.
Plane filtered(const Plane& plane) {
    static const auto weights = gaussian_window();
    Plane rows(plane.height, plane.width - similarity_window + 1);
    for (std::int64_t y = 0; y < rows.height; ++y)
        for (std::int64_t x = 0; x < rows.width; ++x)
            for (std::int64_t i = 0; i < similarity_window; ++i)
                rows.at(y, x) += weights[static_cast<std::size_t>(i)] * plane.at(y, x + i);
    Plane result(plane.height - similarity_window + 1, rows.width);
    for (std::int64_t y = 0; y < result.height; ++y)
        for (std::int64_t i = 0; i < similarity_window; ++i)
            for (std::int64_t x = 0; x < result.width; ++x)
                result.at(y, x) += weights[static_cast<std::size_t>(i)] * rows.at(y + i, x);
    return result;
}

template <class Value>
Plane filtered(std::int64_t height, std::int64_t width, Value value) {
    Plane plane(height, width);
    for (std::size_t i = 0; i < plane.values.size(); ++i) plane.values[i] = value(i);
    return filtered(plane);
}

double plane_similarity(const std::uint8_t* a, const std::uint8_t* b, std::int64_t height,
                        std::int64_t width) {
    constexpr double C1 = 0.01 * peak * 0.01 * peak, C2 = 0.03 * peak * 0.03 * peak;
    const auto of = [](const std::uint8_t* from, std::size_t i) { return static_cast<double>(from[i]); };
    const auto sums = [&](auto value) { return filtered(height, width, value); };
    const Plane mean_a = sums([&](std::size_t i) { return of(a, i); }),
                mean_b = sums([&](std::size_t i) { return of(b, i); }),
                square_a = sums([&](std::size_t i) { return of(a, i) * of(a, i); }),
                square_b = sums([&](std::size_t i) { return of(b, i) * of(b, i); }),
                product = sums([&](std::size_t i) { return of(a, i) * of(b, i); });
    double total = 0;
    for (std::size_t i = 0; i < product.values.size(); ++i) {
        const double ma = mean_a.values[i], mb = mean_b.values[i], va = square_a.values[i] - ma * ma,
                     vb = square_b.values[i] - mb * mb, covariance = product.values[i] - ma * mb;
        total += (2 * ma * mb + C1) * (2 * covariance + C2) / ((ma * ma + mb * mb + C1) * (va + vb + C2));
    }
    return total / static_cast<double>(product.values.size());
}

}  // namespace

double peak_signal_to_noise(std::span<const std::uint8_t> a, std::span<const std::uint8_t> b) {
    require(!a.empty() && a.size() == b.size(), "PSNR: pictures of different sizes, or none");
    double squares = 0;
    for (std::size_t i = 0; i < a.size(); ++i) {
        const double d = static_cast<double>(a[i]) - static_cast<double>(b[i]);
        squares += d * d;
    }
    if (squares == 0) return std::numeric_limits<double>::infinity();
    return 10 * std::log10(peak * peak * static_cast<double>(a.size()) / squares);
}

double structural_similarity(std::span<const std::uint8_t> a, std::span<const std::uint8_t> b,
                             std::int64_t channels, std::int64_t height, std::int64_t width) {
    require(channels > 0 && height >= similarity_window && width >= similarity_window,
            "SSIM: pictures smaller than the window");
    const auto plane = static_cast<std::size_t>(height * width);
    require(a.size() == plane * static_cast<std::size_t>(channels) && b.size() == a.size(),
            "SSIM: pictures of another size than given");
    double total = 0;
    for (std::size_t c = 0; c < static_cast<std::size_t>(channels); ++c)
        total += plane_similarity(a.data() + c * plane, b.data() + c * plane, height, width);
    return total / static_cast<double>(channels);
}

double codebook_perplexity(std::span<const std::int64_t> counts) {
    const auto total = static_cast<double>(std::accumulate(counts.begin(), counts.end(), std::int64_t{0}));
    require(total > 0, "perplexity: of no codes at all");
    double entropy = 0;
    for (const std::int64_t count : counts)
        if (count > 0) {
            const double p = static_cast<double>(count) / total;
            entropy -= p * std::log(p);
        }
    return std::exp(entropy);
}

std::vector<std::int64_t> code_counts(std::span<const std::int32_t> codes, std::int64_t codebook_size) {
    std::vector<std::int64_t> counts(static_cast<std::size_t>(codebook_size));
    for (const std::int32_t code : codes) {
        if (code < 0 || code >= codebook_size) throw std::logic_error("code_counts: not in the codebook");
        ++counts[static_cast<std::size_t>(code)];
    }
    return counts;
}

ReconstructionQuality reconstruction_quality(std::span<const std::uint8_t> a, std::span<const std::uint8_t> b,
                                             std::int64_t channels, std::int64_t size) {
    const auto bytes = static_cast<std::size_t>(channels * size * size);
    if (a.empty() || a.size() != b.size() || a.size() % bytes != 0)
        throw std::logic_error("reconstruction_quality: not as many pictures of this size in both");
    const std::size_t n = a.size() / bytes;
    ReconstructionQuality sum;
    for (std::size_t i = 0; i < a.size(); ++i) sum.l1 += std::abs(a[i] - b[i]) / 255.0;
    for (std::size_t i = 0; i < n; ++i) {
        const auto one = a.subspan(i * bytes, bytes), other = b.subspan(i * bytes, bytes);
        sum.psnr += peak_signal_to_noise(one, other);
        sum.ssim += size >= similarity_window ? structural_similarity(one, other, channels, size, size)
                                              : std::nan("");
    }
    const auto pictures = static_cast<double>(n);
    return {sum.l1 / static_cast<double>(a.size()), sum.psnr / pictures, sum.ssim / pictures};
}
