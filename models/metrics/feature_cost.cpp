#include "models/metrics/feature_cost.h"

#include <algorithm>
#include <initializer_list>
#include <string>
#include <string_view>

namespace {

// Positions along a side of a convolution's output, by its name.
std::int64_t inception_side(const std::string& name) {
    const auto starts = [&](std::string_view part) { return name.starts_with(part); };
    const auto is_any = [&](std::initializer_list<std::string_view> parts) {
        return std::ranges::any_of(parts, starts);
    };
    if (starts("Conv2d_1a")) return 149;
    if (starts("Conv2d_2")) return 147;
    if (starts("Conv2d_3b")) return 73;
    if (starts("Conv2d_4a")) return 71;
    if (starts("Mixed_5") || is_any({"Mixed_6a.branch3x3dbl_1", "Mixed_6a.branch3x3dbl_2"})) return 35;
    if (is_any({"Mixed_7b", "Mixed_7c", "Mixed_7a.branch3x3_2", "Mixed_7a.branch7x7x3_4"})) return 8;
    return 17;
}

}  // namespace

double inception_multiply_adds() {
    const Inception network(1, InceptionInput::pytorch_fid, Device::cpu);
    double sum = 0;
    for (const Parameter& parameter : network.parameters().all()) {
        const auto side = static_cast<double>(inception_side(parameter.name));
        if (parameter.shape.size() == 4) sum += static_cast<double>(parameter.count) * side * side;
    }
    return sum + static_cast<double>(Inception::features * Inception::logits);
}

double feature_multiply_adds(const FeatureConfig& config) {
    double sum = 0, in = static_cast<double>(config.channels), out = static_cast<double>(config.width);
    auto pixels = static_cast<double>(config.image_size * config.image_size);
    sum += 9 * in * out * pixels;
    in = out;
    // Two blocks of two convolutions in each stage.
    for (int stage = 0; stage < 3; ++stage, out *= 2, pixels /= 4) {
        sum += pixels * (9 * in * out + 3 * 9 * out * out + (in == out ? 0 : in * out));
        in = out;
    }
    return sum;
}
