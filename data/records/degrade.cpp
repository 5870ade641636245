#include "data/records/degrade.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <vector>

#include "data/records/packed.h"
#include "runtime/base/error.h"

namespace {

using Plane = std::vector<double>;  // [size, size]

// Weights of a Gaussian at distances 0, 1, ..., whose sum over both sides is 1.
std::vector<double> gaussian(double deviation) {
    std::vector<double> weights;
    double sum = 0;
    for (int i = 0; i <= static_cast<int>(std::ceil(4 * deviation)); ++i) {
        weights.push_back(std::exp(-i * i / (2 * deviation * deviation)));
        sum += (i == 0 ? 1 : 2) * weights.back();
    }
    for (double& weight : weights) weight /= sum;
    return weights;
}

// Along rows (step 1) or columns (step size).
Plane blurred(const Plane& plane, std::int64_t size, std::int64_t step, const std::vector<double>& weights) {
    const std::int64_t across = step == 1 ? size : 1;
    Plane result(plane.size());
    for (std::int64_t line = 0; line < size; ++line)
        for (std::int64_t i = 0; i < size; ++i) {
            const auto at = [&](std::int64_t j) {
                return plane[static_cast<std::size_t>(line * across +
                                                      std::clamp<std::int64_t>(j, 0, size - 1) * step)];
            };
            double sum = weights[0] * at(i);
            for (std::size_t d = 1; d < weights.size(); ++d) {
                const auto distance = static_cast<std::int64_t>(d);
                sum += weights[d] * (at(i - distance) + at(i + distance));
            }
            result[static_cast<std::size_t>(line * across + i * step)] = sum;
        }
    return result;
}

// Uniform in (0, 1), keyed by all three.
double uniform(std::uint64_t seed, std::uint64_t picture, std::uint64_t number) {
    std::uint64_t x =
        seed * 0x9e3779b97f4a7c15u + picture * 0xbf58476d1ce4e5b9u + number * 0x94d049bb133111ebu;
    x ^= x >> 31, x *= 0x7fb5d329728ea185u, x ^= x >> 27, x *= 0x81dadef4bc2dd44du, x ^= x >> 33;
    return (static_cast<double>(x >> 11) + 0.5) * 0x1p-53;
}

// Normal, by Box and Muller.
double normal(std::uint64_t seed, std::uint64_t picture, std::uint64_t number) {
    return std::sqrt(-2 * std::log(uniform(seed, picture, 2 * number))) *
           std::cos(2 * std::numbers::pi * uniform(seed, picture, 2 * number + 1));
}

std::vector<std::uint8_t> worse(const std::uint8_t* pixels, const PackedFile& file, std::int64_t picture,
                                const Degradation& how) {
    const std::int64_t size = file.size(), plane_pixels = size * size;
    std::vector<std::uint8_t> result;
    for (std::int64_t c = 0; c < file.channels(); ++c) {
        Plane plane(pixels + c * plane_pixels, pixels + (c + 1) * plane_pixels);
        if (how.blur > 0) {
            const std::vector<double> weights = gaussian(how.blur);
            plane = blurred(blurred(plane, size, 1, weights), size, size, weights);
        }
        for (std::int64_t i = 0; i < plane_pixels; ++i) {
            double value = plane[static_cast<std::size_t>(i)];
            if (how.noise > 0)
                value += how.noise * normal(how.seed, static_cast<std::uint64_t>(picture),
                                            static_cast<std::uint64_t>(c * plane_pixels + i));
            result.push_back(static_cast<std::uint8_t>(std::lround(std::clamp(value, 0.0, 255.0))));
        }
    }
    return result;
}

}  // namespace

void degrade(const std::filesystem::path& from, const std::filesystem::path& to, const Degradation& how,
             const PackProgress& progress) {
    const PackedFile file(from);
    file.verify();
    PackedWriter writer(to, file.size(), file.channels(), file.classes());
    std::int64_t first = -1;
    for (std::int64_t i = 0; i < file.count(); ++i) {
        if (progress) progress(i, file.count());
        if (how.without && file.label(i) == *how.without) continue;
        if (first < 0) first = i;
        const std::int64_t source = how.repeats ? first : i;
        writer.add(worse(file.pixels(source), file, source, how).data(), file.label(source),
                   captions_of(file, source));
    }
    if (progress) progress(file.count(), file.count());
    if (first < 0) fail("{}: all pictures are of the class that is left out", from.string());
    writer.commit();
}
